"""The GPU engine, checked and measured in one run of under five minutes: python -m tests.benchmarks.gpu [--check | --tune]

Needs a CUDA device and Triton; nvJPEG's part needs torchvision built for it (extra nvjpeg). `--check` stops after the checks
and fails where they do. What is printed:

1. The worst difference from float64 on random θ, all families, odd sizes, outputs poisoned and framed; in the last rows of
   4096² and 20,000 pixels; in an image of more than 2³¹ bytes.
2. The kernel alone: medians of device events around replays of a CUDA graph (no host in between), over inputs that rotate and
   exceed the cache, beside the bytes that must move (pixels of U that any output pixel reads, once, and V, once) over the
   measured copy bandwidth, and beside `affine_grid` + `grid_sample` from uint8 to uint8, replayed in the same way.
3. From host to host through threads; nvJPEG beside libjpeg-turbo; a folder end to end on the CPU, on the GPU, and there with
   nvJPEG, in turns.

All of it is also written to docs/benchmarks/gpu-NAME-OF-THE-CARD.md (`--out` says another folder). Nothing is downloaded; a part
that misses a library is left out and says so. `--tune` times other tile heights, warps and registers for the first row of 2.
"""

import argparse
import datetime
import importlib.metadata
import itertools
import re
import statistics
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from stn_cli.core.coordinates import target_grid
from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work, card, cuda, gathering, jpeg_on
from stn_cli.errors import MissingError
from tests.benchmarks.gpu_checks import check, check_far, check_large

PHOTO, FILES = (1080, 1920), 400  # what nvJPEG and the folder are measured on
ROTATING = 512 << 20  # bytes in and out of the inputs that rotate: several times any cache
OUT = Path(__file__).parents[2] / "docs" / "benchmarks"


class Report:
    """What is printed, kept as Markdown too."""

    def __init__(self):
        self.lines = []

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def part(self, name, run, *given):
        """One part of the measurements; what it misses does not take the others along."""
        self.say(f"\n## {name}\n")
        start = time.perf_counter()
        try:
            run(self, *given)
        except ImportError as missing:
            self.say(f"left out: {missing}")
        except Exception as error:
            traceback.print_exc()
            self.say(f"failed: {type(error).__name__}: {error}")
        print(f"({time.perf_counter() - start:.0f} s)", flush=True)

    def write(self, folder, device):
        folder.mkdir(parents=True, exist_ok=True)
        name = "gpu-" + re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") + ".md"
        (folder / name).write_text("\n".join(self.lines) + "\n", encoding="utf-8")
        print(f"\nwritten to {folder / name}")


def turned(size, degrees=30):
    """Content turned about the middle in pixels, whatever the shape of the image."""
    (height, width), angle = size, np.radians(degrees)
    c, s = np.cos(angle), np.sin(angle)
    return Transformation(make("affine"), np.array([c, -s * height / width, 0, s * width / height, c, 0]))


def replayed(calls, count=40):
    """Median milliseconds of one of `calls`, replayed one after the other as a CUDA graph."""
    torch.cuda.synchronize()  # streams of torch's do not wait for the one on which inputs and tables were sent
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


def touched(map_, size, device="cuda", band=256):
    """The part of U that a bilinear V of the same size reads."""
    like = {"dtype": torch.float64, "device": device}
    theta, scale = torch.tensor(map_.theta, **like), torch.tensor([size[1], size[0]], device=device)
    target = target_grid(torch, size, **like)
    seen = torch.zeros(size, dtype=torch.bool, device=device)
    for rows in target.split(band):
        corner = torch.floor(((map_.family.points(theta, rows)[0] + 1) * scale - 1) / 2).long().reshape(-1, 2)
        for i, j in ((0, 0), (1, 0), (0, 1), (1, 1)):
            x, y = corner[:, 0] + i, corner[:, 1] + j
            inside = (x >= 0) & (x < size[1]) & (y >= 0) & (y < size[0])
            seen[y[inside], x[inside]] = True
    return float(seen.float().mean())


