"""The networks of the distorted-digit experiments: FCN, CNN, and either behind a spatial transformer.

`Design` says everything that rebuilds one; it is what a checkpoint carries. Networks to be compared have the same number
of parameters: the classifier is made as wide as the budget allows beside its localisation net.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
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
Precision = Literal["float32", "bfloat16"]
MODELS: tuple[Model, ...] = get_args(Model)
CLASSES = 10
BUDGET: dict[NetSize, int] = {"small": 60_000, "paper": 400_000}


@dataclass(frozen=True)
class Design:
    """What a network is made of.

    `in_size` pixels a side, one channel, values in [0, 1] with a background of 0. `width`: filters of each convolution of
    the classifier, or units of each layer of a fully connected one; `kernels`: sides of its two convolutions; `hidden`:
    units between them and the scores, or 0. `loc_filters` and `loc_hidden`: of the localisation net. `st_size`: pixels a
    side of the transformer's output. `pool`: the output is then averaged 2×2. `feed_theta`: θ goes to the classifier's
    last layer too (seed 2).
    """

    model: Model
    in_size: int
    width: int
    kernels: tuple[int, int] = (5, 5)
    hidden: int = 0
    family: str | None = None
    family_options: dict[str, Any] = field(default_factory=dict)
    loc_filters: int = 0
    loc_hidden: tuple[int, ...] = ()
    st_size: int | None = None
    pool: bool = False
    feed_theta: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernels", tuple(self.kernels))
        object.__setattr__(self, "loc_hidden", tuple(self.loc_hidden))

    def make_family(self) -> Family | None:
        return None if self.family is None else make(self.family, **self.family_options)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `Design(**design.as_dict())` is the design again."""
        return asdict(self)


class Seen(NamedTuple):
    """What a network makes of a batch: class scores (N, 10), and with a transformer θ, T_θ(G) and V."""

    scores: Tensor
    theta: Tensor | None = None
    grid: Tensor | None = None
    V: Tensor | None = None


class Network(nn.Module):
    """A classifier of digits (N, 1, S, S) in [0, 1], with a spatial transformer before it where the design has one.

    `precision` "bfloat16": convolutions and matrix products of the localisation net and of the classifier below its scores
    in bfloat16; θ, grid, sampling, scores and all weights in float32. It is no part of the design: any net runs in either.
    """

    precision: Precision = "float32"

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
        theta = grid = None
        V = U
        with torch.autocast(U.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            if self.transformer is not None:
                theta, grid, V = self.transformer.steps(U)
            found = self.features(self.pool(V)).to(U.dtype)
        if theta is None:
            return Seen(self.scores(found))
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
    spatial, paper = model.startswith("st-"), net_size == "paper"
    if st_size is not None and not (spatial and 4 <= st_size <= 256):
        raise OptionError("--st-size", st_size, "4 to 256 pixels, for st-fcn and st-cnn")
    if pool is None:
        pool = spatial and in_size > 28 and st_size is None
    seen = st_size or (in_size // 2 if pool else in_size)
    hidden = 0 if paper or model.endswith("fcn") else _fewer(64, seen)
    classifier = {"kernels": (9, 7) if paper else (5, 5), "hidden": hidden}
    transformer = {}
    if spatial:
        convolutional = model == "st-cnn"
        sizes = (
            ((20, (20,)) if paper else (24, (_fewer(48, in_size),)))
            if convolutional
            else (0, (32,) * 3 if paper else (_fewer(16, in_size),) * 3)
        )
        transformer = {
            "family": family, "family_options": make(family, **(family_options or {})).options(),
            "loc_filters": sizes[0], "loc_hidden": sizes[1],
            "st_size": st_size, "pool": pool, "feed_theta": feed_theta,
        }  # fmt: skip
    return _widest(Design(model, in_size, 1, **classifier, **transformer), BUDGET[net_size])


def _fewer(units: int, side: int) -> int:
    """Units after convolutions of an image of `side`²: fewer for a larger one, or they would eat the whole budget."""
    return min(units, max(6, units * 28 * 28 // side**2))


def _widest(made: Design, budget: int) -> Design:
    def at(width: int) -> Design:
        return replace(made, width=width)

    if count(made) > budget * 1.1:
        side = made.st_size or made.in_size
        raise StnError(
            f"a {made.model} {made.family or ''} on {side}×{side} pixels needs at least {count(made):,} parameters, "
            f"more than the {budget:,} of the comparison: try --net-size paper, or another --family"
        )
    low, high = 1, 4096
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(at(middle)) <= budget else (low, middle)
    return min((at(low), at(high)), key=lambda one: abs(count(one) - budget))


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
    if made.model == "st-fcn":
        localisation = connected_localisation(1, side, family, made.loc_hidden)
    else:
        localisation = convolutional_localisation(1, side, family, made.loc_filters, made.loc_hidden[0])
    out = made.st_size or made.in_size
    return SpatialTransformer(localisation, family, (out, out), Sampling(antialias="off"))


def _connected(made: Design, size: int) -> tuple[nn.Module, int]:
    """Two hidden layers."""
    w = made.width
    return nn.Sequential(nn.Flatten(), nn.Linear(size * size, w), nn.ReLU(), nn.Linear(w, w), nn.ReLU()), w


def _convolutional(made: Design, size: int) -> tuple[nn.Module, int]:
    """Two convolutions without padding, each max-pooled 2×2: 9×9 and 7×7 in the paper.

    Pooling before the ReLU gives the same numbers as after it, on a quarter of the values.
    """
    w, left = made.width, size
    for kernel in made.kernels:
        left = -(-(left - kernel + 1) // 2)
        if left < 1:
            raise OptionError("--st-size", size, "too small for the classifier's convolutions")
    first, second = made.kernels
    layers = [
        nn.Conv2d(1, w, first), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(),
        nn.Conv2d(w, w, second), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(),
        nn.Flatten(),
    ]  # fmt: skip
    count = w * left * left
    if made.hidden:
        layers += [nn.Linear(count, made.hidden), nn.ReLU()]
        count = made.hidden
    return nn.Sequential(*layers), count
