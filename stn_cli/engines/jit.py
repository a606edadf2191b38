"""Compiling and caching the CPU kernels.

Machine code is kept in the user's cache directory (never beside the package, which may be read-only), in a folder
named after a hash of the kernels' sources: a numba cache entry knows only its own file, and a kernel inlines helpers
from others. numba writes entries under a temporary name and renames them, so two processes may compile at once.
"""

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import config

from stn_cli.engines.native import announce, cache_root

numba_config: Any = config  # its names are made while it is imported
log = logging.getLogger("stn.engines")


@cache
def cache_folder() -> Path:
    """Where numba keeps what it compiles, beside the object files of `native`."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return cache_root() / f"numba-{digest.hexdigest()[:16]}"


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
            announce()
        return found

    store.load_overload = load_or_announce
    return dispatcher


def helper(function: Callable) -> Callable:
    """A function that kernels call and LLVM merges into each of them."""
    return numba.njit(nogil=True, error_model="numpy", boundscheck=False, forceinline=True)(function)


def apart(function: Callable) -> Callable:
    """A function that kernels call rarely: compiled once and not merged, to keep the hot path short."""
    return numba.njit(nogil=True, error_model="numpy", boundscheck=False)(function)
