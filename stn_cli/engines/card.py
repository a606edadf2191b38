"""Whether a GPU works here, tried before pictures depend on it: torch may be built for other cards, Triton needs a compiler.

Triton compiles its own link to the driver with the machine's C compiler when it starts, and keeps what it compiles in a
folder: stn's, unless TRITON_CACHE_DIR or TRITON_HOME say where; a temporary one where that cannot be written.
"""

import atexit
import os
import shutil
import tempfile
import warnings
from importlib.util import find_spec
from subprocess import CalledProcessError

import torch

from stn_cli.engines.native import cache_root
from stn_cli.errors import MissingError

NEEDS_COMPILER = "Triton needs a C compiler and Python's headers (on Debian: apt install gcc python3-dev)"


def expect_cuda() -> None:
    """Raises `MissingError` where torch cannot compute on a CUDA device, with why in one line."""
    with warnings.catch_warnings(record=True) as said:  # an old driver is a warning of torch's
        warnings.simplefilter("always")
        try:
            there = torch.cuda.is_available()
            if there:
                torch.zeros(1, device="cuda").add_(1).item()  # fails where torch has no code for this card
                return
        except RuntimeError as error:
            raise MissingError(f"--device cuda: torch cannot use the GPU ({_line(error)})") from None
    if torch.version.cuda is None and torch.version.hip is None:
        raise MissingError(
            "--device cuda: this torch is built for the CPU; pytorch.org says how to install one for CUDA"
        )
    why = f" ({_line(said[0].message)})" if said else ""
    raise MissingError(f"--device cuda: torch finds no CUDA device here{why}")


def why_no_triton() -> str:
    """Why Triton cannot compile and launch a kernel here, in one line; empty where it can."""
    if find_spec("triton") is None:
        return "Triton is not installed (extra gpu; Linux only)"
    _give_triton_a_folder()
    try:
        from stn_cli.engines.triton_kernel import BUILD, trial_kernel

        there = torch.zeros(1, dtype=torch.int32, device="cuda")
        trial_kernel[(1,)](there, **BUILD)  # type: ignore[index]
        return "" if there.item() == 1 else "Triton's kernels do nothing here"
    except CalledProcessError:
        return NEEDS_COMPILER
    except Exception as error:  # of any kind: Triton, its assembler, the linker and the driver raise their own
        return NEEDS_COMPILER if "C compiler" in str(error) else f"Triton does not work here ({_line(error)})"


def _give_triton_a_folder() -> None:
    if "TRITON_CACHE_DIR" in os.environ or "TRITON_HOME" in os.environ:
        return
    folder = cache_root().with_name("triton")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        folder = tempfile.mkdtemp(prefix="stn-triton-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["TRITON_CACHE_DIR"] = str(folder)


def _line(error: object) -> str:
    """The first sentence of it: CUDA's errors go on for a paragraph."""
    return " ".join(str(error).strip().split("\n", 1)[0].split())[:200]
