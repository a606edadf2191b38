"""What Ctrl-C and SIGTERM do to the process itself, and where they are somebody else's."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from stn_cli.folders import signals
from stn_cli.folders.atomic import replacing

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


class GoneError(BaseException):
    """In place of the end of the process."""


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise GoneError(code)

    monkeypatch.setattr(os, "_exit", leave)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_line_and_no_file_that_is_not_finished(tmp_path: Path, gone: None, capfd, number: int) -> None:
    def write() -> None:
        with replacing(tmp_path / "file", overwrite=True) as (file, temporary):
            file.write(b"half")
            assert temporary.exists()
            signal.raise_signal(number)
            raise AssertionError("it went on")

    with signals.leaving(), signals.saying(lambda: "interrupted; 3 done"), pytest.raises(GoneError, match="130"):
        write()
    assert capfd.readouterr().err == "stn: interrupted; 3 done\n"
    assert not list(tmp_path.iterdir())
    assert not signals.unfinished


def test_words_that_fail_do_not_keep_it(gone: None, capfd) -> None:
    with pytest.raises(GoneError), signals.leaving(), signals.saying(lambda: str(1 / 0)):
        signal.raise_signal(signal.SIGTERM)
    assert capfd.readouterr().err == "stn: interrupted\n"


def test_a_run_takes_it_as_an_exception_and_gives_it_back(gone: None) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with signals.leaving():
        with pytest.raises(KeyboardInterrupt), signals.terminable():
            signal.raise_signal(signal.SIGTERM)
        with signals.terminable(), signals.undisturbed():
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(GoneError):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_was_ignored_at_the_start_stays_ignored(gone: None) -> None:
    """nohup, and jobs that a script puts into the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.leaving(), signals.terminable():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with signals.terminable(), signals.undisturbed():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
