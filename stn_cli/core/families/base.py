"""What a family of transformations is: θ → sampling grid, and what is known of it in closed form."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from array_api_compat import device

from stn_cli.core.coordinates import Array, Size, axis_points, target_grid
from stn_cli.core.namespaces import array_namespace


class Family(ABC):
    """A family T_θ of maps from output points to input points, both normalised (x, y) in [-1, 1].

    A family is final. It is written once over the array-API standard; the numbers
    are the same in NumPy and in torch, where θ carries the gradient.
    """

    name: ClassVar[str]

    parameter_names: tuple[str, ...]
    """The name of every number in θ, in the paper's notation where it has one."""

    @property
    def size(self) -> int:
        """How many numbers one θ has."""
        return len(self.parameter_names)

    @abstractmethod
    def identity(self) -> tuple[float, ...]:
        """The θ under which every output point reads the same input point, exactly."""

    @abstractmethod
    def points(self, theta: Array, xy: Array) -> Array:
        """T_θ at target points.

        theta (N, size) or (size,); xy (…, 2), the same points for every row → (N, …, 2), of θ's dtype. N is 1 for (size,).
        """

    def matrix(self, theta: Array) -> Array | None:
        """The homogeneous matrix (N, 3, 3) of T_θ, normalised, output → input; None where the family has none."""
        del theta

    def inverse(self, theta: Array) -> Array | None:
        """θ (N, size) of the inverse map in the same family; None where no closed form exists.

        A singular θ gives infinities or NaN, as a division would; it does not raise.
        """
        del theta

    def options(self) -> dict[str, Any]:
        """What `make` needs beside the name to build this family again; JSON-able."""
        return {}

    def grid(self, theta: Array, out_size: Size, *, align_corners: bool = False) -> Array:
        """T_θ(G): where each pixel of an output of `out_size` (height, width) reads the input.

        theta (N, size) or (size,) → (N, H', W', 2), last axis (x, y), normalised in the frame `align_corners` says.
        """
        xp = array_namespace(theta)
        target = target_grid(xp, out_size, align_corners, dtype=theta.dtype, device=device(theta))
        return self.points(theta, target)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.options() == other.options()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.name, repr(self.options())))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.options().items())})"


class Formula(Family):
    """A family that is one formula for x' and one for y'."""

    @abstractmethod
    def formula(self, theta: Sequence[Array], x: Array, y: Array) -> tuple[Array, Array]:
        """The input point (x', y') of the output point (x, y); `theta` has an array a parameter, all broadcast."""

    def points(self, theta: Array, xy: Array) -> Array:
        x, y = xy[..., 0], xy[..., 1]
        return array_namespace(theta).stack(self.formula(parameters(theta, x.ndim), x, y), axis=-1)

    def grid(self, theta: Array, out_size: Size, *, align_corners: bool = False) -> Array:
        """G is a row of x and a column of y, so that a term in one of them is worked out once for all lines.

        The two results lie each in one piece in memory, which is quicker to write and to read.
        """
        xp, like = array_namespace(theta), {"dtype": theta.dtype, "device": device(theta)}
        x, y = (axis_points(xp, length, align_corners, **like) for length in reversed(out_size))
        mapped = xp.broadcast_arrays(*self.formula(parameters(theta, 2), x[None, :], y[:, None]))
        return xp.moveaxis(xp.stack(mapped, axis=1), 1, -1)


def rows(theta: Array) -> Array:
    """θ as (N, size): a single (size,) becomes one row."""
    return theta if theta.ndim == 2 else theta[None, :]


def parameters(theta: Array, ndim: int = 0) -> list[Array]:
    """The parameters of θ, each (N, 1, …, 1) to broadcast against coordinates of `ndim` axes."""
    xp, theta = array_namespace(theta), rows(theta)
    return [xp.reshape(theta[:, index], (-1,) + (1,) * ndim) for index in range(theta.shape[1])]


def stack_rows(xp: Any, entries: list[list[Array]]) -> Array:
    """(N, rows, columns) from nested lists of (N,) arrays."""
    return xp.stack([xp.stack(row, axis=-1) for row in entries], axis=-2)
