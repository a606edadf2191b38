"""What a GPU needs besides being there: each thing that may be missing is told in one line."""

import os
import subprocess
import warnings
from pathlib import Path

import pytest

import stn_cli.engines as engines
from stn_cli.engines.cpu import CpuEngine
from stn_cli.errors import MissingError

torch = pytest.importorskip("torch")

from stn_cli.engines import card  # noqa: E402

NO_CODE = "CUDA error: no kernel image is available for execution on the device\nSearch for `cudaErrorNoKernelImage`…"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for name in ("TRITON_CACHE_DIR", "TRITON_HOME"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("STN_CACHE_DIR", str(tmp_path / "cache"))


def a_card(monkeypatch, trial=None):
    """As if CUDA were there; `trial` is raised by what is computed on it."""
    real = torch.zeros

    def zeros(*size, device=None, **like):
        if trial is not None:
            raise trial
        return real(*size, **like)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", zeros)


def test_a_torch_for_the_cpu_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(MissingError, match="built for the CPU"):
        engines.choose("cuda")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(MissingError, match=r"finds no CUDA device here$"):
        engines.choose("cuda")


def test_a_driver_that_is_too_old_is_not_a_warning_but_the_reason(monkeypatch):
    def unavailable():
        warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old\nmore", stacklevel=2)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", unavailable)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(MissingError) as told:
        engines.choose("cuda")
    assert str(told.value).endswith("(CUDA initialization: The NVIDIA driver on your system is too old)")


def test_a_card_that_torch_has_no_code_for_is_one_line(monkeypatch):
    a_card(monkeypatch, RuntimeError(NO_CODE))
    with pytest.raises(MissingError) as told:
        engines.choose("cuda")
    assert str(told.value) == (
        "--device cuda: torch cannot use the GPU (CUDA error: no kernel image is available for execution on the device)"
    )
    monkeypatch.setattr(engines, "_nvidia_driver", lambda: True)
    monkeypatch.setattr(engines, "WORTH_A_GPU", 0)
    engine, why = engines.choose("auto")
    assert isinstance(engine, CpuEngine)
    assert "no kernel image" in why


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("Failed to find C compiler. Please specify via CC environment variable."), "needs a C compiler"),
        (subprocess.CalledProcessError(1, ["gcc"]), "Python's headers"),
        (AssertionError("libcuda.so cannot found!\nPossible files are located at"), "(libcuda.so cannot found!)"),
        (ImportError("libtriton.so: undefined symbol"), "undefined symbol"),
    ],
)
def test_without_a_triton_that_works_torch_warps_and_auto_takes_the_cpu(monkeypatch, error, told):
    pytest.importorskip("triton")
    a_card(monkeypatch)
    from stn_cli.engines import triton_kernel

    class Trial:
        def __getitem__(self, grid):
            raise error

    monkeypatch.setattr(triton_kernel, "trial_kernel", Trial())
    engine, why = engines.choose("cuda")
    assert (engine.name, why) == ("torch (cuda)", "asked for")
    assert told in engines.lacks(engine)
    assert "\n" not in engines.lacks(engine)
    monkeypatch.setattr(engines, "_nvidia_driver", lambda: True)
    monkeypatch.setattr(engines, "WORTH_A_GPU", 0)
    engine, why = engines.choose("auto")
    assert isinstance(engine, CpuEngine)
    assert told in why
    assert not engines.lacks(engine)


def test_without_triton_that_is_said(monkeypatch):
    a_card(monkeypatch)
    monkeypatch.setattr(card, "find_spec", lambda name: None)
    assert "extra gpu" in engines.lacks(engines.choose("cuda")[0])


def test_what_triton_compiles_is_kept_with_stns_own(tmp_path):
    card._give_triton_a_folder()
    assert os.environ["TRITON_CACHE_DIR"] == str(tmp_path / "cache" / "triton")
    assert not list((tmp_path / "cache" / "triton").iterdir())


def test_where_nothing_can_be_kept_triton_has_a_temporary_folder(monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    left = []
    monkeypatch.setattr(card.atexit, "register", lambda *args, **_: left.append(args))
    card._give_triton_a_folder()
    folder = Path(os.environ["TRITON_CACHE_DIR"])
    assert folder.is_dir()
    assert [args[1] for args in left] == [str(folder)]
    folder.rmdir()


def test_a_user_who_says_where_is_heeded(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_HOME", str(tmp_path))
    card._give_triton_a_folder()
    assert "TRITON_CACHE_DIR" not in os.environ


@pytest.mark.parametrize("command", ["warp", "bench"])
def test_the_commands_say_what_is_lacking_without_being_asked(monkeypatch, tmp_path, capsys, command):
    import numpy as np
    from PIL import Image

    from stn_cli.cli import main
    from stn_cli.engines.torch import TorchEngine

    monkeypatch.setattr(
        engines, "_cuda", lambda: TorchEngine("cpu", lacks=f"{card.NEEDS_COMPILER}; torch warps instead")
    )
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(tmp_path / "a.png")
    out = ["--out", f"{tmp_path}/b.png"] if command == "warp" else []
    with pytest.raises(SystemExit) as ended:
        main([command, f"{tmp_path}/a.png", *out, "--rotate", "90", "--device", "cuda"])
    assert not ended.value.code
    assert "needs a C compiler" in " ".join(capsys.readouterr().err.split())
    if command == "warp":
        assert np.asarray(Image.open(tmp_path / "b.png"))[4, 4, 0] == 77
