"""What `torchvision.io` promises of JPEGs on a GPU, kept by simplejpeg on the CPU: lists in, lists out, all or an error.

Its pixels are libjpeg-turbo's. As torchvision's own, the encoder takes contiguous RGB planes only and halves no chroma.
"""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import simplejpeg
import torch


class StandIn:
    """Put into `sys.modules` by `install`; notes the sizes of the batches."""

    ImageReadMode = SimpleNamespace(RGB="RGB")

    def __init__(self):
        self.decoded, self.encoded = [], []

    def decode_jpeg(self, coded, mode, device):
        assert isinstance(coded, list)
        assert mode == "RGB"
        for data in coded:
            assert (data.dtype, data.dim(), data.device.type) == (torch.uint8, 1, "cpu")
            assert data[-2:].tolist() == [0xFF, 0xD9]
        try:
            planes = [
                torch.from_numpy(simplejpeg.decode_jpeg(bytes(data.numpy())).transpose(2, 0, 1).copy()).to(device)
                for data in coded
            ]
        except ValueError as error:
            raise RuntimeError(f"Error while decoding JPEG images: {error}") from None
        self.decoded.append(len(coded))
        return planes

    def encode_jpeg(self, planes, quality):
        assert isinstance(planes, list)
        for picture in planes:
            assert picture.dtype == torch.uint8
            assert picture.shape[0] == 3
            assert picture.is_contiguous()
        self.encoded.append(len(planes))
        coded = (
            simplejpeg.encode_jpeg(np.ascontiguousarray(p.permute(1, 2, 0).numpy()), quality, "RGB", "444")
            for p in planes
        )
        return [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in coded]


def install(monkeypatch) -> StandIn:
    standin = StandIn()
    package, module = ModuleType("torchvision"), ModuleType("torchvision.io")
    package.__spec__ = SimpleNamespace(name="torchvision")  # what `find_spec` looks for
    for name in ("decode_jpeg", "encode_jpeg", "ImageReadMode"):
        setattr(module, name, getattr(standin, name))
    package.io = module
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.io", module)
    return standin
