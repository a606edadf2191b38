"""Commands are run as a user runs them, in this process: arguments in, exit code and both streams out."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from stn_cli.cli import main


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def stn(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run(*arguments: object, expect: int = 0) -> Ran:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        ran = Ran(int(stopped.value.code or 0), *capsys.readouterr())
        assert ran.code == expect, ran
        assert "Traceback" not in ran.err
        return ran

    return run


@pytest.fixture
def picture() -> np.ndarray:
    """48×64 RGB, smooth, its red growing to the right and its green downwards, so that every flip and turn shows."""
    y, x = np.mgrid[0:48, 0:64]
    return np.stack([x * 3, y * 4, 128 + 100 * np.sin(x / 6) * np.cos(y / 5)], -1).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, picture):
    """in/a.png, in/sub/b.png (turned), in/sub/c.jpg and something that is no picture."""
    there = tmp_path / "in"
    (there / "sub").mkdir(parents=True)
    Image.fromarray(picture).save(there / "a.png")
    Image.fromarray(picture[::-1]).save(there / "sub" / "b.png")
    Image.fromarray(picture).save(there / "sub" / "c.jpg", quality=95)
    (there / "notes.txt").write_text("no picture")
    return there
