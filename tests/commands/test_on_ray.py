"""--engine ray: the bytes of the local engine, interruption and dead workers, on a Ray of two workers on this machine."""

import os
import pickle
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from stn_cli import engines
from stn_cli.commands import on_ray
from stn_cli.commands.on_ray import _parts, _workers
from stn_cli.commands.options import SamplingOptions, ThetaOptions
from stn_cli.commands.recipe import Recipe
from stn_cli.errors import FileError, OptionError, StnError
from stn_cli.folders.manifest import read_manifest
from stn_cli.folders.plan import make_plan
from stn_cli.folders.remote import Remote, place

RAY = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")

NETS = """
import os, time, torch
def shift(U):
    return torch.tensor([[1.0, 0, 0.1, 0, 1, 0]])
def slow(U):
    time.sleep(0.5)
    return shift(U)
def deadly(U):
    if U.shape[-1] == 29:  # sub/09.png, the second of its part
        time.sleep(2)
        os._exit(9)
    return shift(U)
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for i in range(20):
        name = f"{'sub/' if i % 3 == 0 else ''}{i:02}.{'png' if i % 2 else 'jpg'}"
        Image.fromarray(rng.integers(0, 256, (20, 20 + i, 3), np.uint8)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "torn.png").write_bytes(b"no picture")
    (tmp_path / "nets_of_mine.py").write_text(NETS)
    return tmp_path


def files(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def start(folder: Path, *arguments: str, inputs: tuple[str, ...] = ("in",)) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "stn_cli", "warp", *inputs, "--jobs", "2", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # stn_cli by its absolute place: pytest may have put "." there
    place = os.pathsep.join(str(Path(p).absolute()) for p in os.environ["PYTHONPATH"].split(os.pathsep))
    return subprocess.Popen(command, cwd=folder, text=True, env={**os.environ, "PYTHONPATH": place}, **pipes)


def test_errors_travel_between_processes():
    for error in (OptionError("--x", "a", "b"), FileError("a.png", "is torn")):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


def test_without_ray_a_line_says_what_to_install(stn, pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    ran = stn("warp", pictures / "in", "--rotate", 5, "--out", pictures / "out", "--engine", "ray", expect=1)
    assert "pip install 'stn-cli[ray]'" in ran.err
    assert not (pictures / "out").exists()


class Cluster:
    """As much of Ray as a plan is handed to: it has so many CPUs and GPUs, and notes what it is asked for."""

    def __init__(self, **there: float) -> None:
        self.there, self.asked = there, {}
        self.data = SimpleNamespace(from_items=lambda rows, **_: self, ActorPoolStrategy=lambda size: size)

    def cluster_resources(self) -> dict[str, float]:
        return self.there

    def map_batches(self, actor: type, **asked: object) -> "Cluster":
        self.asked = asked
        return self

    def iter_rows(self) -> list[dict[str, bytes]]:
        return []


@pytest.mark.parametrize(("device", "pool", "gpus"), [("cuda", 3, 1), ("cpu", 8, 0), ("auto", 8, 0)])
def test_each_actor_asks_for_the_gpu_that_it_warps_on(pictures, device, pool, gpus):
    cluster = Cluster(CPU=8.0, GPU=3.0)
    plan = make_plan([pictures / "in"], pictures / "out")
    recipe = Recipe(ThetaOptions(rotate="5"), SamplingOptions(), None, device, 4, 10**6, None, None, 60.0)
    assert list(_parts(cluster, plan, recipe, _workers(cluster, device, None))) == []
    assert (cluster.asked["compute"], cluster.asked["num_cpus"], cluster.asked["num_gpus"]) == (pool, 1, gpus)
    sent = cluster.asked["fn_constructor_kwargs"]["recipe"]
    assert (sent.device, sent.batch_size) == (device, 4)
    with pytest.raises(OptionError, match="this Ray cluster has no GPU"):
        _workers(Cluster(CPU=8.0), "cuda", None)


class InThisProcess(Cluster):
    """A Ray whose actors work here, one part after the other; `dies_after` so many parts its worker dies."""

    class exceptions:  # noqa: N801  # as Ray calls it
        RayError = type("RayError", (Exception,), {})

    def __init__(self, dies_after: int = 1000) -> None:
        super().__init__(CPU=2.0)
        self.dies_after = dies_after
        self.data = SimpleNamespace(
            from_items=self.from_items,
            ActorPoolStrategy=lambda size: size,
            DataContext=SimpleNamespace(get_current=SimpleNamespace),
        )

    def init(self, *_: object, **options: object) -> None: ...

    def shutdown(self) -> None: ...

    def from_items(self, rows: list[dict[str, bytes]], **_: object) -> "Cluster":
        self.rows = rows
        return self

    def map_batches(self, actor: type, **asked: object) -> "Cluster":
        self.actor = actor(**asked["fn_constructor_kwargs"])
        return self

    def iter_rows(self):
        for number, row in enumerate(self.rows):
            if number == self.dies_after:
                raise self.exceptions.RayError("it died")
            yield {"results": self.actor({"jobs": [row["jobs"]]})["results"][0]}


@pytest.fixture
def bucket(pictures):
    """The pictures in a bucket, and another for results."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.put(f"{pictures / 'in'}/", "/on-ray/in/", recursive=True)
    yield place("INPUT", "memory://on-ray/in"), place("--out", "memory://on-ray/out")
    store.rm("/on-ray", recursive=True)


