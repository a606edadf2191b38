"""JPEG decoded and encoded on the GPU: nvJPEG, as torchvision binds it (extra `nvjpeg`).

A file's bytes go to the device, its pixels stay there through the warp, and the bytes of the result come back. Pictures
that threads bring one by one go through in batches (`gathered.py`). Its pixels are not libjpeg-turbo's: the two differ by a
few levels, and by more at coloured edges of a picture with halved chroma, which nvJPEG repeats and libjpeg-turbo interpolates.

torchvision orders its own streams after nothing and before little: its decoder may write to memory that another stream still
reads, its encoder reads what another stream may still write, and hands out bytes that the default stream still copies
(`encode_jpegs_cuda.cpp`). So every stage here ends with its stream, and the encoder's with the default stream too.

Untested on a GPU: none was at hand.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stn_cli.engines.cuda import CudaEngine
from stn_cli.engines.gathered import Gatherer
from stn_cli.engines.lanes import OnDevice

# How a picture with an EXIF orientation stands up, its planes (C, H, W): axes to flip, then whether rows become columns
_TURNS = {2: ((2,), False), 3: ((1, 2), False), 4: ((1,), False), 5: ((), True), 6: ((1,), True), 7: ((1, 2), True),
          8: ((2,), True)}  # fmt: skip


class _Decoding(NamedTuple):
    data: bytes
    bytes: int  # of its pixels


class _Encoding(NamedTuple):
    planes: Tensor
    quality: int


class NvJpeg:
    """Decodes and encodes at most `most` pictures at once, on the device of `engine`.

    Making one tries it: raises `ImportError` or `RuntimeError` where torchvision or its nvJPEG does not work.
    `say` is told, once each, what is encoded on the CPU instead, and why.
    """

    name = "nvJPEG"

    def __init__(self, engine: CudaEngine, most: int, say: Callable[[str], None] = lambda line: None) -> None:
        from torchvision import io

        self.engine, self.say = engine, say
        self._io: Any = io
        self._said: set[str] = set()
        # One lane each: torchvision has one decoder and one encoder, behind a lock.
        self._decoding = Gatherer[_Decoding, Tensor](self._decode_all, most, 1, lambda item: item.bytes)
        self._encoding = Gatherer[_Encoding, bytes](self._encode_all, most, 1, lambda item: item.planes.nbytes)
        with engine.alone():
            grey = torch.full((3, 16, 16), 128, dtype=torch.uint8, device=engine.device)
        (coded,) = self._encode_all([_Encoding(grey, 90)])
        self._decode_all([_Decoding(coded, grey.nbytes)])

    def decode(self, data: bytes, size: tuple[int, int], turn: int = 1) -> OnDevice:
        """A whole colour JPEG of `size` (height, width) as stored, stood up as EXIF orientation `turn` says.

        Raises `RuntimeError` for what nvJPEG does not decode.
        """
        (planes,) = self._decoding([_Decoding(data, 3 * size[0] * size[1])])
        if tuple(planes.shape) != (3, *size):
            raise RuntimeError(f"nvJPEG sees {tuple(planes.shape)}")
        if turn in _TURNS:
            axes, transposed = _TURNS[turn]
            with self.engine.alone():
                planes = planes.flip(axes) if axes else planes
                planes = (planes.transpose(1, 2) if transposed else planes).contiguous()
        return OnDevice(planes, self.engine, self)

    def encode(self, planes: Tensor, quality: int, subsampling: str) -> bytes | None:
        """A JPEG file of RGB planes (3, H, W), or None where it is not nvJPEG's to make."""
        if planes.shape[0] != 3:
            return None
        if subsampling != "444":
            return self._left(f"chroma of {':'.join(subsampling)}, and torchvision's nvJPEG writes 4:4:4 only")
        try:
            return self._encoding([_Encoding(planes, quality)])[0]
        except RuntimeError as error:
            return self._left(" ".join(str(error).split())[:200])

    def _left(self, why: str) -> None:
        if why not in self._said:
            self._said.add(why)
            self.say(f"JPEG encoded on the CPU: {why}")

    def _decode_all(self, items: Sequence[_Decoding]) -> list[Tensor]:
        coded = [torch.frombuffer(bytearray(item.data), dtype=torch.uint8) for item in items]
        with self.engine.alone():
            return self._io.decode_jpeg(coded, mode=self._io.ImageReadMode.RGB, device=self.engine.device)

    def _encode_all(self, items: Sequence[_Encoding]) -> list[bytes]:
        results: dict[int, Tensor] = {}
        with self.engine.alone():
            for quality in {item.quality for item in items}:
                alike = [i for i, item in enumerate(items) if item.quality == quality]
                coded = self._io.encode_jpeg([items[i].planes for i in alike], quality=quality)
                if self.engine.device.type == "cuda":
                    torch.cuda.default_stream(self.engine.device).synchronize()
                results |= zip(alike, (c.to("cpu", non_blocking=True) for c in coded), strict=True)
        return [np.asarray(results[i]).tobytes() for i in range(len(items))]
