"""Which engine is taken, and that `auto` starts nothing heavy."""

import subprocess
import sys

import pytest

import stn_cli.engines as engines
from stn_cli.engines.cpu import CpuEngine
from stn_cli.errors import MissingError, OptionError


def test_auto_takes_the_cpu_where_no_driver_is(monkeypatch):
    monkeypatch.setattr(engines, "_nvidia_driver", lambda: False)
    engine, why = engines.choose("auto")
    assert isinstance(engine, CpuEngine)
    assert "driver" in why


def test_auto_weighs_the_files_against_the_start_of_cuda(monkeypatch, tmp_path):
    small = tmp_path / "a.jpg"
    small.write_bytes(b"x" * 2_000_000)
    monkeypatch.setattr(engines, "_nvidia_driver", lambda: True)
    monkeypatch.setattr(engines, "_cuda", lambda: "the card")
    engine, why = engines.choose("auto", [small, tmp_path / "gone.jpg"])
    assert isinstance(engine, CpuEngine)
    assert "2 MB" in why
    monkeypatch.setattr(engines, "WORTH_A_GPU", 1_000_000)
    assert engines.choose("auto", [small])[0] == "the card"

    def missing():
        raise MissingError("torch finds no CUDA device here")

    monkeypatch.setattr(engines, "_cuda", missing)
    engine, why = engines.choose("auto", [small])
    assert isinstance(engine, CpuEngine)
    assert "no CUDA" in why


def test_a_device_that_is_not_there_is_a_clear_error():
    import torch

    for device, there in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())):
        if not there:
            with pytest.raises(MissingError, match=device):
                engines.choose(device)
    with pytest.raises(OptionError, match="--device"):
        engines.choose("tpu")


def test_choosing_the_cpu_imports_neither_torch_nor_numba():
    code = (
        "import sys; from stn_cli.engines import choose; choose('auto'); print({'torch', 'numba'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
