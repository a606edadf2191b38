"""The spatial transformer: localisation net, grid generator and sampler as one module (paper, figure 2; seed 1)."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stn_cli.core.coordinates import Size
from stn_cli.core.families import Family, make
from stn_cli.core.precision import full_precision
from stn_cli.core.sampler import sample
from stn_cli.core.sampling import Sampling
from stn_cli.errors import StnError


class Steps(NamedTuple):
    """What each part of a spatial transformer hands to the next."""

    theta: Tensor  # (N, family.size)
    grid: Tensor  # (N, H', W', 2), normalised (x, y)
    V: Tensor  # (N, C, H', W')


class SpatialTransformer(nn.Module):
    """U (N, C, H, W) → V (N, C, H', W'), warped by what the localisation net makes of U.

    `localisation` is any module (N, C, H, W) → (N, family.size); start it at the identity (`core.localisation` does).
    `family` is a `Family` or its name, `out_size` (height, width) of V (default: as U), `sampling` how U is read (no
    anti-aliasing unless asked for, as in the paper). Grid and sampling stay in full precision under `torch.autocast`.
    Raises `StnError` where the net's output does not fit the family.
    """

    def __init__(
        self,
        localisation: nn.Module,
        family: Family | str = "affine",
        out_size: Size | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        super().__init__()
        self.localisation = localisation
        self.family = make(family) if isinstance(family, str) else family
        self.out_size = out_size
        self.sampling = sampling or Sampling(antialias="off")

    def forward(self, U: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n channels out_height out_width"]:
        return self.steps(U).V

    def steps(self, U: Tensor) -> Steps:
        """θ, T_θ(G) and V: for those who feed θ on to a classifier, draw the grid, or watch the training."""
        theta = self.localisation(U)
        if theta.shape != (U.shape[0], self.family.size):
            raise StnError(
                f"the localisation net gave {tuple(theta.shape)} for {U.shape[0]} images: "
                f"the family {self.family.name} needs ({U.shape[0]}, {self.family.size})"
            )
        out_size = self.out_size or (U.shape[-2], U.shape[-1])
        how = self.sampling
        with full_precision(U.device):
            grid = self.family.grid(
                theta.float() if theta.element_size() < 4 else theta, out_size, align_corners=how.align_corners
            )
            V = sample(
                U,
                grid,
                kernel=how.kernel,
                padding=how.padding,
                fill=how.fill,
                align_corners=how.align_corners,
                antialias=how.antialias,
            )
        return Steps(theta, grid, V)

    def extra_repr(self) -> str:
        return f"family={self.family!r}, out_size={self.out_size}, sampling={self.sampling}"


class ParallelTransformers(nn.Module):
    """Several spatial transformers on one U, their outputs side by side as channels (paper, section 3.4).

    U (N, C, H, W) → (N, k·C, H', W') for k transformers of one output size.
    """

    def __init__(self, transformers: Iterable[SpatialTransformer]) -> None:
        super().__init__()
        self.transformers = nn.ModuleList(transformers)

    def forward(
        self, U: Float[Tensor, "n channels height width"]
    ) -> Float[Tensor, "n all_channels out_height out_width"]:
        return torch.cat([transformer(U) for transformer in self.transformers], dim=1)
