"""Frames: how a pixel and a normalised coordinate name the same point. Decided here and nowhere else.

Points are (x, y), x right, y down. Pixel coordinates are integer at pixel centres: the first pixel of a row is 0, the
last W-1, the image spans [-½, W-½]. Normalised coordinates span [-1, 1]: with ``align_corners=False`` from the outer edge
of the first pixel to the outer edge of the last, with ``True`` from centre to centre. Sizes are (height, width).

Everything works on any array of the array-API standard (NumPy, torch).
"""

from typing import Any

from stn_cli.core.namespaces import array_namespace

Array = Any  # an array of the array-API standard
Size = tuple[int, int]  # (height, width)


def pixel_from_normalised(u: Array, length: int, align_corners: bool = False) -> Array:
    """The pixel coordinate, along an axis of `length` pixels, of the normalised coordinate `u`.

    >>> pixel_from_normalised(-1.0, 4), pixel_from_normalised(-1.0, 4, align_corners=True)
    (-0.5, 0.0)
    """
    if align_corners:
        return (u + 1) * ((length - 1) / 2)
    return (u + 1) * (length / 2) - 0.5


def normalised_from_pixel(p: Array, length: int, align_corners: bool = False) -> Array:
    """The inverse of `pixel_from_normalised`. With ``align_corners=True`` the centre of an only pixel is at 0, as in torch.

    >>> normalised_from_pixel(1.5, 4)
    0.0
    """
    if align_corners:
        return p * (2 / (length - 1)) - 1 if length > 1 else p * 0.0
    return (p + 0.5) * (2 / length) - 1


def pixels(points: Array, size: Size, align_corners: bool = False) -> Array:
    """Normalised points (…, 2) → pixel coordinates (…, 2) in an image of `size` (height, width)."""
    xp = array_namespace(points)
    height, width = size
    return xp.stack(
        (
            pixel_from_normalised(points[..., 0], width, align_corners),
            pixel_from_normalised(points[..., 1], height, align_corners),
        ),
        axis=-1,
    )


def normalised(points: Array, size: Size, align_corners: bool = False) -> Array:
    """Pixel coordinates (…, 2) in an image of `size` (height, width) → normalised points (…, 2)."""
    xp = array_namespace(points)
    height, width = size
    return xp.stack(
        (
            normalised_from_pixel(points[..., 0], width, align_corners),
            normalised_from_pixel(points[..., 1], height, align_corners),
        ),
        axis=-1,
    )


def axis_points(xp: Any, length: int, align_corners: bool = False, **like: Any) -> Array:
    """The normalised coordinates (length,) of the pixel centres of one axis; `like` may give dtype and device.

    Written as (2i + 1 - n) / n rather than through a step, so that the axis is symmetric to the last bit.
    """
    steps = xp.arange(length, **like)
    if not align_corners:
        return (2 * steps + (1 - length)) / length
    return (2 * steps + (1 - length)) / (length - 1) if length > 1 else steps


def target_grid(xp: Any, out_size: Size, align_corners: bool = False, **like: Any) -> Array:
    """G: the normalised points (H', W', 2) of the pixel centres of an output of `out_size` (height, width).

    `xp` is an array namespace; `like` may give dtype and device (float64 or float32).
    """
    height, width = out_size
    x = axis_points(xp, width, align_corners, **like)
    y = axis_points(xp, height, align_corners, **like)
    shape = (height, width)
    return xp.stack((xp.broadcast_to(x[None, :], shape), xp.broadcast_to(y[:, None], shape)), axis=-1)


def pixel_frame(size: Size, align_corners: bool = False) -> list[list[float]]:
    """The 3×3 matrix, as nested lists, that takes homogeneous normalised points to pixel coordinates.

    ⎡ sx  0  cx ⎤
    ⎢ 0  sy  cy ⎥      sx = W/2 (or (W-1)/2),  cx = (W-1)/2
    ⎣ 0   0   1 ⎦
    """
    height, width = size
    less = 1 if align_corners else 0
    return [
        [(width - less) / 2, 0.0, (width - 1) / 2],
        [0.0, (height - less) / 2, (height - 1) / 2],
        [0.0, 0.0, 1.0],
    ]
