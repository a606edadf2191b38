"""Which code is checked, on what input, at which point, in which arithmetic."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from stn_cli.core.coordinates import Size
from stn_cli.core.families import FAMILIES, Family, make
from stn_cli.core.sampler import sample
from stn_cli.core.sampling import KERNELS, PADDINGS, Kernel, Padding, Sampling
from stn_cli.core.transformer import SpatialTransformer

STAGES = ("θ → grid", "grid → V", "U → V", "θ → L", "U → L")
CLEAR = 0.01  # pixels: outputs whose sample is nearer to a kink are left out of losses and slopes

GridGenerator = Callable[[Family, Tensor, Size, bool], Tensor]
Sampler = Callable[[Tensor, Tensor, Sampling], Tensor]
Module = Callable[[Tensor, Tensor, Family, Size, Sampling], Tensor]


def project_grid(family: Family, theta: Tensor, out_size: Size, align_corners: bool) -> Tensor:
    return family.grid(theta, out_size, align_corners=align_corners)


def project_sample(U: Tensor, grid: Tensor, how: Sampling) -> Tensor:
    return sample(U, grid, kernel=how.kernel, padding=how.padding, fill=how.fill, align_corners=how.align_corners)


class _Given(nn.Module):
    """A localisation net that answers whatever θ it holds."""

    theta: Tensor

    def forward(self, U: Tensor) -> Tensor:
        return self.theta


@lru_cache(maxsize=32)
def _transformer(family: Family, out_size: Size, how: Sampling) -> tuple[SpatialTransformer, _Given]:
    given = _Given()
    return SpatialTransformer(given, family, out_size, how), given


def project_module(U: Tensor, theta: Tensor, family: Family, out_size: Size, how: Sampling) -> Tensor:
    transformer, given = _transformer(family, tuple(out_size), how)
    given.theta = theta
    return transformer(U)


@dataclass(frozen=True)
class Code:
    """The code that is checked; each part can be replaced by another implementation of the same contract."""

    grid: GridGenerator = project_grid
    sample: Sampler = project_sample
    module: Module | None = None

    def whole(self, U: Tensor, theta: Tensor, family: Family, out_size: Size, how: Sampling) -> Tensor:
        if self.module is not None:
            return self.module(U, theta, family, out_size, how)
        if self.grid is project_grid and self.sample is project_sample:
            return project_module(U, theta, family, out_size, how)
        return self.sample(U, self.grid(family, theta, out_size, how.align_corners), how)


def family_to_check(name: str) -> Family:
    """The family as it is by default, the flow on a field small enough to check every number of it."""
    return make(name, shape=(4, 4)) if name == "flow" else make(name)


@dataclass(frozen=True)
class Setup:
    """What to check, and where. Without `theta` everything is at random points, inside and outside the border."""

    families: tuple[Family, ...] = tuple(family_to_check(name) for name in FAMILIES)
    kernels: tuple[Kernel, ...] = KERNELS
    paddings: tuple[Padding, ...] = PADDINGS
    frames: tuple[bool, ...] = (False, True)
    """the values of `align_corners`"""
    whole_kernels: tuple[Kernel, ...] = ("bilinear",)
    whole_paddings: tuple[Padding, ...] = ("zeros",)
    in_size: Size = (4, 5)
    out_size: Size = (3, 6)
    batch: int = 2
    channels: int = 2
    theta: Tensor | None = None
    """(1, size), float64: the point for the one family in `families`"""
    image: Tensor | None = None
    """(1, C, H, W), float64: instead of noise; overrules `in_size`, `batch`, `channels`"""
    dtype: torch.dtype = torch.float64
    device: str = "cpu"
    seed: int = 0
    tolerance: float = 1e-6
    stages: tuple[str, ...] = STAGES

    @property
    def exact(self) -> bool:
        return self.dtype == torch.float64 and self.device == "cpu"

    @property
    def grid_dtype(self) -> torch.dtype:
        """Grids are never in half precision: at width 1920 that would be off by whole pixels."""
        return self.dtype if self.dtype in (torch.float32, torch.float64) else torch.float32

    @property
    def precision(self) -> float:
        """What rounding may cost: coordinates carry the rounding of numbers as large as the image is wide."""
        if self.dtype == torch.float64:
            return 0.0
        pixels = 32 * torch.finfo(torch.float32).eps * max(*self.in_size, *self.out_size, 8)
        return max(pixels, 8 * torch.finfo(self.dtype).eps)

    @property
    def kink_radius(self) -> float:
        """Within this many pixels of a kink, rounding decides on which side a sample is computed."""
        eps = torch.finfo(self.grid_dtype).eps
        return max(1e-9, 64 * eps * max(*self.in_size, *self.out_size))

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def draw_U(self) -> Tensor:
        """U, float64, rounded to what `dtype` can hold."""
        if self.image is not None:
            U = self.image
        else:
            U = torch.randn(self.batch, self.channels, *self.in_size, generator=self.generator(), dtype=torch.float64)
        return U.to(self.dtype).double()

    def draw_theta(self, family: Family, rows: int) -> Tensor:
        """θ, float64: as given, or scattered about the identity."""
        if self.theta is not None:
            return self.theta.expand(rows, -1).to(self.dtype).double()
        generator = self.generator()
        spread = {"projective": 0.1, "flow": 0.2}.get(family.name, 0.25)
        identity = torch.tensor(family.identity(), dtype=torch.float64)
        away = torch.randn(rows, family.size, generator=generator, dtype=torch.float64).clamp(-2, 2)
        return (identity + spread * away).to(self.dtype).double()

    def draw_grid(self, rows: int, align_corners: bool) -> Tensor:
        """The sampling grid, float64: that of `theta`, or points all over the image and beyond its border."""
        if self.theta is not None:
            family = self.families[0]
            grid = project_grid(family, self.draw_theta(family, rows), self.out_size, align_corners)
        else:
            generator = self.generator().manual_seed(self.seed + 1)
            grid = 2.6 * torch.rand(rows, *self.out_size, 2, generator=generator, dtype=torch.float64) - 1.3
        return grid.to(self.grid_dtype).double()


def sampling(kernel: Kernel, padding: Padding, align_corners: bool, channels: int) -> Sampling:
    """Point sampling, with a different constant for each channel where the padding is a fill."""
    fill = tuple(0.5 - 0.75 * c for c in range(channels)) if padding == "fill" else None
    return Sampling(kernel, padding, fill, align_corners, antialias="off")


def kink_distance(points: Tensor, kernel: Kernel) -> Tensor:
    """How far sample points (…, 2), in pixels, are from the nearest kink: integers for bilinear, halves for nearest."""
    if kernel == "bicubic":
        return torch.full(points.shape[:-1], torch.inf, dtype=points.dtype)
    shifted = points + 0.5 if kernel == "nearest" else points
    return (shifted - shifted.round()).abs().amin(-1)
