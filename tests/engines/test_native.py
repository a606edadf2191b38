"""Kernels from object files: loaded without numba, never trusted when damaged, never needed to be writable."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from stn_cli.core import words
from stn_cli.core.sampling import Sampling
from stn_cli.engines import Work, native
from stn_cli.engines.cpu import CpuEngine

SIZE = (70, 80)


def warped(image: np.ndarray) -> np.ndarray:
    made = words.transformation(words.steps("rotate 20"), SIZE)
    return CpuEngine().warp(Work(image, made, SIZE, Sampling()))


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def kept(image):
    """The object file of the RGB kernel, which the cache holds once `warped` has run."""
    warped(image)
    (path,) = native.cache_root().glob(f"warp_rows-uint8-3-{native._digest()}.o")
    return path


EVERY_KERNEL = """
import sys
import numpy as np
from stn_cli.core import words
from stn_cli.core.families import make
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Work
from stn_cli.engines.cpu import CpuEngine

rng = np.random.default_rng(0)
turn = words.transformation(words.steps("rotate 20"), (40, 50))
shrink = words.transformation(words.steps("zoom 0.5"), (40, 50))  # rows above and below see nothing: a loop that is a memset
bends = [Transformation(make(n), np.array(make(n).identity()) + rng.normal(0, 0.02, 32)) for n in ("tps", "piecewise-affine")]
sums = []
for kind in (np.uint8, np.uint16, np.float32):
    for shape in ((40, 50, 3), (28, 28, 1), (300, 400, 1), (300, 400, 4)):
        image = (rng.random(shape) * 255).astype(kind)
        for made in (turn, shrink, *bends):
            for how in (Sampling(), Sampling(kernel="bicubic", padding="reflection"), Sampling(antialias="on")):
                out = CpuEngine().warp(Work(image, made, (shape[0] - 3, shape[1] + 5), how, shape[2] == 4))
                sums.append(float(out.astype(float).sum()))
print(sum(sums), "numba" in sys.modules)
"""


def test_a_warm_cache_gives_the_same_without_numba(kept):
    """Every kernel twice, each time in a fresh process: what is only there where numba is loaded would crash the second."""
    environment = {**os.environ, "STN_CACHE_DIR": str(kept.parents[1])}
    command = [sys.executable, "-c", EVERY_KERNEL]
    first, second = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    )
    assert second == [first[0], "False"]


def test_a_kernel_that_calls_a_library_is_refused(monkeypatch):
    """LLVM links what it does not find to address zero, without a word."""
    import numba
    from numba import carray, types

    from stn_cli.engines import entries

    def logarithm(numbers):
        array = carray(numbers, (1,))
        array[0] = np.log(array[0])

    kind = types.void(types.CPointer(numba.float64))
    monkeypatch.setattr(entries, "_mesh", lambda: (logarithm, kind))
    with pytest.raises(RuntimeError, match="mesh calls what has no address without numba: "):
        entries.compiled("mesh", None, 0, False)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-1], lambda b: b[:200] + bytes([b[200] ^ 1]) + b[201:], lambda b: b""],
    ids=["cut", "flipped", "empty"],
)
def test_a_damaged_file_is_not_loaded(kept, tmp_path, damage):
    copy = tmp_path / kept.name
    content = kept.read_bytes()
    copy.write_bytes(content)
    assert native._read(copy) is not None
    copy.write_bytes(damage(content))
    assert native._read(copy) is None


def test_where_nothing_can_be_written_nothing_breaks(tmp_path):
    (tmp_path / "file").write_text("in the way")
    native._write(tmp_path / "file" / "kernels" / "k.o", "symbol", b"code")
    native._write(tmp_path / "k.o", "symbol", b"code")
    assert native._read(tmp_path / "k.o") == ("symbol", b"code")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "k.o"]


def test_calls_leave_the_interpreter_to_others():
    large = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    made = words.transformation(words.steps("rotate 20"), large.shape[:2])
    beats, done = [0], threading.Event()

    def beat() -> None:
        while not done.wait(0.0005):
            beats[0] += 1

    CpuEngine().warp(Work(large[:50, :50].copy(), made, (10, 10), Sampling()))
    other = threading.Thread(target=beat)
    other.start()
    for _ in range(3):
        CpuEngine().warp(Work(large, made, (3000, 3000), Sampling(antialias="off")))
    done.set()
    other.join()
    assert beats[0] >= 3  # a call that held the interpreter would let none through


def test_kernels_of_both_kinds_live_in_one_process(image):
    """numba's own kernels allocate; linking ours after them must not take their allocator away."""
    made = words.transformation(words.steps("rotate 20"), SIZE)
    five = np.random.default_rng(0).integers(0, 256, (*SIZE, 5), dtype=np.uint8)
    first = CpuEngine().warp(Work(five, made, SIZE, Sampling()))
    native._loaded.clear()
    warped(image)
    for _ in range(50):
        np.testing.assert_array_equal(CpuEngine().warp(Work(five, made, SIZE, Sampling())), first)
    code = (
        "import sys; from tests.engines.test_native import *; i = np.zeros((*SIZE, 5), np.uint8); "
        "m = words.transformation(words.steps('rotate 20'), SIZE); CpuEngine().warp(Work(i, m, SIZE, Sampling())); "
        "warped(np.zeros((*SIZE, 3), np.uint8)); j = np.zeros((*SIZE, 5), np.uint16); "
        "[CpuEngine().warp(Work(k, m, SIZE, Sampling())) for k in (i, j) * 20]"
    )
    environment = {**os.environ, "STN_CACHE_DIR": str(native.cache_root().parent)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
