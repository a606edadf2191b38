"""The GPU engine beside float64, on whatever it runs: a card, or Triton's interpreter. `gpu` runs it before it measures."""

import numpy as np
import torch

from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work, tables
from tests.engines import reference

# Family, kernel, padding, antialias, channels, alpha. Each is compiled once, a few seconds; all at all would take an hour.
VARIANTS = (
    ("affine", "bilinear", "zeros", "off", 4, False), ("affine", "bilinear", "fill", "auto", 3, False),
    ("affine", "bilinear", "zeros", "on", 4, True), ("affine", "bilinear", "reflection", "off", 1, False),
    ("affine", "bicubic", "border", "auto", 3, False), ("affine", "bicubic", "fill", "off", 4, False),
    ("similarity", "bilinear", "border", "off", 2, True), ("attention", "bilinear", "zeros", "auto", 3, False),
    ("projective", "bilinear", "zeros", "off", 4, False), ("projective", "bilinear", "fill", "auto", 3, False),
    ("projective", "bicubic", "reflection", "off", 2, True), ("projective", "bilinear", "border", "off", 1, False),
    ("tps", "bilinear", "zeros", "off", 4, False), ("tps", "bilinear", "border", "auto", 3, False),
    ("tps", "bicubic", "fill", "on", 4, True),
    ("piecewise-affine", "bilinear", "zeros", "auto", 3, False), ("flow", "bicubic", "border", "off", 1, False),
)  # fmt: skip
LARGEST = 250  # pixels an axis
OPTIONS = {"tps": {"shape": (3, 4)}, "piecewise-affine": {"shape": (3, 3)}, "flow": {"shape": (9, 11)}}


def check(engine, rounds):
    """The worst difference from float64; every pixel written, nothing else touched."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for number in range(rounds * len(VARIANTS)):
        name, kernel, padding, antialias, channels, alpha = VARIANTS[number % len(VARIANTS)]
        family = make(name, **OPTIONS.get(name, {}))
        theta = np.array(family.identity()) + rng.choice([0.02, 0.3]) * rng.standard_normal(family.size)
        map_ = Transformation(family, theta)
        size, out_size = (tuple(int(v) for v in rng.integers(2, rng.choice([40, LARGEST]), 2)) for _ in range(2))
        fill = tuple(rng.uniform(0, 255, channels)) if padding == "fill" else None
        sampling = Sampling(kernel, padding, fill, bool(number % 2), antialias)
        image = rng.integers(0, 256, (*size, channels)).astype(np.uint8)
        points = reference.input_points(map_, size, out_size, sampling.align_corners)
        if points.min() < -380 or points.max() > 630:
            continue
        work = Work(image, map_, out_size, sampling, alpha)
        result = framed(engine, work, bool(rng.integers(2))) if tables.serves(work) else engine.warp(work)
        off = reference.difference(result, reference.warp(image, points, sampling, alpha=alpha))
        if not off <= 1:
            print(f"  {name} {theta} {size} → {out_size} ×{channels} {sampling} alpha={alpha}: off by {off:.2f}")
        worst = max(worst, off)
    return worst


def framed(engine, work, planar):
    """The result, written into the middle of a poisoned room."""
    order = (2, 0, 1) if planar else (0, 1, 2)
    room = torch.full((work.out_size[0] + 6, work.out_size[1] + 6, work.image.shape[2]), 171, dtype=torch.uint8)
    room = room.permute(order).contiguous().to(engine.device)
    view = room[:, 3:-3, 3:-3] if planar else room[3:-3, 3:-3]
    source = torch.from_numpy(work.image).permute(order).contiguous().to(engine.device)
    maps, sizes = [work.transformation], [work.out_size]
    engine.warp_tensors([source], maps, sizes, work.sampling, alpha=work.alpha, planar=planar, outputs=[view])
    result = view.cpu().numpy().copy()
    view.fill_(171)
    assert bool((room == 171).all()), "wrote outside the output"
    return result.transpose(1, 2, 0) if planar else result


def check_large(engine):
    """The last corner of an image of more than 2³¹ bytes, by a translation in whole pixels."""
    side, part = 47_000, 1000
    image = torch.randint(0, 256, (side, side, 1), dtype=torch.uint8, device=engine.device)
    zoom, shift = part / side, 1 - part / side
    map_ = Transformation(make("affine"), np.array([zoom, 0, shift, 0, zoom, shift]))
    (found,) = engine.warp_tensors([image], [map_], [(part, part)], Sampling())
    return int((found.int() - image[-part:, -part:].int()).abs().max())


def check_far(engine, sizes=((4096, 4096), (300, 20_000))):
    """The worst difference from float64 in some rows of large outputs: noise of black and white, where a position counts most."""
    rng, worst = np.random.default_rng(1), 0.0
    for size in sizes:
        image = np.where(rng.random((*size, 4)) < 0.5, 0, 255).astype(np.uint8)
        spline = make("tps", shape=(3, 3))
        maps = {
            "affine": np.array([0.87, -0.5 * size[0] / size[1], 0.01, 0.5, 0.87, -0.02]),
            "projective": np.array([0.9, 0.1, 0, -0.1, 0.9, 0, 0.1, 0.05]),
            "tps": np.array(spline.identity()) + 0.01 * rng.standard_normal(spline.size),
        }
        last = size[0] - 64
        for name, theta in maps.items():
            map_ = Transformation(make(name, shape=(3, 3)) if name == "tps" else make(name), theta)
            sampling = Sampling("bilinear", "border", antialias="off")
            result = engine.warp(Work(image, map_, size, sampling), (last, last + 32))
            points = reference.input_points(map_, size, size)[last : last + 32]
            # float32 may read a spline OFF pixels beside: no more than that much of the step from black to white
            allowed = 255 * 2 * tables.OFF if name == "tps" else 0
            off = reference.difference(result, reference.warp(image, points, sampling)) - allowed
            print(f"  {name}, {size[1]}×{size[0]}: {off + allowed:.2f} levels", flush=True)
            worst = max(worst, off)
    return worst
