"""Files appear under their final name whole or not at all.

A file is written under a temporary name in the target folder and renamed. A process that dies leaves at most files called
`.stn-….tmp`, which the next run removes. Nothing is synchronised to the disk one by one: after a power failure the last seconds'
files may be missing or empty, as with any copy; a crash of the process alone loses nothing. The manifest is synchronised.
"""

import errno
import os
import re
import secrets
import socket
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from stn_cli.folders.signals import unfinished

_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
# Process numbers come round again, in containers with every start; the token tells this process from its namesakes.
_TOKEN = secrets.token_hex(4)
_NAME = re.compile(r"\.stn-([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-(\d+)\.(tmp|journal|lock)")
_numbers = count()
_BUFFER = 1 << 13  # said, or Python asks each file whether it is a terminal
# A temporary file that nobody has touched for a day belongs to no run, whatever process has its number now.
_STALE_SECONDS = 24 * 3600


def own_name(kind: str) -> str:
    """A fresh hidden name that says which process it belongs to; `kind` is "tmp", "journal" or "lock"."""
    return f".stn-{_HOST}-{os.getpid()}-{_TOKEN}-{next(_numbers)}.{kind}"


def left_behind(folder: Path, kind: str) -> list[Path]:
    """The files of that kind in `folder` whose process is dead, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.startswith(".stn-"))
    except OSError:
        return []
    matches = [match for name in names if (match := _NAME.fullmatch(name)) and match[5] == kind]
    return [folder / match[0] for match in matches if _stale(folder / match[0], match)]


@contextmanager
def replacing(
    target: Path, *, overwrite: bool, sync: bool = False, buffered: bool = True
) -> Iterator[tuple[BinaryIO, Path]]:
    """An open file (binary, readable, seekable) and its temporary path, which becomes `target` at the end of the block.

    Not `buffered`, its writes may take a part of what they are given, and say how much.
    An exception in the block leaves nothing behind. Without `overwrite`, a `target` that is there by then is left alone and
    `FileExistsError` raised, even if it appeared meanwhile. The folder must exist.
    """
    temporary = target.with_name(own_name("tmp"))
    unfinished.add(temporary)
    try:
        with temporary.open("x+b", buffering=_BUFFER if buffered else 0) as file:
            yield file, temporary
            if sync:
                file.flush()
                os.fsync(file.fileno())
        if overwrite:
            temporary.replace(target)
        else:
            _rename_new(temporary, target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        unfinished.discard(temporary)


@contextmanager
def alone(target: Path, *, overwrite: bool, sync: bool = False) -> Iterator[tuple[BinaryIO, Path]]:
    """`replacing` for a command that writes a file or a few: what killed runs left beside `target` is removed first."""
    clean([target.parent])
    with replacing(target, overwrite=overwrite, sync=sync) as both:
        yield both


def _rename_new(temporary: Path, target: Path) -> None:
    """Rename, but never onto a file. Windows' rename refuses by itself; elsewhere a hard link does."""
    if os.name == "nt":
        temporary.rename(target)
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        # a file system without hard links (FAT, some network drives): the one place where two runs may race
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target)) from None
        temporary.replace(target)
        return
    temporary.unlink()


def clean(folders: Iterable[Path]) -> int:
    """Remove the temporary files that dead runs left in `folders`; those of living ones stay. Returns how many went."""
    removed = 0
    for path in (path for folder in folders for path in left_behind(folder, "tmp")):
        with suppress(OSError):
            path.unlink()
            removed += 1
    return removed


def _stale(path: Path, match: re.Match[str]) -> bool:
    try:
        old = time.time() - path.lstat().st_mtime > _STALE_SECONDS
    except OSError:
        return False
    host, process, token = match[1], int(match[2]), match[3]
    if host != _HOST:
        return old
    if process == os.getpid():
        return token != _TOKEN
    return old or not alive(process)


def is_dead(name: str) -> bool:
    """Does `own_name` belong to a process of this machine that has ended? False for other machines: nobody can tell."""
    match = _NAME.fullmatch(name)
    if match is None or match[1] != _HOST:
        return False
    if int(match[2]) == os.getpid():
        return match[3] != _TOKEN
    return not alive(int(match[2]))


def alive(process: int) -> bool:
    """Is a process of this number running on this machine? On Windows, where asking could end it, always True."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
