"""Sampling in float64, written from the definition and apart from the engines.

The padded plane is made for real with `np.pad`, then every output pixel gathers its taps from it.
"""

import numpy as np

PAD_MODES = {"zeros": "constant", "fill": "constant", "border": "edge", "reflection": None}


def plane(image, sampling, margin):
    """U extended by `margin` pixels on each side, (H + 2m, W + 2m, C), float64."""
    image = image.astype(float)
    widths = ((margin, margin), (margin, margin), (0, 0))
    if sampling.padding == "reflection":
        # np.pad's reflect and symmetric want more than one pixel, and symmetric is right for one
        mode = "reflect" if sampling.align_corners and min(image.shape[:2]) > 1 else "symmetric"
        return np.pad(image, widths, mode=mode)
    padded = np.pad(image, widths, mode=PAD_MODES[sampling.padding])
    if sampling.padding == "fill":
        inner = np.zeros(padded.shape[:2], bool)
        inner[margin:-margin, margin:-margin] = True
        padded[~inner] = sampling.constant(image.shape[2])
    return padded


def keys(d, a=-0.75):
    d = np.abs(d)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def gather(padded, margin, x, y, kernel):
    """The padded plane sampled at input pixels (x, y), each of any one shape → shape + (C,)."""
    limit = margin - 3
    x = np.clip(x, -limit, padded.shape[1] - 2 * margin - 1 + limit)
    y = np.clip(y, -limit, padded.shape[0] - 2 * margin - 1 + limit)
    if kernel == "nearest":
        return padded[np.floor(y + 0.5).astype(int) + margin, np.floor(x + 0.5).astype(int) + margin]
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    total = 0.0
    offsets = range(2) if kernel == "bilinear" else range(-1, 3)
    weight = keys if kernel == "bicubic" else lambda d: np.maximum(1 - np.abs(d), 0)
    for j in offsets:
        for i in offsets:
            w = weight(y - (y0 + j)) * weight(x - (x0 + i))
            total = total + w[..., None] * padded[y0 + j + margin, x0 + i + margin]
    return total


def warp(image, points, sampling, *, alpha=False):
    """V in float64, neither rounded nor clipped. `points` (H', W', 2): where to read, in input pixels, (x, y)."""
    far = np.abs(points).max() + 2 * max(np.abs(np.diff(points, axis=k)).max(initial=0) for k in (0, 1))
    margin = int(min(far + 8, 400))
    padded = plane(image, sampling, margin)
    if alpha:
        padded = padded.copy()
        padded[..., :-1] *= padded[..., -1:]
    x, y = points[..., 0], points[..., 1]
    if sampling.antialias == "off" or sampling.kernel == "nearest":
        total = gather(padded, margin, x, y, sampling.kernel)
    else:
        total = _mean_over_footprint(padded, margin, points, sampling)
    if alpha:
        a = total[..., -1:]
        seen = a >= (0.5 if image.dtype.kind == "u" else 1e-6)
        total = np.concatenate([np.where(seen, total[..., :-1] / np.where(seen, a, 1), 0), a], -1)
    return total


def _mean_over_footprint(padded, margin, points, sampling):
    height, width, _ = points.shape
    by, bx = (np.gradient(points, axis=k) if points.shape[k] > 1 else np.zeros_like(points) for k in (0, 1))
    jacobian = np.stack([bx, by], -1)  # (H', W', 2, 2): columns are the steps along x and y
    largest = np.linalg.svd(jacobian, compute_uv=False)[..., 0]
    counts = np.clip(np.ceil(np.linalg.norm(jacobian, axis=-2) - 1e-3), 1, 128).astype(int)
    if sampling.antialias == "auto":
        counts[largest <= 1.501] = 1
    out = np.empty((height, width, padded.shape[2]))
    for nx, ny in np.unique(counts.reshape(-1, 2), axis=0):
        here = (counts == (nx, ny)).all(-1)
        p, jx, jy = points[here], bx[here], by[here]
        total = 0.0
        for a in range(nx):
            for b in range(ny):
                q = p + jx * ((a + 0.5) / nx - 0.5) + jy * ((b + 0.5) / ny - 0.5)
                total = total + gather(padded, margin, q[:, 0], q[:, 1], sampling.kernel)
        out[here] = total / (nx * ny)
    return out


def difference(result, expected):
    """The largest |result − expected|, the expected value clipped to the dtype; in units of the image."""
    if result.dtype.kind == "u":
        expected = np.clip(expected, 0, np.iinfo(result.dtype).max)
    return float(np.abs(result - expected).max())


def input_points(transformation, in_size, out_size, align_corners=False):
    """Where the output reads the input, (H', W', 2), (x, y) in input pixels."""
    height, width = in_size
    grid = transformation.grid(out_size, align_corners)
    if align_corners:
        return (grid + 1) / 2 * (width - 1, height - 1)
    return ((grid + 1) * (width, height) - 1) / 2