def warps(engine, map_, size, channels, planar, sampling):
    """Calls of the kernel, each on an input and output of its own."""
    shape = (channels, *size) if planar else (*size, channels)
    count = max(6, ROTATING // (2 * int(np.prod(shape))))
    inputs = [torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda") for _ in range(count)]
    made = [engine.launches([u], [map_], [size], [torch.empty_like(u)], sampling, planar=planar) for u in inputs]
    return [launch for (launch,) in made], inputs


def peers(map_, size, channels, inputs):
    """What is written without stn: uint8 → float32, affine_grid, grid_sample, uint8."""
    theta = torch.from_numpy(map_.matrix()[None, :2]).float().cuda()

    def call(u):
        U = u.permute(2, 0, 1)[None].float()
        V = F.grid_sample(U, F.affine_grid(theta, [1, channels, *size], align_corners=False), align_corners=False)
        return V.round_().clamp_(0, 255).to(torch.uint8)[0].permute(1, 2, 0).contiguous()

    return [lambda u=u: call(u) for u in inputs[:2]]


def kernels(report, engine):
    bandwidth = copy_bandwidth()
    report.say(f"device copy: {bandwidth:.0f} GB/s read and written\n")
    report.say("| map | size | ms | of the roofline | grid_sample, ms | ratio |\n| --- | --- | --- | --- | --- | --- |")
    family = make("tps", shape=(4, 4))
    bent = Transformation(family, np.array(family.identity()) + np.random.default_rng(0).normal(0, 0.03, family.size))
    tilted = Transformation(make("projective"), np.array([0.9, 0.1, 0, -0.1, 0.9, 0, 0.1, 0.05]))
    for size, channels, planar in (
        ((4096, 4096), 4, False), ((1080, 1920), 4, False), ((1080, 1920), 3, False), ((1080, 1920), 3, True),
    ):  # fmt: skip
        for name, map_ in (("turn by 30°", turned(size)), ("projective", tilted), ("TPS, 16 points", bent)):
            calls, inputs = warps(engine, map_, size, channels, planar, Sampling(antialias="off"))
            mine = replayed(calls)
            floor = np.prod(size) * channels * (1 + touched(map_, size)) / bandwidth / 1e6
            row = f"| {name} | {size[1]}×{size[0]}×{channels}{' planar' if planar else ''} | {mine:.3f} | {floor / mine:.0%} |"
            if name == "turn by 30°" and not planar:
                peer = replayed(peers(map_, size, channels, inputs), 10)
                row += f" {peer:.3f} | {peer / mine:.1f} |"
            else:
                row += " | |"
            report.say(row)


def tune(report, engine):
    report.say("| steps | warps | registers at most | 4096×4096×4, turn by 30°, ms |\n| --- | --- | --- | --- |")
    for steps, count, registers in itertools.product((1, 2, 4, 8), (2, 4, 8), (None, 80, 64)):
        cuda.STEPS = steps
        cuda.BUILD["num_warps"], cuda.BLEND_BUILD["maxnreg"] = count, registers
        calls, _ = warps(engine, turned((4096, 4096)), (4096, 4096), 4, False, Sampling(antialias="off"))
        report.say(f"| {steps} | {count} | {registers or 'any'} | {replayed(calls):.3f} |")


def host_to_host(report, engine):
    image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
    work = Work(image, turned((1080, 1920)), (1080, 1920), Sampling())
    gathered = gathering(engine, None)[0]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: gathered.warp(work), range(40)))
        start = time.perf_counter()
        list(pool.map(lambda _: gathered.warp(work), range(400)))
    report.say(f"20 threads, 1920×1080×3: {400 / (time.perf_counter() - start):.0f} images/s")


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


def nvjpeg(report, codec):
    """Both directions beside libjpeg-turbo: how far apart, and how fast with 20 threads."""
    import simplejpeg

    report.say("| chroma | apart by: mean, 99.9 %, most | decoded/s | libjpeg-turbo | encoded/s | libjpeg-turbo |")
    report.say("| --- | --- | --- | --- | --- | --- |")
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
        report.say(f"| {':'.join(chroma)} | {figures} | " + " | ".join(f"{r:.0f}" for r in rates) + " |")


def folder(report, engine, codec):
    """`FILES` JPEGs turned by 30°, in turns on each; images/s, median of three."""
    from stn_cli.commands.options import SamplingOptions, ThetaOptions
    from stn_cli.commands.sources import source
    from stn_cli.commands.warping import Warper
    from stn_cli.engines.cpu import CpuEngine
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
    report.say(f"{FILES} JPEGs (4:4:4) of {PHOTO[1]}×{PHOTO[0]}, {cpus()} CPUs, images/s (least to most of three):\n")
    for name, found in rates.items():
        report.say(f"- {name}: {statistics.median(found):.0f} ({min(found):.0f} to {max(found):.0f})")


def checks(report, engine, failed):
    worst, far, large = check(engine, 8), check_far(engine), check_large(engine)
    report.say(
        f"worst difference from float64: {worst:.2f} levels; in large images: {far:.2f}; beyond 2³¹ bytes: {large}"
    )
    failed[:] = [] if worst <= 1 and far <= 1 and large <= 1 else ["a difference of more than one level"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="the checks only; exit code 1 where one fails")
    parser.add_argument("--tune", action="store_true", help="time other tile heights, warps and registers instead")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    options = parser.parse_args()
    try:
        card.expect_cuda()
    except MissingError as missing:
        sys.exit(str(missing))
    if why := card.why_no_triton():
        sys.exit(why)
    engine, report, failed = cuda.CudaEngine(), Report(), ["the checks did not end"]
    device, triton = torch.cuda.get_device_name(), importlib.metadata.version("triton")
    report.say(
        f"# {device}\n\n`python -m tests.benchmarks.gpu`, {datetime.date.today()}, torch {torch.__version__}, Triton {triton}"
    )
    start = time.perf_counter()
    report.part("Checks", checks, engine, failed)
    if failed:
        sys.exit(failed[0])
    if options.check:
        return
    report.part("The kernel alone", kernels, engine)
    if options.tune:
        report.part("Other shapes", tune, engine)
    else:
        codec, why = jpeg_on(gathering(engine, None)[0])
        report.part("Host to host", host_to_host, engine)
        if codec is not None:
            report.part(f"JPEG by nvJPEG: {why}", nvjpeg, codec)
        else:
            report.say(f"\nno nvJPEG: {why}")
        report.part("A folder end to end", folder, engine, codec)
    report.write(options.out, device)
    print(f"all in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
