"""Shapes written in the types of `core` are checked while the tests run."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

import stn_cli

SHAPED = ("backprop", "localisation", "sampler", "transformer")
install_import_hook([f"stn_cli.core.{name}" for name in SHAPED], "beartype.beartype")

# Processes that tests start find the same stn_cli, beside the tests or installed from a wheel.
_HOME = str(Path(stn_cli.__file__).parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_HOME, os.environ.get("PYTHONPATH")]))

# A shell starts what it puts in the background deaf to Ctrl-C, and processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("fast", max_examples=30, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(autouse=True)
def _pillows_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading sets it for the process, to what --max-pixels allows; the next test is another command."""
    from PIL import Image

    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run side by side; a thread each is enough."""
    import torch

    torch.set_num_threads(1)
