"""The GPU engine, checked and measured in one run of under five minutes: python -m tests.benchmarks.gpu [--check | --tune]

Needs a CUDA device and Triton; nvJPEG's part needs torchvision built for it (extra nvjpeg). `--check` stops after the checks
and fails where they do. What is printed:

1. The worst difference from float64 on random θ, all families, odd sizes, outputs poisoned and framed; an image of more than
   2³¹ bytes.
2. The kernel alone: medians of device events around replays of a CUDA graph (no host in between), over inputs that rotate and
   exceed the cache, beside the bytes that must move (pixels of U that any output pixel reads, once, and V, once) over the
   measured copy bandwidth, and beside `affine_grid` + `grid_sample` from uint8 to uint8, replayed in the same way.
3. From host to host through threads; nvJPEG beside libjpeg-turbo; a folder end to end on the CPU, on the GPU, and there with
   nvJPEG, in turns.

`--tune` times other tile heights and warps for the first row of 2. Nothing in docs/performance.md comes from here yet: no GPU
was at hand.
"""

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work, cuda, gathering, jpeg_on, tables
from stn_cli.engines.cpu import CpuEngine
from tests.benchmarks.kernel import turned
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
PHOTO, FILES = (1080, 1920), 400  # what nvJPEG and the folder are measured on
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
        size, out_size = (tuple(int(v) for v in rng.integers(2, rng.choice([40, 250]), 2)) for _ in range(2))
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


def replayed(calls, count=40):
    """Median milliseconds of one of `calls`, replayed one after the other as a CUDA graph."""
    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        for call in calls:
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    times = []
    for number in range(count + 5):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        if number >= 5:
            times.append(begin.elapsed_time(end) / len(calls))
    return statistics.median(times)


def copy_bandwidth():
    """GB/s read and written by device copies between six pairs of 64 MB."""
    pairs = [torch.randint(0, 256, (2, 1 << 26), dtype=torch.uint8, device="cuda") for _ in range(6)]
    return 2 * (1 << 26) / replayed([lambda p=p: p[1].copy_(p[0]) for p in pairs]) / 1e6


def touched(map_, size):
    """The part of U that a bilinear V of the same size reads."""
    grid = torch.from_numpy(map_.grid(size).astype(np.float32)).cuda().reshape(-1, 2)
    corner = torch.floor(((grid + 1) * torch.tensor([size[1], size[0]], device="cuda") - 1) / 2).long()
    seen = torch.zeros(size, dtype=torch.bool, device="cuda")
    for i, j in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = corner[:, 0] + i, corner[:, 1] + j
        inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
        seen[y[inside], x[inside]] = True
    return float(seen.float().mean())


def warps(engine, map_, size, channels, planar, sampling):
    """Six calls of the kernel, each on an input and output of its own."""
    shape = (channels, *size) if planar else (*size, channels)
    inputs = [torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda") for _ in range(6)]
    made = [engine.launches([u], [map_], [torch.empty_like(u)], sampling, planar=planar) for u in inputs]
    return [launch for (launch,) in made], inputs


def peers(map_, size, channels, inputs):
    """What is written without stn: uint8 → float32, affine_grid, grid_sample, uint8."""
    theta = torch.from_numpy(map_.matrix()[None, :2]).float().cuda()

    def call(u):
        U = u.permute(2, 0, 1)[None].float()
        V = F.grid_sample(U, F.affine_grid(theta, [1, channels, *size], align_corners=False), align_corners=False)
        return V.round_().clamp_(0, 255).to(torch.uint8)[0].permute(1, 2, 0).contiguous()

    return [lambda u=u: call(u) for u in inputs[:2]]


def kernels(engine):
    bandwidth = copy_bandwidth()
    print(f"\ndevice copy: {bandwidth:.0f} GB/s read and written\n")
    print("| map | size | ms | of the roofline | grid_sample, ms | ratio |\n| --- | --- | --- | --- | --- | --- |")
    family = make("tps", shape=(4, 4))
    bent = Transformation(family, np.array(family.identity()) + np.random.default_rng(0).normal(0, 0.03, family.size))
    tilted = Transformation(make("projective"), np.array([0.9, 0.1, 0, -0.1, 0.9, 0, 0.1, 0.05]))
    for size, channels, planar in (
        ((4096, 4096), 4, False), ((1080, 1920), 4, False), ((1080, 1920), 3, False), ((1080, 1920), 3, True),
    ):  # fmt: skip
        for name, map_ in (("turn by 30°", turned(size, zoom=1)), ("projective", tilted), ("TPS, 16 points", bent)):
            calls, inputs = warps(engine, map_, size, channels, planar, Sampling(antialias="off"))
            mine = replayed(calls)
            floor = np.prod(size) * channels * (1 + touched(map_, size)) / bandwidth / 1e6
            row = f"| {name} | {size[1]}×{size[0]}×{channels}{' planar' if planar else ''} | {mine:.3f} | {floor / mine:.0%} |"
            if name == "turn by 30°" and not planar:
                peer = replayed(peers(map_, size, channels, inputs), 10)
                row += f" {peer:.3f} | {peer / mine:.1f} |"
            else:
                row += " | |"
            print(row, flush=True)


def tune(engine):
    print("\n| steps | warps | 4096×4096×4, turn by 30°, ms |\n| --- | --- | --- |")
    for steps in (1, 2, 4, 8):
        for count in (2, 4, 8):
            cuda.STEPS, cuda.BUILD["num_warps"] = steps, count
            calls, _ = warps(engine, turned((4096, 4096), zoom=1), (4096, 4096), 4, False, Sampling(antialias="off"))
            print(f"| {steps} | {count} | {replayed(calls):.3f} |", flush=True)


def host_to_host(engine):
    image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
    work = Work(image, turned((1080, 1920), zoom=1), (1080, 1920), Sampling())
    gathered = gathering(engine, None)[0]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: gathered.warp(work), range(40)))
        start = time.perf_counter()
        list(pool.map(lambda _: gathered.warp(work), range(400)))
    print(f"\nhost to host, 20 threads, 1920×1080×3: {400 / (time.perf_counter() - start):.0f} images/s")


