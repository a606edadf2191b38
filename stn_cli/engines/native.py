"""Loading compiled kernels without numba: importing it takes longer than warping a folder's first hundred images.

numba compiles a kernel once (`entries`); its machine code stays in the user's cache as an object file, which LLVM links
into this process in a few milliseconds. Calls go through ctypes, which releases the GIL. The file's name has a digest of
everything the code depends on: the kernels' sources, the versions of numba and llvmlite, and the processor. A file that is
damaged, or cannot be written, costs a compilation and nothing else.
"""

import ctypes
import hashlib
import os
import secrets
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import RLock

import llvmlite.binding as llvm
import numpy as np
import platformdirs

_POINTER, _WHOLE = ctypes.c_void_p, ctypes.c_int64

# What the kernels take, in the order of `entries`; an array is its address, followed by its elements where they vary.
ARGUMENTS = {
    "warp_rows": (
        *(_POINTER, _WHOLE, _WHOLE, _WHOLE, _POINTER, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _WHOLE),
        *(_WHOLE, _POINTER, _POINTER, _POINTER, _WHOLE, _WHOLE, _POINTER, _WHOLE, _WHOLE, ctypes.c_bool, _WHOLE),
    ),
    "shrink_rows": (
        *(_POINTER, _WHOLE, _WHOLE, _POINTER, _WHOLE, _WHOLE, _WHOLE, _POINTER, _POINTER, _POINTER, _WHOLE, _WHOLE),
        *(_POINTER, _POINTER, _POINTER, _WHOLE, _WHOLE, _POINTER, _POINTER, ctypes.c_bool, _WHOLE, _WHOLE),
        *(_POINTER, _WHOLE),
    ),
    "sum_rows": (
        *(_POINTER, _WHOLE, _WHOLE, _POINTER, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _POINTER, _POINTER, _POINTER),
        *(_POINTER, _POINTER, _POINTER, _WHOLE, _POINTER, _POINTER, _POINTER, _WHOLE, _WHOLE),
        *(_POINTER, _WHOLE, _WHOLE, ctypes.c_double, _POINTER, _WHOLE, _POINTER, _POINTER, _WHOLE, _POINTER),
    ),
    "warp_small": (
        *(_POINTER, _WHOLE, _WHOLE, _WHOLE, _POINTER, _WHOLE, _WHOLE, _WHOLE, _WHOLE, _WHOLE),
        *(_POINTER, _POINTER, _WHOLE, _POINTER, _WHOLE, _WHOLE, _POINTER, _WHOLE),
    ),
    "expand": (_POINTER, _WHOLE, _WHOLE, _POINTER, _WHOLE, _POINTER, _WHOLE, _WHOLE, _WHOLE, _POINTER, _WHOLE),
    "spline": (_POINTER, _WHOLE, _POINTER, _POINTER, _WHOLE, _POINTER, _POINTER),
    "mesh": (_POINTER, _WHOLE, _WHOLE, _POINTER, _WHOLE, _WHOLE, _WHOLE, _POINTER, _WHOLE),
}
lock = RLock()  # LLVM is asked one thing at a time: whoever compiles or links holds this
_listeners: list[Callable[[str], None]] = []
_loaded: dict[tuple[str, np.dtype | None, int, bool], Callable[..., None]] = {}


def on_compile(say: Callable[[str], None]) -> None:
    """Have `say(line)` told when a kernel has to be compiled; the last caller is told."""
    _listeners[:] = [say]


def announce() -> None:
    """Tell the listener that a kernel is about to be compiled."""
    for say in _listeners:
        say("compiling a kernel for this machine, once; this takes some seconds")


def cache_root() -> Path:
    """Where compiled kernels are kept: STN_CACHE_DIR where set, else the user's cache directory."""
    return Path(os.environ.get("STN_CACHE_DIR") or platformdirs.user_cache_dir("stn", appauthor=False)) / "kernels"


def load(kernel: str, dtype: np.dtype | None = None, channels: int = 0, alpha: bool = False) -> Callable[..., None]:
    """A kernel of `ARGUMENTS`, for images of that depth and these channels where it reads images. Compiles it if needed."""
    key = kernel, dtype, channels, alpha
    if key not in _loaded:  # looked at without the lock: who has a kernel does not wait for those that compile another
        with lock, _numbas_lock():
            if key not in _loaded:
                _loaded[key] = _load(*key)
    return _loaded[key]


def _load(kernel: str, dtype: np.dtype | None, channels: int, alpha: bool) -> Callable[..., None]:
    kind = f"-{dtype.name}-{channels}{'a' if alpha else ''}" if dtype is not None else ""
    path = cache_root() / f"{kernel}{kind}-{_digest()}.o"
    found = _read(path)
    if found is None:
        announce()
        from stn_cli.engines.entries import compiled

        found = compiled(kernel, dtype, channels, alpha)
        _write(path, *found)
    return ctypes.CFUNCTYPE(None, *ARGUMENTS[kernel])(_linked(*found))


def _numbas_lock() -> AbstractContextManager:
    """What numba holds while it compiles in another thread; nothing where it is not loaded."""
    if "numba" not in sys.modules:
        return nullcontext()
    from numba.core.compiler_lock import global_compiler_lock

    return global_compiler_lock


@cache
def _digest() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    features = sorted(llvm.get_host_cpu_features().items())
    here = (version("numba"), version("llvmlite"), llvm.get_process_triple(), llvm.get_host_cpu_name(), features)
    digest.update(repr(here).encode())
    return digest.hexdigest()[:24]


def _read(path: Path) -> tuple[str, bytes] | None:
    """(names, machine code), or None where the file is missing or is not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, _, rest = content.partition(b"\n")
    if checksum != hashlib.sha256(rest).hexdigest().encode():
        return None
    names, _, machine_code = rest.partition(b"\n")
    return names.decode(), machine_code


def _write(path: Path, names: str, machine_code: bytes) -> None:
    """Under a temporary name first: two processes may compile at once. Where nothing can be written, nothing is kept."""
    rest = names.encode() + b"\n" + machine_code
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_bytes(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
        temporary.replace(path)
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


@cache
def _runtime() -> dict[str, int]:
    """What kernels call besides themselves: LLVM does not look for it in this process unless it is told where it is."""
    moves, sets = ctypes._memmove_addr, ctypes._memset_addr  # type: ignore[attr-defined]
    return {"memset": sets, "memcpy": moves, "memmove": moves}


def _address(name: str) -> int:
    """Of what kernels call, or only mention. What numba alone has, to raise and to free arrays, is never called: any function
    will do, and where numba comes later it puts its own there."""
    if name in _runtime():
        return _runtime()[name]
    here = name if name.startswith("Py") else "PyErr_BadInternalCall"
    return ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, here))


def _linked(names: str, machine_code: bytes) -> int:
    """The address of the first of `names` once LLVM has placed the code in memory; the others it may ask for."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    symbol, *outside = names.split(" ")
    # If LLVM misses one name it gives up on all, says nothing, and leaves zeros: each has to be there.
    for name in (*_runtime(), *outside):
        if not name.startswith("llvm.") and llvm.address_of_symbol(name) is None:
            llvm.add_symbol(name, _address(name))
    triple = llvm.get_process_triple() + ("-elf" if sys.platform == "win32" else "")
    module = llvm.parse_assembly("")
    module.triple = triple
    machine = llvm.Target.from_triple(triple).create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(machine_code))
    engine.finalize_object()
    # For good: at the end of the process a worker may still be running this code, and freeing it would pull it away.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))
    return engine.get_function_address(symbol)
