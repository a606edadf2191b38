"""Files appear whole or not at all, and what dead runs left is removed."""

import errno
import io
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from stn_cli.folders import atomic
from stn_cli.folders.atomic import alive, clean, own_name, replacing
from stn_cli.folders.codecs.base import Checked

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


def test_the_target_appears_at_the_end(tmp_path: Path) -> None:
    with replacing(tmp_path / "a", overwrite=False) as (file, temporary):
        file.write(b"whole")
        assert not (tmp_path / "a").exists()
        assert temporary.parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"whole"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fail() -> None:
        with replacing(tmp_path / "a", overwrite=True) as (file, _):
            file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


def test_a_file_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    def race() -> None:
        with replacing(tmp_path / "a", overwrite=False):
            (tmp_path / "a").write_bytes(b"theirs")

    with pytest.raises(FileExistsError):
        race()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"theirs"}


@POSIX
@pytest.mark.parametrize("there", [False, True])
def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    if there:
        (tmp_path / "a").write_bytes(b"old")
        with pytest.raises(FileExistsError), replacing(tmp_path / "a", overwrite=False) as (file, _):
            file.write(b"new")
    else:
        with replacing(tmp_path / "a", overwrite=False) as (file, _):
            file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == (b"old" if there else b"new")


@POSIX
def test_overwriting_a_link_replaces_the_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"keep")
    (tmp_path / "a").symlink_to(tmp_path / "precious")
    with replacing(tmp_path / "a", overwrite=True) as (file, _):
        file.write(b"new")
    assert (tmp_path / "precious").read_bytes() == b"keep"
    assert not (tmp_path / "a").is_symlink()


@POSIX
def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "a", overwrite=False):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@POSIX
def test_only_the_files_of_dead_runs_are_removed(tmp_path: Path) -> None:
    script = """
        import sys, os
        from pathlib import Path
        from stn_cli.folders.atomic import replacing
        with replacing(Path(sys.argv[1]) / "a", overwrite=True) as (file, _):
            print("ready", flush=True)
            sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    (mine, other) = (tmp_path / own_name("tmp"), tmp_path / ".stn-notes.tmp")
    foreign = tmp_path / ".stn-00000000-1-00000000-0.tmp"
    for path in (mine, other, foreign):
        path.write_bytes(b"")
    assert clean([tmp_path, tmp_path / "gone"]) == 0
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    assert clean([tmp_path]) == 1
    day = 25 * 3600
    for path in (mine, other, foreign):
        os.utime(path, (time.time() - day, time.time() - day))
    assert clean([tmp_path]) == 1
    assert sorted(tmp_path.iterdir()) == sorted([mine, other])


@POSIX
def test_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert alive(os.getpid())
    assert alive(1)
    assert alive(10**30)
    monkeypatch.setattr(atomic.sys, "platform", "win32")
    assert alive(999_999_999)


def test_a_file_that_takes_a_part_at_a_time_gets_all(tmp_path: Path) -> None:
    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(memoryview(data).cast("B")[:7])

    slow = Slow()
    pixels = np.arange(100, dtype=np.uint16)
    assert Checked(slow).write(pixels.data) == 200
    assert slow.getvalue() == pixels.tobytes()
