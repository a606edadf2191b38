"""What a scene is about: one image, one θ, and everything that `core` makes of them."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from stn_cli.core.coordinates import Size, pixels
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation


@dataclass(frozen=True)
class Subject:
    """An image, its transformation, and how it is sampled.

    image: (H, W) or (H, W, 3) uint8; `name` is what the picture is called, `out_size` (height, width) that of the output
    (default: as the image), `net` the localisation net that θ came from. Scenes show one sample an output pixel, as in the
    paper: `sampling.antialias` is off.
    """

    image: np.ndarray
    transformation: Transformation
    sampling: Sampling = Sampling(antialias="off")  # noqa: RUF009
    name: str = ""
    wanted_size: Size | None = None
    net: str = ""

    @property
    def in_size(self) -> Size:
        return self.image.shape[0], self.image.shape[1]

    @property
    def out_size(self) -> Size:
        return self.wanted_size or self.in_size

    @property
    def align_corners(self) -> bool:
        return self.sampling.align_corners

    @property
    def channels(self) -> int:
        return 1 if self.image.ndim == 2 else self.image.shape[2]

    @cached_property
    def grid(self) -> np.ndarray:
        """T_θ(G): (H', W', 2) float64, normalised."""
        return self.transformation.grid(self.out_size, self.align_corners)

    @cached_property
    def points(self) -> np.ndarray:
        """T_θ(G) in pixels of the input, (H', W', 2)."""
        return pixels(self.grid, self.in_size, self.align_corners)

    @cached_property
    def output(self) -> np.ndarray:
        """V as `stn warp` writes it: uint8, rounded half up."""
        return self.read(self.grid)

    @cached_property
    def tensor(self):
        """U: (1, C, H, W) float64 tensor in [0, 255]."""
        import torch

        planes = self.image[None] if self.image.ndim == 2 else np.moveaxis(self.image, -1, 0)
        return torch.from_numpy(np.ascontiguousarray(planes, dtype=np.float64))[None]

    def read(self, grid: np.ndarray, image: np.ndarray | None = None) -> np.ndarray:
        """The image (or another like it) read at a sampling grid (H', W', 2), by `core.sampler`: uint8."""
        subject = self if image is None else replace(self, image=image)
        V = np.moveaxis(subject.sample(grid), 0, -1)
        V = np.clip(np.floor(V + 0.5), 0, 255).astype(np.uint8)
        return V[..., 0] if self.image.ndim == 2 else V

    def sample(self, grid: np.ndarray) -> np.ndarray:
        """V (C, H', W') float64 at a sampling grid (H', W', 2), not rounded."""
        import torch

        return self._sampler(self.tensor, torch.from_numpy(np.ascontiguousarray(grid, dtype=np.float64))[None])[
            0
        ].numpy()

    def weights(self, point: np.ndarray) -> tuple[list[tuple[int, int, float]], float]:
        """What the sampler takes from each input pixel at one normalised `point` (2,): ∂V/∂U as (column, row, weight).

        Right for every kernel and padding, because it is the sampler's own derivative. Second comes what is left over: the
        weight of the constant outside.
        """
        import torch

        U = torch.zeros((1, 1, *self.in_size), dtype=torch.float64, requires_grad=True)
        grid = torch.from_numpy(np.asarray(point, dtype=np.float64)).reshape(1, 1, 1, 2)
        (slope,) = torch.autograd.grad(self._sampler(U, grid, constant=0.0).sum(), U)
        rows, columns = np.nonzero(slope[0, 0].numpy())
        found = [(int(c), int(r), float(slope[0, 0, r, c])) for r, c in zip(rows, columns, strict=True)]
        return found, 1.0 - sum(weight for _, _, weight in found)

    def _sampler(self, U, grid, constant: float | None = None):
        from stn_cli.core.sampler import sample

        how = self.sampling
        fill = how.fill if constant is None or how.fill is None else (constant,)
        return sample(U, grid, kernel=how.kernel, padding=how.padding, fill=fill, align_corners=how.align_corners)

    def reduced(self, longest: int) -> "Subject":
        """The same with the image (and the output with it) averaged down to at most `longest` pixels a side."""
        most = max(*self.in_size, *self.out_size)
        if most <= longest:
            return self
        scale = longest / most

        def shrunk(size: Size) -> Size:
            return max(2, round(size[0] * scale)), max(2, round(size[1] * scale))

        height, width = shrunk(self.in_size)
        picture = Image.fromarray(self.image).resize((width, height), Image.Resampling.BOX)
        return replace(
            self, image=np.asarray(picture), wanted_size=shrunk(self.wanted_size) if self.wanted_size else None
        )

    def grey(self) -> "Subject":
        """The same with one channel: the luminance. The sampler treats every channel alike."""
        if self.image.ndim == 2:
            return self
        fill = self.sampling.fill
        sampling = replace(self.sampling, fill=fill[:1]) if fill else self.sampling
        return replace(self, image=np.asarray(Image.fromarray(self.image).convert("L")), sampling=sampling)


def flat(image: np.ndarray) -> np.ndarray:
    """Any (H, W), (H, W, C) uint8 image with C from 1 to 4 as (H, W) or (H, W, 3); alpha is laid over white."""
    if image.ndim == 3 and image.shape[2] in (2, 4):
        alpha = image[..., -1:].astype(np.float64) / 255
        image = np.floor(image[..., :-1] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    return np.ascontiguousarray(image)
