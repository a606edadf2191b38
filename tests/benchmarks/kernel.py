"""The CPU kernels beside OpenCV's, one thread each: python -m tests.benchmarks.kernel [--runs 15] [--threads 1] [--others]

Runs alternate; the table gives medians, the spread (quartiles) of the ratio, CPU seconds of both, and the largest difference
of both from float64 over some rows. The third peer of `remap` is a user who computes the exact map in NumPy each time.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation, pixel_matrices
from stn_cli.engines import Work
from stn_cli.engines.cpu import CpuEngine
from stn_cli.engines.lattice import lattice_for
from tests.engines import reference

SIZES = ((512, 512), (1080, 1920), (3000, 4000))
OFF = Sampling(antialias="off")
ENGINE = CpuEngine()


def turned(size, degrees=30, zoom=0.8):
    """Content turned about the middle in pixels, whatever the shape of the image."""
    height, width = size
    forward = np.vstack([cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, zoom), [0, 0, 1]])
    frame = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    return Transformation.from_matrix(np.linalg.inv(frame) @ np.linalg.inv(forward) @ frame)


def tilted(size):
    return Transformation.from_matrix(turned(size, 12, 0.9).matrix() @ [[1, 0, 0], [0, 1, 0], [0.15, 0.1, 1]])


def bent(_size):
    family = make("tps", shape=(5, 5))
    return Transformation(family, np.array(family.identity()) + np.random.default_rng(0).normal(0, 0.05, family.size))


def folded(_size):
    family = make("piecewise-affine", shape=(5, 5))
    return Transformation(family, np.array(family.identity()) + np.random.default_rng(0).normal(0, 0.05, family.size))


def bent_in_numpy(map_, size):
    """The exact map of a thin-plate spline as a competent user computes it: float64, in bands that stay in the cache."""
    height, width = size
    controls = np.array(map_.family.control_points)
    coefficients = map_.family.solution() @ (map_.theta.reshape(-1, 2) - controls)
    x = (2 * np.arange(width) + 1) / width - 1
    maps = np.empty((2, height, width), np.float32)
    for row in range(height):
        square = (x[None] - controls[:, :1]) ** 2 + ((2 * row + 1) / height - 1 - controls[:, 1:]) ** 2
        bend = 0.5 * square * np.log(np.maximum(square, 1e-300))
        y = np.full_like(x, (2 * row + 1) / height - 1)
        dx, dy = coefficients[:-3].T @ bend + coefficients[-3:].T @ np.stack([np.ones_like(x), x, y])
        maps[0, row], maps[1, row] = ((x + dx + 1) * width - 1) / 2, ((y + dy + 1) * height - 1) / 2
    return maps


def folded_in_numpy(map_, size):
    """The exact map of a mesh of triangles, row by row: each is an affine map of its own."""
    height, width = size
    rows, columns = map_.family.shape
    moved = (map_.theta - np.array(map_.family.identity())).reshape(rows, columns, 2)
    x = (2 * np.arange(width) + 1) / width - 1
    column = np.minimum(((x + 1) * (columns - 1) / 2).astype(int), columns - 2)
    u = ((x + 1) * (columns - 1) / 2 - column)[:, None]
    maps = np.empty((2, height, width), np.float32)
    for line in range(height):
        y = (2 * line + 1) / height - 1
        row = min(int((y + 1) * (rows - 1) / 2), rows - 2)
        v = (y + 1) * (rows - 1) / 2 - row
        top, bottom = moved[row][column], moved[row + 1][column + 1]
        right_first = top + u * (moved[row][column + 1] - top) + v * (bottom - moved[row][column + 1])
        down_first = top + v * (moved[row + 1][column] - top) + u * (bottom - moved[row + 1][column])
        at = np.where(u >= v, right_first, down_first) + np.stack([x, np.full_like(x, y)], axis=-1)
        maps[:, line] = ((at + 1) * (width, height) - 1).T / 2
    return maps


IN_NUMPY = {"tps": bent_in_numpy, "piecewise-affine": folded_in_numpy}


def strips(image, map_, size, threads, pool):
    """A single image over several threads: each fills its rows."""
    if threads == 1:
        return ENGINE.warp(Work(image, map_, size, OFF))
    cuts = np.linspace(0, size[0], threads + 1).astype(int)
    parts = pool.map(lambda k: ENGINE.warp(Work(image, map_, size, OFF), rows=(cuts[k], cuts[k + 1])), range(threads))
    return np.concatenate(list(parts))


def compare(runs, ours, theirs):
    """Alternating; (median seconds, median seconds, quartiles of the ratio, CPU seconds, CPU seconds)."""
    results = ours(), theirs()
    times, cpu = ([], []), [0.0, 0.0]
    for run in range(2 * runs):
        which = run % 2
        wall, busy = time.perf_counter(), time.process_time()
        (ours, theirs)[which]()
        times[which].append(time.perf_counter() - wall)
        cpu[which] += (time.process_time() - busy) / runs
    ratio = np.quantile(np.array(times[1]) / np.array(times[0]), (0.25, 0.5, 0.75))
    return results, np.median(times[0]), np.median(times[1]), ratio, cpu


def error(result, image, map_, size):
    """The largest difference from float64 over sixty rows."""
    worst = 0.0
    points = map_.grid(size) if map_.matrix() is None and size[0] < 2000 else None
    for row in np.linspace(0, size[0] - 1, 60).astype(int):
        if points is None:
            xy = np.stack(
                [(2 * np.arange(size[1]) + 1) / size[1] - 1, np.full(size[1], (2 * row + 1) / size[0] - 1)], -1
            )
            at = map_.points(xy)[None]
        else:
            at = points[row : row + 1]
        at = ((at + 1) * (size[1], size[0]) - 1) / 2
        expected = reference.gather(error.plane, 8, at[..., 0], at[..., 1], "bilinear")
        worst = max(worst, reference.difference(result[row : row + 1], expected))
    return worst


def line(name, size, channels, measured, errors):
    _, ours, theirs, ratio, cpu = measured
    print(
        f"| {name} | {size[1]}×{size[0]}×{channels} | {ours * 1e3:.2f} | {theirs * 1e3:.2f} | **{ratio[1]:.2f}** "
        f"({ratio[0]:.2f}–{ratio[2]:.2f}) | {cpu[0] * 1e3:.1f} / {cpu[1] * 1e3:.1f} | {errors[0]:.2f} / {errors[1]:.2f} |",
        flush=True,
    )


def others(runs, rng):
    """The other kernels, depths and paddings, RGB, turned; and a reduction to a quarter beside INTER_AREA."""
    size, quarter, tenth = (1080, 1920), (270, 480), (108, 192)
    map_ = turned(size)
    matrix = map_.pixel_matrix(size, size)[:2]
    upright, inclined = Transformation.from_matrix(np.eye(3)), turned(size, 30, 1.0)
    print(
        "\n| 1920×1080×3 | | stn, ms | OpenCV, ms | ratio (quartiles) | CPU ms, both |\n| --- | --- | --- | --- | --- | --- |"
    )
    for kind, top in ((np.uint8, 255), (np.uint16, 65535), (np.float32, 1)):
        image = (rng.random((*size, 3)) * top).astype(kind)
        for name, flag in (
            ("nearest", cv2.INTER_NEAREST), ("bilinear", cv2.INTER_LINEAR), ("bicubic", cv2.INTER_CUBIC),
        ):  # fmt: skip
            sampling, flags = Sampling(name, antialias="off"), flag | cv2.WARP_INVERSE_MAP
            row(
                np.dtype(kind).name, name, compare(
                    runs,
                    lambda image=image, sampling=sampling: ENGINE.warp(Work(image, map_, size, sampling)),
                    lambda image=image, flags=flags: cv2.warpAffine(image, matrix, size[::-1], flags=flags),
                ),
            )  # fmt: skip

        def reduced(to, image=image):
            return cv2.resize(image, to[::-1], interpolation=cv2.INTER_AREA)

        def reduced_and_turned(to, reduced=reduced):
            after = turned(to, 30, 1.0).pixel_matrix(to, to)[:2]
            return cv2.warpAffine(reduced(to), after, to[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

        for name, made, to, theirs in (
            ("to a quarter", upright, quarter, reduced), ("to a quarter, turned", inclined, quarter, reduced_and_turned),
            ("to a tenth, turned", inclined, tenth, reduced_and_turned),
        ):  # fmt: skip
            ours = lambda image=image, made=made, to=to: ENGINE.warp(Work(image, made, to, Sampling()))  # noqa: E731
            row(np.dtype(kind).name, name, compare(runs, ours, lambda theirs=theirs, to=to: theirs(to)))
        decoded = np.ascontiguousarray(image[:750, :1000])  # what is left of 4000×3000 decoded at 1/4
        row(
            np.dtype(kind).name, "1000×750 to 800×600", compare(
                runs,
                lambda decoded=decoded: ENGINE.warp(Work(decoded, upright, (600, 800), Sampling(antialias="on"))),
                lambda decoded=decoded: cv2.resize(decoded, (800, 600), interpolation=cv2.INTER_AREA),
            ),
        )  # fmt: skip
    image, flags = rng.integers(0, 256, (*size, 3)).astype(np.uint8), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for padding, mode in (("border", cv2.BORDER_REPLICATE), ("reflection", cv2.BORDER_REFLECT)):
        sampling = Sampling(padding=padding, antialias="off")
        row(
            "uint8", f"bilinear, {padding}", compare(
                runs,
                lambda sampling=sampling: ENGINE.warp(Work(image, map_, size, sampling)),
                lambda mode=mode: cv2.warpAffine(image, matrix, size[::-1], flags=flags, borderMode=mode),
            ),
        )  # fmt: skip


def row(kind, name, measured):
    _, ours, theirs, ratio, cpu = measured
    print(
        f"| {kind} | {name} | {ours * 1e3:.2f} | {theirs * 1e3:.2f} | **{ratio[1]:.2f}** ({ratio[0]:.2f}–{ratio[2]:.2f}) "
        f"| {cpu[0] * 1e3:.1f} / {cpu[1] * 1e3:.1f} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--others", action="store_true", help="only the other kernels, depths, paddings and reductions")
    options = parser.parse_args()
    cv2.setNumThreads(options.threads)
    pool = ThreadPoolExecutor(options.threads)
    print(f"numpy {np.__version__}, OpenCV {cv2.__version__}, {options.threads} thread(s), {options.runs} runs\n")
    if options.others:
        others(options.runs, np.random.default_rng(0))
        return
    print("| | size | stn, ms | OpenCV, ms | ratio (quartiles) | CPU ms, both | off float64, both |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rng = np.random.default_rng(0)
    for size in SIZES:
        for channels in (3, 4, 1):
            image = rng.integers(0, 256, (*size, channels)).astype(np.uint8)
            error.plane = np.pad(image, ((8, 8), (8, 8), (0, 0)))
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            for name, map_ in (
                ("affine", turned(size)), ("projective", tilted(size)), ("TPS, 25 points", bent(size)),
                ("piecewise affine, 25 points", folded(size)),
            ):  # fmt: skip
                if channels != 3 and map_.matrix() is None:
                    continue
                runs = options.runs if map_.matrix() is not None else max(options.runs // 5, 3)
                matrix = map_.pixel_matrix(size, size)

                def theirs(name=name, map_=map_, matrix=matrix, image=image, size=size, flags=flags):
                    if name == "affine":
                        return cv2.warpAffine(image, matrix[:2], size[::-1], flags=flags)
                    if name == "projective":
                        return cv2.warpPerspective(image, matrix, size[::-1], flags=flags)
                    return cv2.remap(image, *IN_NUMPY[map_.family.name](map_, size), cv2.INTER_LINEAR)

                def ours(map_=map_, image=image, size=size):
                    lattice_for.cache_clear()  # a folder would make the grid once; here every run pays for it
                    return strips(image, map_, size, options.threads, pool)

                measured = compare(runs, ours, theirs)
                errors = [error(r.reshape(*size, channels), image, map_, size) for r in measured[0]]
                line(name, size, channels, measured, errors)
    for channels in (1, 3):
        images = rng.integers(0, 256, (256, 28, 28, channels)).astype(np.uint8)
        angle = rng.uniform(-1.5, 1.5, 256)
        zero = np.zeros(256)
        theta = np.stack([np.cos(angle), -np.sin(angle), zero, np.sin(angle), np.cos(angle), zero], -1)
        family = make("affine")
        matrices = pixel_matrices(family.matrix(theta), (28, 28), (28, 28))[:, :2].copy()
        measured = compare(
            options.runs * 5,
            lambda images=images, family=family, theta=theta: ENGINE.warp_batch(images, family, theta, (28, 28), OFF),
            lambda images=images, matrices=matrices: [
                cv2.warpAffine(u, m, (28, 28), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
                for u, m in zip(images, matrices, strict=True)
            ],
        )
        error.plane = np.pad(images[0], ((8, 8), (8, 8), (0, 0)))
        both = measured[0][0][0], measured[0][1][0].reshape(28, 28, channels)
        errors = [error(r, images[0], Transformation(family, theta[0]), (28, 28)) for r in both]
        line("256 images in one call", (28, 28), channels, measured, errors)
    others(options.runs, rng)


if __name__ == "__main__":
    main()
