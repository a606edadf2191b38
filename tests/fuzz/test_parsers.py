"""Everything that reads what a person typed or a file holds, fed with what nobody would type and no program would write.

Each parser must give a value or raise a `StnError` in one line, and allocate no more than a file of that size can ask for.
The fast suite tries a few hundred inputs, the slow one 100,000; hypothesis shrinks what it finds.
"""

import io
import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stn_cli.commands.options import size
from stn_cli.core import words
from stn_cli.core.conventions import CONVENTIONS, from_convention
from stn_cli.core.transformation import Transformation
from stn_cli.errors import StnError
from stn_cli.folders import colour, grids, points
from stn_cli.folders.manifest import read_manifest
from stn_cli.folders.theta_file import read_thetas
from stn_cli.learn import checkpoint
from stn_cli.learn.idx import read_idx
from stn_cli.learn.networks import build, design

SLOW_EACH = 6_250  # times the parsers below: 100,000 and more
FAST_EACH = 25
MOST_MEMORY = 64 << 20  # bytes that one small input may make a parser allocate

# Text ------------------------------------------------------------------------------------------------------------------

TOKENS = """
1 0 -0.5 1e308 1e-320 1e999 nan inf -inf 0x10 1_000 ٣ ½ 90 10% -5px px % , ; [ ] ( ) x 640x480 0x0 9999999x9999999 50%
rotate zoom flip h v shear translate about 30deg ° #fff #12345678 red transparent
"""
tokens = st.sampled_from(TOKENS.split())
text = st.one_of(
    st.text(max_size=60),
    st.lists(tokens, max_size=12).map(" ".join),
    st.lists(tokens, max_size=12).map(",".join),
    st.lists(st.floats().map(repr), max_size=12).map(" ".join),
)


def _theta(said: str) -> None:
    Transformation.from_numbers(words.numbers("--theta", said, "numbers"))


def _matrix(said: str) -> None:
    for library in CONVENTIONS:
        try:
            from_convention(library, words.numbers("--matrix", said, "numbers"), (48, 64), (32, 40))
        except StnError as error:
            _one_line(error)


def _do(said: str) -> None:
    words.transformation(words.steps(said), (48, 64), None, False)


def _verbs(said: str) -> None:
    for verb in words.ORDER:
        try:
            words.transformation((words.step(verb, said),), (48, 64), None, False)
        except StnError as error:
            _one_line(error)


TEXTS = {
    "--theta": _theta,
    "--matrix": _matrix,
    "--do": _do,
    "--rotate and others": _verbs,
    "--about": lambda said: words.point("--about", said),
    "--size": lambda said: size("--size", said, (480, 640)),
    "--fill": colour.parse,
}

# Files -----------------------------------------------------------------------------------------------------------------

GRID = np.stack(np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 3)), axis=-1)


def _grid(suffix: str, maps: str | None = None) -> bytes:
    file = io.BytesIO()
    grids.write(file, suffix, GRID, (6, 8), False, maps)
    return file.getvalue()


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _checkpoint() -> bytes:
    path = Path(__file__).with_name("unused")
    written: dict[Path, bytes] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write", lambda p, t, m: written.update({p: checkpoint.tensor_bytes(dict(t), m)}))
        net = build(design("st-fcn", 4), seed=0)
        checkpoint.save(path, net, "digits", "R", {})
    # Most of the file is weights, which say nothing to a parser: the header is what is fuzzed.
    return written[path]


MANIFEST = json.dumps({"source": "a.png", "output": "b.png", "family": "affine", "theta": [1, 0, 0, 0, 1, 0]}) + "\n"
TPS = json.dumps({"source": "c", "family": "tps", "options": {"shape": [2, 2], "smoothing": 0.5}, "theta": [0.1] * 8})
FILES = {
    "theta.csv": (b"source,family,a,b\na.png,translation,0.5,1\nb.png,,1e-3,-2\n", read_thetas),
    "theta.jsonl": ((MANIFEST + TPS).encode(), read_thetas),
    "theta.npy": (_npy(np.array([[1.0, 0, 0, 0, 1, 0]])), read_thetas),
    "grid.npz": (_grid(".npz"), grids.read),
    "grid.flo": (_grid(".flo"), grids.read),
    "grid.csv": (_grid(".csv"), grids.read),
    "points.csv": (b"# x,y,x',y'\n0,0,1,1\n10,0,12,1\n0,10,0,13\n", points.read),
    "manifest.jsonl": (MANIFEST.encode(), read_manifest),
    "images.idx": (b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4) + bytes(range(24)), lambda path: read_idx(path, 3)),
}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes, head: int = 4096) -> bytes:
    """`whole`, with bytes changed, cut, repeated or put in, mostly near its beginning, where the headers are."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(0, 6))):
        where = draw(st.integers(0, min(len(data), head)))
        match draw(st.sampled_from(["set", "cut", "insert", "number", "repeat", "drop"])):
            case "set" if where < len(data):
                data[where] = draw(st.integers(0, 255))
            case "cut":
                del data[where:]
            case "insert":
                data[where:where] = draw(st.binary(max_size=12))
            case "number":
                data[where : where + 4] = draw(
                    st.sampled_from([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"9999", b"-1e9"])
                )
            case "repeat":
                data[where:where] = data[where : where + draw(st.integers(0, 64))]
            case "drop":
                del data[where : where + draw(st.integers(0, 16))]
    return bytes(data)


# The trial -------------------------------------------------------------------------------------------------------------


def _one_line(error: StnError) -> None:
    assert str(error)
    assert "\n" not in str(error)


def _try(parse, given_: object) -> None:
    tracemalloc.start(1)
    try:
        parse(given_)
    except StnError as error:
        _one_line(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MOST_MEMORY


def _fuzz_text(name: str, count: int) -> None:
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(text)
    def trial(said: str) -> None:
        _try(TEXTS[name], said)

    trial()


def _fuzz_file(name: str, whole: bytes, parse, path: Path, count: int, head: int = 4096) -> None:
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(damaged(whole, head), st.binary(max_size=200)))
    def trial(data: bytes) -> None:
        path.write_bytes(data)
        _try(parse, path)

    path = path / name
    path.write_bytes(whole)
    parse(path)  # whole, it is read
    trial()


@pytest.mark.parametrize("name", TEXTS)
def test_text(name):
    _fuzz_text(name, FAST_EACH)


@pytest.mark.parametrize("name", FILES)
def test_files(name, tmp_path):
    _fuzz_file(name, *FILES[name], tmp_path, FAST_EACH)


def test_checkpoints(tmp_path):
    whole = _checkpoint()
    _fuzz_file("net.safetensors", whole, checkpoint.load, tmp_path, FAST_EACH, head=_header(whole))


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_text_at_length(name):
    _fuzz_text(name, SLOW_EACH)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_files_at_length(name, tmp_path):
    _fuzz_file(name, *FILES[name], tmp_path, SLOW_EACH)


@pytest.mark.slow
def test_checkpoints_at_length(tmp_path):
    whole = _checkpoint()
    _fuzz_file("net.safetensors", whole, checkpoint.load, tmp_path, SLOW_EACH, head=_header(whole))


def _header(whole: bytes) -> int:
    return 8 + struct.unpack("<Q", whole[:8])[0]


def test_the_slow_suite_tries_100_000():
    assert SLOW_EACH * (len(TEXTS) + len(FILES) + 1) >= 100_000
