"""The networks of the distorted-digit experiments: FCN, CNN, and either behind a spatial transformer.

`Design` says everything that rebuilds one; it is what a checkpoint carries. Networks to be compared have the same number
of parameters: the classifier is made as wide as the budget allows beside its localisation net.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from stn_cli.core.families import Family, make
from stn_cli.core.localisation import Localisation, connected_localisation, convolutional_localisation
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformer import SpatialTransformer
from stn_cli.errors import OptionError, StnError

Model = Literal["fcn", "cnn", "st-fcn", "st-cnn"]
NetSize = Literal["small", "paper"]
MODELS: tuple[Model, ...] = get_args(Model)
CLASSES = 10
BUDGET: dict[NetSize, int] = {"small": 60_000, "paper": 400_000}


@dataclass(frozen=True)
class Design:
    """What a network is made of.

    `in_size` pixels a side, one channel, values in [0, 1] with a background of 0. `width`: filters of each convolution of
    the classifier, or units of each layer of a fully connected one. `st_size`: pixels a side of the transformer's output.
    `pool`: the output is then averaged 2×2. `feed_theta`: θ goes to the classifier's last layer too (seed 2).
    """

    model: Model
    net_size: NetSize
    in_size: int
    width: int
    family: str | None = None
    family_options: dict[str, Any] = field(default_factory=dict)
    st_size: int | None = None
    pool: bool = False
    feed_theta: bool = False

    def make_family(self) -> Family | None:
        return None if self.family is None else make(self.family, **self.family_options)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Seen(NamedTuple):
    """What a network makes of a batch: class scores (N, 10), and with a transformer θ, T_θ(G) and V."""

    scores: Tensor
    theta: Tensor | None = None
    grid: Tensor | None = None
    V: Tensor | None = None


class Network(nn.Module):
    """A classifier of digits (N, 1, S, S) in [0, 1], with a spatial transformer before it where the design has one."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.transformer = _transformer(design)
        size = design.st_size or design.in_size
        self.pool = nn.AvgPool2d(2, ceil_mode=True) if design.pool else nn.Identity()
        size = -(-size // 2) if design.pool else size
        connected = design.model.endswith("fcn")
        self.features, count = (_connected if connected else _convolutional)(design, size)
        extra = self.transformer.family.size if self.transformer and design.feed_theta else 0
        self.scores = nn.Linear(count + extra, CLASSES)

    def forward(self, U: Tensor) -> Seen:
        if self.transformer is None:
            return Seen(self.scores(self.features(self.pool(U))))
        theta, grid, V = self.transformer.steps(U)
        found = self.features(self.pool(V))
        if self.design.feed_theta:
            found = torch.cat([found, theta], dim=1)
        return Seen(self.scores(found), theta, grid, V)

    @property
    def localisation(self) -> Localisation | None:
        return None if self.transformer is None else self.transformer.localisation  # type: ignore[return-value]

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())


def design(
    model: Model,
    in_size: int,
    net_size: NetSize = "small",
    family: str = "affine",
    *,
    st_size: int | None = None,
    pool: bool | None = None,
    feed_theta: bool = False,
    family_options: dict[str, Any] | None = None,
) -> Design:
    """The network of that kind whose parameters come nearest to the budget of `net_size`.

    `pool` defaults to the paper's choice: after a transformer on inputs of 42 and 60 pixels. Raises `OptionError` for sizes
    that no network of this kind can take.
    """
    spatial = model.startswith("st-")
    if st_size is not None and not (spatial and 4 <= st_size <= 256):
        raise OptionError("--st-size", st_size, "4 to 256 pixels, for st-fcn and st-cnn")
    if pool is None:
        pool = spatial and in_size > 28 and st_size is None
    made = Design(
        model, net_size, in_size, 0, family if spatial else None, (family_options or {}) if spatial else {},
        st_size if spatial else None, pool and spatial, feed_theta and spatial,
    )  # fmt: skip
    return _widest(made)


def _widest(made: Design) -> Design:
    def at(width: int) -> Design:
        return Design(**{**made.as_dict(), "width": width})

    low, high = 1, 4096
    try:
        if count(at(low)) > BUDGET[made.net_size] * 1.1:
            raise StnError(
                f"a {made.model} with {made.family} on {made.in_size} pixels needs more than the "
                f"{BUDGET[made.net_size]} parameters of --net-size {made.net_size}"
            )
    except RuntimeError:
        raise OptionError("--st-size", made.st_size, "too small for the classifier's convolutions") from None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(at(middle)) <= BUDGET[made.net_size] else (low, middle)
    return min((at(low), at(high)), key=lambda d: abs(count(d) - BUDGET[made.net_size]))


def count(made: Design) -> int:
    """The number of parameters of a design, without allocating them."""
    with torch.device("meta"):
        return Network(made).parameter_count()


def build(made: Design, seed: int) -> Network:
    """The network with fresh weights: the same seed, the same weights, whatever else has used torch's generator.

    Channels last, which a CPU convolves a quarter faster.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(made).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub forgets it


def _transformer(made: Design) -> SpatialTransformer | None:
    family = made.make_family()
    if family is None:
        return None
    side = (made.in_size, made.in_size)
    small = made.net_size == "small"
    if made.model == "st-fcn":
        localisation = connected_localisation(1, side, family, (16, 16, 16) if small else (32, 32, 32))
    elif small:
        localisation = convolutional_localisation(1, side, family, filters=24, hidden=48)
    else:
        localisation = convolutional_localisation(1, side, family)
    out = made.st_size or made.in_size
    return SpatialTransformer(localisation, family, (out, out), Sampling(antialias="off"))


def _connected(made: Design, size: int) -> tuple[nn.Module, int]:
    """Two hidden layers."""
    w = made.width
    return nn.Sequential(nn.Flatten(), nn.Linear(size * size, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU()), w


def _convolutional(made: Design, size: int) -> tuple[nn.Module, int]:
    """Two convolutions without padding, each max-pooled 2×2: 9×9 and 7×7 as in the paper, or 5×5 where small.

    Pooling before the ReLU gives the same numbers as after it, on a quarter of the values.
    """
    first, second = (5, 5) if made.net_size == "small" else (9, 7)
    w = made.width
    left = size
    for kernel in (first, second):
        left = -(-(left - kernel + 1) // 2)
        if left < 1:
            raise OptionError("--st-size", size, "too small for the classifier's convolutions")
    features = nn.Sequential(
        nn.Conv2d(1, w, first), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(),
        nn.Conv2d(w, w, second), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(),
        nn.Flatten(),
    )  # fmt: skip
    if made.net_size == "paper":
        return features, w * left * left
    hidden = 64
    return nn.Sequential(*features, nn.Linear(w * left * left, hidden), nn.ReLU()), hidden
