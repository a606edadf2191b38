"""A family with one θ: what everything downstream of the θ sources sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stn_cli.core.coordinates import Size, pixel_frame
from stn_cli.core.families import Family, family_for, make
from stn_cli.errors import OptionError


@dataclass(frozen=True, eq=False)
class Transformation:
    """T_θ: output points → input points, normalised (x, y) in [-1, 1].

    `theta` is one row, (family.size,) float64, finite. Raises `OptionError` on a wrong count, NaN or infinity.
    """

    family: Family
    theta: np.ndarray

    def __post_init__(self) -> None:
        theta = np.array(self.theta, dtype=np.float64).reshape(-1)
        if len(theta) != self.family.size:
            raise OptionError("--theta", f"{len(theta)} numbers", f"{self.family.name} takes {self.family.size}")
        if not np.isfinite(theta).all():
            raise OptionError("--theta", shown(theta), "every number must be finite")
        theta.flags.writeable = False
        object.__setattr__(self, "theta", theta)

    def points(self, xy: np.ndarray) -> np.ndarray:
        """T_θ at target points: (…, 2) → (…, 2), float64."""
        return self.family.points(self.theta, np.asarray(xy, dtype=np.float64))[0]

    def grid(self, out_size: Size, align_corners: bool = False) -> np.ndarray:
        """T_θ(G): (H', W', 2) float64 for an output of `out_size` (height, width)."""
        return self.family.grid(self.theta, out_size, align_corners=align_corners)[0]

    @cached_property
    def _matrix(self) -> np.ndarray | None:
        matrix = self.family.matrix(self.theta)
        return None if matrix is None else matrix[0]

    def matrix(self) -> np.ndarray | None:
        """The homogeneous matrix (3, 3), normalised, output → input; None for families without one."""
        return self._matrix

    def pixel_matrix(self, in_size: Size, out_size: Size, align_corners: bool = False) -> np.ndarray | None:
        """The same in pixels (integer at centres): output pixel → input pixel, (3, 3); None without a matrix."""
        return None if self._matrix is None else pixel_matrices(self._matrix, in_size, out_size, align_corners)

    def row(self) -> dict[str, Any]:
        """JSON-able: family, options where there are any, θ. Floats survive the round trip to the last bit."""
        options = self.family.options()
        return {"family": self.family.name, **({"options": options} if options else {}), "theta": self.theta.tolist()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Transformation":
        """The inverse of `row`. Raises `StnError` for anything else."""
        return cls(make(row["family"], **row.get("options", {})), row["theta"])

    @classmethod
    def from_numbers(cls, numbers: Sequence[float], family: str | None = None) -> "Transformation":
        """θ as a person writes it; nine numbers are a projective matrix up to scale. Raises `OptionError`."""
        values = np.asarray(numbers, dtype=np.float64)
        if len(values) == 9 and family in (None, "projective"):
            return cls.from_matrix(values.reshape(3, 3), "projective")
        return cls(family_for(len(values), family), values)

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, family: str | None = None) -> "Transformation":
        """From a homogeneous matrix (3, 3), normalised, output → input: affine where its last row allows, else projective.

        Raises `OptionError` for a last entry of zero: the centre of the output then lies on the horizon.
        """
        matrix = np.asarray(matrix, dtype=np.float64)
        last = matrix[2, 2]
        if not abs(last) > 1e-12 * np.abs(matrix[2]).max():  # NaN included
            raise OptionError(
                "--theta", shown(matrix.reshape(-1)), "the last number of a projective θ must not be zero"
            )
        with np.errstate(all="ignore"):  # what overflows is no finite θ, and refused as that
            matrix = matrix / last
        name = family or ("projective" if matrix[2, :2].any() else "affine")
        theta = matrix[:2].reshape(-1) if name == "affine" else matrix.reshape(-1)[:8]
        return cls(make(name), theta)


def pixel_matrices(matrices: np.ndarray, in_size: Size, out_size: Size, align_corners: bool = False) -> np.ndarray:
    """Homogeneous matrices (…, 3, 3), normalised, output → input, as maps from output pixels to input pixels."""
    to_input = np.array(pixel_frame(in_size, align_corners))
    return to_input @ matrices @ np.linalg.inv(_invertible(pixel_frame(out_size, align_corners)))


def _invertible(frame: list[list[float]]) -> np.ndarray:
    """With align_corners an axis of one pixel has no length; its only point is then 0, and any length will do."""
    matrix = np.array(frame)
    for axis in range(2):
        if matrix[axis, axis] == 0:
            matrix[axis, axis] = 1.0
    return matrix


def shown(values: np.ndarray) -> str:
    """Numbers as a message shows them: the first nine."""
    return " ".join(f"{v:g}" for v in values[:9]) + (" …" if len(values) > 9 else "")
