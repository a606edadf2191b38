"""Localisation nets: U → θ, started at the identity (paper, section 3.1; seed 1).

Two trunks, those of the paper's MNIST experiments: fully connected, and convolutional on an input averaged 2×2.
Any other module (N, C, H, W) → (N, features) becomes a localisation net by `Localisation(trunk, features, family)`.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stn_cli.core.coordinates import Size
from stn_cli.core.families import Family
from stn_cli.core.precision import full_precision
from stn_cli.errors import StnError


class Localisation(nn.Module):
    """`trunk`, then the regression of θ: a linear layer that starts with zero weights and the identity as its bias.

    `trunk` is any module (N, C, H, W) → (N, features). At the start every image gets exactly `family.identity()`;
    the gradient reaches the last layer's weights first, and through them the trunk. Under `torch.autocast` the trunk runs in
    half precision, the last layer in its own: eight bits of θ are not enough to place a pixel.
    """

    def __init__(self, trunk: nn.Module, features: int, family: Family) -> None:
        super().__init__()
        self.trunk = trunk
        self.regression = nn.Linear(features, family.size)
        with torch.no_grad():
            self.regression.weight.zero_()
            self.regression.bias.copy_(torch.tensor(family.identity()))

    def forward(self, U: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n size"]:
        found = self.trunk(U)
        with full_precision(U.device):
            return self.regression(found.to(self.regression.weight.dtype))


def connected_localisation(
    channels: int, in_size: Size, family: Family, hidden: Sequence[int] = (32, 32, 32)
) -> Localisation:
    """Fully connected layers of `hidden` units on U (N, channels, *in_size); the paper's has three."""
    width = channels * in_size[0] * in_size[1]
    layers: list[nn.Module] = [nn.Flatten()]
    for units in hidden:
        layers += [nn.Linear(width, units), nn.ReLU()]
        width = units
    return Localisation(nn.Sequential(*layers), width, family)


def convolutional_localisation(
    channels: int, in_size: Size, family: Family, filters: int = 20, hidden: int = 20, kernel: int = 5
) -> Localisation:
    """Average 2×2, convolution, max-pool 2×2, convolution, `hidden` units, on U (N, channels, *in_size).

    With the defaults the paper's: two 5×5 convolutions of 20 filters without padding, then 20 units.
    Raises `StnError` where U is too small for it.
    """
    height, width = (((n // 2 - kernel + 1) // 2) - kernel + 1 for n in in_size)
    if min(height, width) < 1:
        smallest = 2 * (2 * kernel + kernel - 1)
        raise StnError(
            f"a convolutional localisation net with {kernel}×{kernel} kernels needs an input of at least "
            f"{smallest}×{smallest}, not {in_size[1]}×{in_size[0]}"
        )
    trunk = nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(channels, filters, kernel),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(filters, filters, kernel),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(filters * height * width, hidden),
        nn.ReLU(),
    )
    return Localisation(trunk, hidden, family)
