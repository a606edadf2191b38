"""The lines that say how far a run has come where there is no terminal."""

import pytest

from stn_cli.commands import progress as module


def test_the_rate_leaves_the_first_out_and_waits_for_something_to_measure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: False, raising=False)
    with module.progress("warping", "images") as (advance, _):
        for seconds, done in ((0, 0), (60, 1), (60.00001, 2), (62, 5), (65, 11), (66, 12), (70, 21)):
            now[0] = seconds
            advance(done, 31)
    assert capsys.readouterr().err.splitlines() == [
        "warping: 11 of 31, 2 images/s, 10 s left",
        "warping: 21 of 31, 2 images/s, 5 s left",
    ]