RECIPE = Recipe(ThetaOptions(rotate="20"), SamplingOptions(), None, "cpu", None, 10**6, None, None, 60.0)


def stored(out: Remote) -> dict[str, bytes]:
    return {path.removeprefix(f"{out.path}/"): out.fs.cat_file(path) for path in out.fs.find(out.path)}


def test_from_bucket_to_bucket_the_files_and_the_manifest_are_those_of_a_local_run(stn, pictures, bucket, monkeypatch):
    source, out = bucket
    monkeypatch.setattr(on_ray, "_ray", InThisProcess)
    results = on_ray.run_on_ray(make_plan([source], out), RECIPE)
    assert (len(results.done), [error.path.name for error in results.failed]) == (20, ["torn.png"])
    stn("warp", pictures / "in", "--rotate", 20, "--out", pictures / "out", expect=1)
    assert stored(out) == files(pictures / "out")


def test_where_a_worker_dies_the_rows_of_finished_parts_are_in_the_bucket(pictures, bucket, monkeypatch):
    source, out = bucket
    monkeypatch.setattr(on_ray, "_ray", lambda: InThisProcess(dies_after=3))
    with pytest.raises(StnError, match="a worker died; --existing skip goes on"):
        on_ray.run_on_ray(make_plan([source], out), RECIPE)
    rows = {row["output"] for row in read_manifest(out / "manifest.jsonl")}
    assert rows == set(stored(out)) - {"manifest.jsonl"}
    assert 0 < len(rows) < 20


def test_an_actor_warps_on_the_device_of_the_recipe_in_batches_of_its_size(pictures, monkeypatch):
    asked = []
    real = engines.choose
    monkeypatch.setattr(engines, "choose", lambda device: (asked.append(device), real("cpu"))[1])
    recipe = Recipe(ThetaOptions(rotate="5"), SamplingOptions(), None, "cuda", 4, 10**6, None, None, 60.0)
    warper, waiting = recipe.warper()
    assert asked == ["cuda"]
    assert (warper.engine.batch_size, waiting) == (4, 4)


@RAY
@pytest.mark.slow
@pytest.mark.parametrize(
    "theta", [("--rotate", "20", "--fill", "red", "--batch-size", "3"), ("--net", "nets_of_mine:shift")]
)
def test_bytes_and_manifest_are_those_of_the_local_engine(pictures, theta):
    for engine in ("local", "ray"):
        running = start(pictures, *theta, "--out", engine, "--engine", engine)
        out, err = running.communicate(timeout=120)
        assert running.returncode == 1, err
        assert "20 warped, 0 skipped, 1 failed" in out
        assert err.count("torn.png") == 1
        assert "Traceback" not in err
    assert len(files(pictures / "ray")) == 21
    assert files(pictures / "ray") == files(pictures / "local")


@RAY
@pytest.mark.slow
def test_from_url_to_url(pictures):
    running = start(pictures, "--rotate", "20", "--out", "local", "--engine", "local")
    running.communicate(timeout=120)
    urls = [f"local://{pictures / 'in'}", "--rotate", "20", "--out", f"local://{pictures / 'ray'}", "--engine", "ray"]
    running = start(pictures, *urls, inputs=())
    out, err = running.communicate(timeout=120)
    assert (running.returncode, "20 warped, 0 skipped, 1 failed" in out) == (1, True), err
    assert "Traceback" not in err
    assert files(pictures / "ray") == files(pictures / "local")


@RAY
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupt_tears_nothing_and_skip_goes_on(pictures):
    running = start(pictures, "--net", "nets_of_mine:slow", "--out", "ray", "--engine", "ray")
    deadline = time.monotonic() + 90
    while not list(pictures.glob("ray/*.png")) and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    sent = time.monotonic()
    err = running.communicate(timeout=60)[1]
    assert (running.returncode, time.monotonic() - sent < 15) == (130, True), err
    assert "left, --existing skip goes on" in err
    made = {name for name in files(pictures / "ray") if not name.endswith((".jsonl", ".tmp"))}
    assert made
    assert {row["output"] for row in read_manifest(pictures / "ray" / "manifest.jsonl")} == made
    for engine in ("ray", "local"):
        start(pictures, "--net", "nets_of_mine:slow", "--out", engine, "--existing", "skip").communicate(timeout=120)
    assert files(pictures / "ray") == files(pictures / "local")


@RAY
@pytest.mark.slow
def test_a_dead_worker_is_told_and_what_was_done_is_kept(pictures):
    running = start(pictures, "--net", "nets_of_mine:deadly", "--out", "ray", "--engine", "ray")
    err = running.communicate(timeout=120)[1]
    assert running.returncode == 1
    assert "a worker died; --existing skip goes on with the rest" in err
    assert "Traceback" not in err
    assert (pictures / "ray" / "01.png").exists(), "the first of the part in which the worker died"
    made = {name for name in files(pictures / "ray") if not name.endswith((".jsonl", ".tmp"))}
    assert {row["output"] for row in read_manifest(pictures / "ray" / "manifest.jsonl")} == made
