"""Compiling and caching the CPU kernels.

Machine code is kept in the user's cache directory (never beside the package, which may be read-only), in a folder
named after a hash of the kernels' sources: a numba cache entry knows only its own file, and a kernel inlines helpers
from others. numba writes entries under a temporary name and renames them, so two processes may compile at once.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import platformdirs
from numba.core import config

numba_config: Any = config  # its names are made while it is imported
log = logging.getLogger("stn.engines")

_listener: Callable[[str], None] = log.info


def on_compile(call: Callable[[str], None]) -> None:
    """Have `call(line)` told whenever a kernel is compiled because no cached one fits; the last caller is told."""
    global _listener
    _listener = call


@cache
def cache_folder() -> Path:
    """Where compiled kernels are kept: NUMBA_CACHE_DIR where set, else the user's cache directory."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    root = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_dir("stn", appauthor=False)
    return Path(root) / f"kernels-{digest.hexdigest()[:16]}"


def kernel(function: Callable) -> Callable:
    """Compile `function` on first call, without the GIL, and keep the machine code in `cache_folder`."""
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy", boundscheck=False)(function)
    before = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = str(cache_folder())
    try:
        dispatcher.enable_caching()
    except (RuntimeError, OSError) as error:  # nowhere to write: compile in every process
        log.debug("compiled kernels are not kept: %s", error)
    finally:
        numba_config.CACHE_DIR = before
    store = dispatcher._cache
    load = store.load_overload

    def load_or_announce(sig, target_context):
        found = load(sig, target_context)
        if found is None:
            _listener(f"compiling a kernel for this machine ({function.__name__}); later runs reuse it")
        return found

    store.load_overload = load_or_announce
    return dispatcher


def helper(function: Callable) -> Callable:
    """A function that kernels call and LLVM merges into each of them."""
    return numba.njit(nogil=True, error_model="numpy", boundscheck=False, forceinline=True)(function)


def apart(function: Callable) -> Callable:
    """A function that kernels call rarely: compiled once and not merged, to keep the hot path short."""
    return numba.njit(nogil=True, error_model="numpy", boundscheck=False)(function)
