"""The GPU engine, checked and measured in one run of a few minutes: python -m tests.benchmarks.gpu [--quick]

First correctness on random θ, all families, odd sizes, poisoned outputs, against float64; then device-event medians over
rotating inputs larger than the cache, beside the bytes that must move over the measured copy bandwidth, and beside
`affine_grid` + `grid_sample` from uint8 to uint8; then images/s from host to host through threads.
Needs a CUDA device and Triton. Nothing in docs/performance.md comes from it yet: no GPU was at hand.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch.nn import functional as F

from stn_cli.core.families import FAMILIES, make
from stn_cli.core.sampling import KERNELS, PADDINGS, Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work
from tests.benchmarks.kernel import turned
from tests.engines import reference


def check(engine, rounds):
    """The worst difference from float64 over random jobs; every pixel written, nothing else touched."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for n in range(rounds):
        name = list(FAMILIES)[n % len(FAMILIES)]
        options = {"tps": {"shape": (3, 4)}, "piecewise-affine": {"shape": (3, 3)}, "flow": {"shape": (9, 11)}}.get(
            name, {}
        )
        family = make(name, **options)
        theta = np.array(family.identity()) + rng.choice([0.05, 0.4]) * rng.standard_normal(family.size)
        map_ = Transformation(family, theta)
        size, out_size = (tuple(int(v) for v in rng.integers(2, 140, 2)) for _ in range(2))
        channels = int(rng.integers(1, 5))
        padding = str(rng.choice(PADDINGS))
        fill = tuple(rng.uniform(0, 255, channels)) if padding == "fill" else None
        kernel = str(rng.choice(KERNELS[1:]))
        sampling = Sampling(kernel, padding, fill, bool(rng.integers(2)), str(rng.choice(["off", "auto", "on"])))
        alpha = channels in (2, 4) and bool(rng.integers(2))
        image = rng.integers(0, 256, (*size, channels)).astype(np.uint8)
        points = reference.input_points(map_, size, out_size, sampling.align_corners)
        if np.abs(points).max() > 300:
            continue
        expected = reference.warp(image, points, sampling, alpha=alpha)
        from stn_cli.engines.cuda import serves

        work = Work(image, map_, out_size, sampling, alpha)
        if serves(work):
            room = torch.full(
                (out_size[0] + 6, out_size[1] + 6, channels), 171, dtype=torch.uint8, device=engine.device
            )
            view = room[3:-3, 3:-3]
            (source,) = (torch.from_numpy(image).to(engine.device),)
            engine.warp_tensors([source], [map_], [out_size], sampling, alpha=alpha, outputs=[view])
            result = view.cpu().numpy().copy()
            view.fill_(171)
            assert bool((room == 171).all()), "wrote outside the output"
        else:
            result = engine.warp(work)
        off = reference.difference(result, expected)
        if off > 1:
            print(f"  {name} {size} → {out_size} ×{channels} {sampling} alpha={alpha}: off by {off:.2f}")
        worst = max(worst, off)
    return worst


def timed(work, count=40):
    """Median milliseconds of `work(k)`, by device events."""
    for k in range(5):
        work(k)
    torch.cuda.synchronize()
    times = []
    for k in range(count):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work(k)
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return float(np.median(times))


def copy_bandwidth():
    """GB/s read and written by a device copy of 256 MB."""
    a, b = (torch.randint(0, 256, (1 << 28,), dtype=torch.uint8, device="cuda") for _ in range(2))
    return 2 * a.numel() / timed(lambda k: a.copy_(b)) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the random jobs")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this needs a CUDA device: torch finds none")
    from stn_cli.engines.cuda import CudaEngine

    engine = CudaEngine()
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    start = time.perf_counter()
    print(f"worst difference from float64: {check(engine, 60 if options.quick else 600):.2f} levels")
    print(f"checked in {time.perf_counter() - start:.0f} s\n")

    bandwidth = copy_bandwidth()
    print(f"device copy: {bandwidth:.0f} GB/s read and written\n")
    print("| map | size | ms | of the roofline | grid_sample, ms | ratio |\n| --- | --- | --- | --- | --- | --- |")
    spline = make("tps", shape=(4, 4))
    bent = Transformation(spline, np.array(spline.identity()) + np.random.default_rng(0).normal(0, 0.03, spline.size))
    for size, channels in (((4096, 4096), 4), ((1080, 1920), 4), ((1080, 1920), 3)):
        inputs = [torch.randint(0, 256, (*size, channels), dtype=torch.uint8, device="cuda") for _ in range(6)]
        outputs = [torch.empty_like(u) for u in inputs]
        tilted = Transformation(make("projective"), np.array([0.9, 0.1, 0, -0.1, 0.9, 0, 0.1, 0.05]))
        for name, map_ in (("turn by 30°", turned(size)), ("projective", tilted), ("TPS, 16 points", bent)):
            sampling = Sampling(antialias="off")

            def ours(k, map_=map_, size=size, inputs=inputs, outputs=outputs, sampling=sampling):
                i = k % len(inputs)
                engine.warp_tensors([inputs[i]], [map_], [size], sampling, outputs=[outputs[i]])

            grid = torch.from_numpy(map_.grid(size).astype(np.float32))
            read = float((grid.abs() <= 1).all(-1).float().mean()) if name != "turn by 30°" else 1.0
            moved = np.prod(size) * channels * (1 + min(read, 1.0))
            mine = timed(ours)
            theta = torch.from_numpy(map_.matrix()[None, :2]).float().cuda() if name == "turn by 30°" else None

            def theirs(k, theta=theta, size=size, channels=channels, inputs=inputs):
                U = inputs[k % len(inputs)].permute(2, 0, 1)[None].float()
                G = F.affine_grid(theta, [1, channels, *size], align_corners=False)
                V = F.grid_sample(U, G, align_corners=False)
                return V.round_().clamp_(0, 255).to(torch.uint8)[0].permute(1, 2, 0).contiguous()

            peer = timed(theirs, 20) if theta is not None else float("nan")
            share = moved / bandwidth / 1e6 / mine
            print(
                f"| {name} | {size[1]}×{size[0]}×{channels} | {mine:.3f} | {share:.0%} | {peer:.3f} | {peer / mine:.1f} |",
                flush=True,
            )
    image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
    map_ = turned((1080, 1920))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: engine.warp(Work(image, map_, (1080, 1920), Sampling())), range(8)))
        start = time.perf_counter()
        list(pool.map(lambda _: engine.warp(Work(image, map_, (1080, 1920), Sampling())), range(200)))
    print(f"\nhost to host, 4 threads, 1920×1080: {200 / (time.perf_counter() - start):.0f} images/s")


if __name__ == "__main__":
    main()
