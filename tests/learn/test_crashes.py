"""Training and downloads that are killed: nothing is torn, and what follows ends with the bytes of an undisturbed run."""

import gzip
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from stn_cli.learn import checkpoint, data, runs
from stn_cli.learn.data import DataSet
from stn_cli.learn.digits import make_digits
from stn_cli.learn.networks import design
from stn_cli.learn.training import Plan
from tests.learn.serving import made_up, serving, sources

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
# A process that has loaded torch once and is forked for each run: 100 kills would be 100 starts of torch otherwise.
FORKS: Any = None if sys.platform == "win32" else multiprocessing.get_context("forkserver")


@pytest.fixture(autouse=True)
def loaded() -> None:
    FORKS.set_forkserver_preload(["tests.learn.test_crashes"])


def killed_until_done(run: Callable[..., None], *arguments: Any, most: float, moments: int, check: Callable[[], None]):
    """Do `run` in processes that are killed after 0 to `most` seconds of work, `moments` times; then once undisturbed."""
    rng, killed, during = random.Random(1), 0, 0
    while killed < moments:
        begun = FORKS.Event()
        child = FORKS.Process(target=run, args=(*arguments, begun))
        child.start()
        assert begun.wait(60)
        time.sleep(rng.uniform(0, most))
        child.kill()
        child.join()
        if child.exitcode == 0:
            break
        killed += 1
        during += bool(check())
    begun = FORKS.Event()  # held here: without its parent's hold a child does not find it
    child = FORKS.Process(target=run, args=(*arguments, begun))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    return killed, during


# ---- checkpoints ----
def tiny() -> DataSet:
    return DataSet("tiny", *make_digits(40, 1), *make_digits(20, 2))


def plan(epochs: int) -> Plan:
    shape = design("st-cnn", 28, net_size="small", family="affine")
    return Plan(shape, "R", 1, 2 * epochs, 20, "adamw", 1e-3, 1.0)


def train(folder: Path, epochs: int, begun: Any) -> None:
    torch.set_num_threads(1)
    runs.run(plan(epochs), tiny(), folder, torch.device("cpu"), resume=True, on_step=lambda *_: begun.set())


def whole(folder: Path) -> bool:
    """Nothing under a final name is torn; whether the kill fell into the writing of a file."""
    left = False
    for path in folder.iterdir() if folder.exists() else ():
        if path.name.startswith(".stn-"):
            left = True
        elif path.name == "model.safetensors":
            checkpoint.load(path)
        elif path.name == "state.safetensors":
            checkpoint.read(path)
        elif path.name == "watched.png":
            with Image.open(path) as picture:
                picture.load()
        else:
            assert path.name == "metrics.jsonl"
            for line in path.read_text().split("\n")[:-1]:
                json.loads(line)
    return left


def told(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "seconds" not in key} for line in lines]


@pytest.mark.parametrize(("epochs", "moments"), [(10, 3), pytest.param(100, 60, marks=pytest.mark.slow)])
def test_a_killed_training_is_resumed_to_the_same_bytes(tmp_path: Path, epochs: int, moments: int) -> None:
    undisturbed, broken = tmp_path / "undisturbed", tmp_path / "broken"
    train(undisturbed, epochs, FORKS.Event())
    killed, during = killed_until_done(train, broken, epochs, most=0.2, moments=moments, check=lambda: whole(broken))
    print(f"{killed} trainings killed, {during} of them while a file was written; nothing torn")
    assert killed > moments // 10
    names = ["metrics.jsonl", "model.safetensors", "state.safetensors", "watched.png"]
    assert sorted(path.name for path in broken.iterdir()) == names
    for name in names[1:]:
        assert (broken / name).read_bytes() == (undisturbed / name).read_bytes(), name
    assert told(broken) == told(undisturbed)


# ---- downloads ----
def download(folder: Path, url: str, contents: dict[str, bytes], begun: Any) -> None:
    data.load("mnist", folder, sources=sources(url, contents), progress=lambda *_: begun.set())


@pytest.mark.parametrize(("images", "moments"), [(400, 3), pytest.param(2500, 60, marks=pytest.mark.slow)])
def test_a_killed_download_is_resumed_and_right(tmp_path: Path, images: int, moments: int) -> None:
    contents = made_up(images, images // 4)
    folder = tmp_path / "mnist"
    folder.mkdir()

    def check() -> bool:
        there = {path.name: path for path in folder.iterdir() if not path.name.endswith(".part")}
        for name, path in there.items():
            assert gzip.decompress(path.read_bytes()) == contents[name.removesuffix(".gz")], name
        return any(folder.glob("*.part"))

    with serving(contents) as server:
        server["pause"] = 0.01
        killed, during = killed_until_done(
            download, folder, server["url"], contents, most=0.06, moments=moments, check=check
        )
        resumed = sum(asked is not None for _, asked in server["asked"])
    print(f"{killed} downloads killed, {during} of them within a file, {resumed} resumed")
    assert killed > moments // 10
    assert resumed > 0
    assert sorted(path.name for path in folder.iterdir()) == sorted(name + ".gz" for name in contents)
    assert data.load("mnist", folder, sources=sources("http://nobody.invalid/", contents))[0].name == "mnist"


@pytest.mark.parametrize("again", range(3))
def test_two_downloads_at_once_end_with_one_file(tmp_path: Path, again: int) -> None:
    contents = made_up(300, 10)
    with serving(contents) as server:
        server["pause"] = 0.005
        pair = []
        for _ in range(2):
            begun = FORKS.Event()
            pair.append(FORKS.Process(target=download, args=(tmp_path, server["url"], contents, begun)))
            pair[-1].start()
            assert begun.wait(20)
        for child in pair:
            child.join(20)
    assert [child.exitcode for child in pair] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(name + ".gz" for name in contents)
