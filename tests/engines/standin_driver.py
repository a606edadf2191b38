"""Triton without a GPU: its own launching and compiling for an H100, on a driver that launches nothing.

Prints as JSON how often each kind of work was launched and how many variants were compiled for it.
"""

import json
import sys

import numpy as np
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work, cuda, lanes
from stn_cli.engines.triton_kernel import BUILD, trial_kernel

launched: list[tuple] = []  # (machine code's handle, stream, grid)
loaded: list[bytes] = []


class Launcher:
    def __init__(self, src, metadata):
        pass

    def __call__(self, x, y, z, stream, function, *_):
        launched.append((function, stream, (x, y, z)))


class Utils:
    def load_binary(self, name, code, shared, device, *_):
        loaded.append(code)
        return len(loaded), len(loaded), 80, 0, 1024  # module, function, registers, spills, threads at most

    def get_device_properties(self, device):
        return {"max_shared_mem": 227 << 10, "multiprocessor_count": 132, "warpSize": 32}

    def unload_module(self, *_):
        pass


class Driver:
    utils, launcher_cls = Utils(), Launcher

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 7

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)


def main():
    driver.set_active(Driver())
    cuda.INTERPRETED = lanes.INTERPRETED = True  # tensors are on the CPU, and there are no streams
    engine, rng, found = cuda.CudaEngine(), np.random.default_rng(0), {}

    def count(name, run):
        before = len(launched), len(loaded)
        run()
        found[name] = {"launches": len(launched) - before[0], "compiled": len(loaded) - before[1]}

    def work(family, size, out_size):
        map_ = Transformation(family, np.array(family.identity()) + 0.01 * rng.standard_normal(family.size))
        return Work(rng.integers(0, 256, (*size, 4)).astype(np.uint8), map_, out_size, Sampling(antialias="off"))

    sizes = ((48, 64), (33, 47), (1, 1), (2, 900), (16, 16), (64, 5), (7, 7), (128, 32))
    affine, projective = make("affine"), make("projective")
    count("trial", lambda: trial_kernel[(1,)](torch.zeros(1, dtype=torch.int32), **BUILD))
    count("affine, eight sizes", lambda: [engine.warp(work(affine, size, size[::-1])) for size in sizes])
    count("a batch of two kinds", lambda: engine.warp_all([work(f, (9, 9), (9, 9)) for f in (affine, projective)] * 2))
    splines = [make("tps", shape=shape) for shape in ((3, 3), (3, 4), (4, 5))]
    count("splines of 9, 12 and 20 points", lambda: [engine.warp(work(f, (64, 64), (64, 64))) for f in splines])
    json.dump({**found, "streams": sorted({stream for _, stream, _ in launched})}, sys.stdout)


if __name__ == "__main__":
    main()
