"""What changes or fails while a run goes on: files vanish, a device reports errors, threads die."""

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stn_cli.errors import FileError
from stn_cli.folders import atomic, codecs, pipeline
from stn_cli.folders.manifest import Journal, read_manifest
from stn_cli.folders.pipeline import run
from stn_cli.folders.plan import make_plan

COUNT = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for i in range(COUNT):
        Image.fromarray(np.full((8, 9, 3), 30 * i, np.uint8)).save(tmp_path / "in" / f"{i}.png")
    return tmp_path


def same(picture, job):
    return picture, {"family": "affine", "theta": [1.0, 0, 0, 0, 1, 0]}


def there(folder: Path) -> set[str]:
    """The results, which are whole and are those of the manifest; and nothing else."""
    names = {path.name for path in (folder / "out").iterdir()} - {"manifest.jsonl"}
    for name in names:
        with Image.open(folder / "out" / name) as picture:
            picture.load()
    assert {row["output"] for row in read_manifest(folder / "out" / "manifest.jsonl")} == names
    return names


def go(folder: Path, warp=same, workers=1):
    return run(make_plan([folder / "in"], folder / "out"), warp, workers=workers)


def test_pictures_that_vanish(folder: Path) -> None:
    def warp(picture, job):
        (folder / "in" / "5.png").unlink(missing_ok=True)
        return same(picture, job)

    results = go(folder, warp)
    assert [(error.path.name, error.reason) for error in results.failed] == [("5.png", "no such file or directory")]
    assert len(there(folder)) == COUNT - 1


def test_a_picture_that_becomes_unreadable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def denied(path, flags, *mode, **options):
        if Path(path).name == "3.png" and not flags & os.O_WRONLY and not flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, flags, *mode, **options)

    monkeypatch.setattr(codecs.os, "open", denied)
    results = go(folder)
    assert [(error.path.name, error.reason) for error in results.failed] == [("3.png", "permission denied")]
    assert len(there(folder)) == COUNT - 1


def test_a_device_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO in the middle of a file, after bytes that came well."""
    read = os.read
    calls = iter(range(1000))

    def broken(descriptor, count):
        number = next(calls)
        if number == 2:
            return read(descriptor, min(count, 40))
        if number == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(descriptor, count)

    monkeypatch.setattr(codecs.os, "read", broken)
    results = go(folder)
    assert [error.reason for error in results.failed] == ["input/output error"]
    assert len(there(folder)) == COUNT - 1


@pytest.mark.parametrize(
    ("number", "ends"), [(errno.EIO, False), (errno.EACCES, False), (errno.ENOSPC, True), (errno.EROFS, True)]
)
def test_a_device_that_cannot_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, ends: bool
) -> None:
    """Every file that can be written is; what no file can escape, a full or read-only disk, ends the run."""
    link = os.link
    calls = iter(range(1000))

    def broken(source, target, **options):
        if next(calls) == 2:
            raise OSError(number, os.strerror(number), source)
        return link(source, target, **options)

    monkeypatch.setattr(atomic.os, "link", broken)
    results = go(folder)
    words = os.strerror(number)
    assert [error.reason for error in results.failed] == [f"cannot be written ({words[0].lower() + words[1:]})"]
    assert (results.stopped is not None) == ends
    assert len(there(folder)) == len(results.done)
    assert len(results.done) < COUNT - 1 if ends else len(results.done) == COUNT - 1
    monkeypatch.undo()
    run(make_plan([folder / "in"], folder / "out", existing="skip"), same)
    assert len(there(folder)) == COUNT


def test_a_manifest_that_cannot_be_finished_is_told_and_made_good(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self, others):
        os.close(self._file)
        raise FileError(self.manifest, "the manifest cannot be written (input/output error)")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "close", broken)
        results = go(folder)
    assert [error.path.name for error in results.failed] == ["manifest.jsonl"]
    assert len(results.done) == COUNT
    # the journal belongs to a process: as if that one had died
    left = next(path for path in (folder / "out").iterdir() if path.suffix == ".journal")
    host, _, token, number = left.stem.removeprefix(".stn-").split("-")
    left.rename(left.with_name(f".stn-{host}-999999999-{token}-{number}.journal"))
    run(make_plan([folder / "in"], folder / "out", existing="skip"), same)
    assert len(there(folder)) == COUNT


def test_a_journal_that_is_closed_takes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "manifest.jsonl")
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.forget("a.png")


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3), KeyboardInterrupt("a thread's own")])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_worker_that_dies_brings_the_run_down_with_its_reason(
    folder: Path, error: BaseException, workers: int
) -> None:
    def warp(picture, job):
        if job.name == "4.png":
            raise error
        return same(picture, job)

    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(pipeline.Interrupted):
            go(folder, warp, workers)
    else:
        with pytest.raises(type(error)) as told:
            go(folder, warp, workers)
        assert told.value is error
    assert "4.png" not in there(folder)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stn-")]


def test_memory_that_runs_out_costs_one_picture(folder: Path) -> None:
    def warp(picture, job):
        if job.name == "4.png":
            raise MemoryError
        return same(picture, job)

    results = go(folder, warp)
    assert [(error.path.name, error.reason) for error in results.failed] == [("4.png", "not enough memory")]
    assert len(there(folder)) == COUNT - 1