def photographs(count, subsampling):
    """JPEG files of `PHOTO`: smooth colours, edges and noise."""
    import simplejpeg

    y, x = np.mgrid[0 : PHOTO[0], 0 : PHOTO[1]].astype(np.float32)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        waves = [128 + 90 * np.sin(x / rng.uniform(9, 200) + y / rng.uniform(9, 200)) for _ in range(3)]
        pixels = np.stack(waves, -1) + rng.normal(0, 4, (*PHOTO, 1))
        pixels[(x - PHOTO[1] / 2) ** 2 + (y - PHOTO[0] / 2) ** 2 < (PHOTO[0] / 4) ** 2] = rng.uniform(0, 255, 3)
        yield simplejpeg.encode_jpeg(np.clip(pixels, 0, 255).astype(np.uint8), 90, "RGB", subsampling)


def nvjpeg(codec):
    """Both directions beside libjpeg-turbo: how far apart, and how fast with 20 threads."""
    import simplejpeg

    print("\n| chroma | apart by: mean, 99.9 %, most | decoded/s | libjpeg-turbo | encoded/s | libjpeg-turbo |")
    print("| --- | --- | --- | --- | --- | --- |")
    for chroma in ("444", "420"):
        files = list(photographs(20, chroma))
        here = [simplejpeg.decode_jpeg(data) for data in files]
        there = [codec.decode(data, PHOTO) for data in files]
        apart = np.abs(np.asarray(there[0]).astype(int) - here[0])
        back = simplejpeg.decode_jpeg(codec.encode(there[0].planes, 90, "444")).astype(int)
        assert np.abs(back - np.asarray(there[0])).mean() < 4, "what was encoded is not the picture"
        with ThreadPoolExecutor(20) as pool:

            def rate(call, items, pool=pool):
                list(pool.map(call, items))
                start = time.perf_counter()
                list(pool.map(call, items * 5))
                return 5 * len(items) / (time.perf_counter() - start)

            rates = (
                rate(lambda data: codec.decode(data, PHOTO), files), rate(simplejpeg.decode_jpeg, files),
                rate(lambda u: codec.encode(u.planes, 90, "444"), there), rate(lambda u: simplejpeg.encode_jpeg(u, 90), here),
            )  # fmt: skip
        figures = f"{apart.mean():.2f}, {np.quantile(apart, 0.999):.0f}, {apart.max()}"
        print(f"| {':'.join(chroma)} | {figures} | " + " | ".join(f"{r:.0f}" for r in rates) + " |", flush=True)


def folder(engine, codec):
    """`FILES` JPEGs turned by 30°, in turns on each; images/s, median of three."""
    from stn_cli.commands.options import SamplingOptions, ThetaOptions
    from stn_cli.commands.sources import source
    from stn_cli.commands.warping import Warper
    from stn_cli.folders.pipeline import cpus, run
    from stn_cli.folders.plan import make_plan

    ways = {"cpu": (CpuEngine(), None, 0), "gpu, libjpeg-turbo": (*gathering(engine, None)[:1], None, 16)}
    if codec is not None:
        ways["gpu, nvJPEG"] = (*gathering(engine, None)[:1], codec, 32)
    rates = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as scratch:
        inputs = Path(scratch) / "in"
        inputs.mkdir()
        few = list(photographs(20, "444"))  # else torchvision's encoder would have nothing to do
        for number in range(FILES):
            (inputs / f"{number:03}.jpg").write_bytes(few[number % 20])
        for turn in range(3):
            for name, (taken, coder, waiting) in ways.items():
                plan = make_plan([inputs], Path(scratch) / f"{name} {turn}")
                warper = Warper(source(ThetaOptions(rotate="30")), taken, SamplingOptions(), jpeg=coder)
                results = run(plan, warper, reading=warper.reading, workers=cpus() + waiting)
                assert len(results.done) == FILES, results.failed[:1]
                rates[name].append(FILES / results.seconds)
    print(f"\n{FILES} JPEGs (4:4:4) of {PHOTO[1]}×{PHOTO[0]}, {cpus()} CPUs, images/s: ", end="")
    print(", ".join(f"{name} {statistics.median(found):.0f}" for name, found in rates.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="the checks only; exit code 1 where one fails")
    parser.add_argument("--tune", action="store_true", help="also time other tile heights and warps")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this needs a CUDA device: torch finds none")
    engine = cuda.CudaEngine()
    codec, why = jpeg_on(gathering(engine, None)[0])
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    print(f"JPEG by {codec.name if codec else 'libjpeg-turbo'}: {why}")
    start = time.perf_counter()
    worst, large = check(engine, 8), check_large(engine)
    print(f"worst difference from float64: {worst:.2f} levels; beyond 2³¹ bytes: {large}")
    print(f"checked in {time.perf_counter() - start:.0f} s", flush=True)
    if options.check:
        sys.exit(int(not (worst <= 1 and large <= 1)))
    kernels(engine)
    if options.tune:
        tune(engine)
        return
    host_to_host(engine)
    if codec is not None:
        nvjpeg(codec)
    folder(engine, codec)
    print(f"\nall in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
