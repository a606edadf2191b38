"""The paper's figures: test error in per cent on distorted MNIST (Jaderberg et al., 2015, table 1)."""

from stn_cli.learn.distortions import Distortion
from stn_cli.learn.networks import Model

Row = tuple[Model, str | None]

TABLE_1: dict[Row, dict[Distortion, float]] = {
    ("fcn", None): {"R": 2.1, "RTS": 5.2, "P": 3.1, "E": 3.2},
    ("cnn", None): {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 1.4},
    ("st-fcn", "affine"): {"R": 1.2, "RTS": 0.8, "P": 1.5, "E": 2.7},
    ("st-fcn", "projective"): {"R": 1.3, "RTS": 0.9, "P": 1.4, "E": 2.6},
    ("st-fcn", "tps"): {"R": 1.1, "RTS": 0.8, "P": 1.4, "E": 2.4},
    ("st-cnn", "affine"): {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.2},
    ("st-cnn", "projective"): {"R": 0.8, "RTS": 0.6, "P": 0.8, "E": 1.3},
    ("st-cnn", "tps"): {"R": 0.7, "RTS": 0.5, "P": 0.8, "E": 1.1},
}
TABLE_DISTORTIONS: tuple[Distortion, ...] = ("R", "RTS", "P", "E")
CLUTTERED: dict[Model, float] = {"fcn": 13.2, "cnn": 3.5, "st-fcn": 2.0, "st-cnn": 1.7}
SETTING = "MNIST, 150k iterations of SGD, batch 256, about 400k parameters, mean of 3 seeds"


def error(model: Model, family: str | None, distortion: Distortion) -> float | None:
    """The paper's test error in per cent, or None where it gives none."""
    if distortion == "TC":
        return CLUTTERED.get(model) if family in (None, "affine") else None
    return TABLE_1.get((model, family), {}).get(distortion)
