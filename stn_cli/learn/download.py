"""One file from a list of mirrors: resumed where it broke off, checked, and only then renamed into place."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from stn_cli.errors import FileError, MissingError

Progress = Callable[[str, int, int | None], None]
"""(file name, bytes so far, bytes in all or None)"""

MOST_BYTES = 64 * 2**20
CHUNK = 1 << 16


class Check(Protocol):
    def __call__(self, path: Path) -> None:
        """Raises `FileError` when the downloaded file is not what it should be."""


def fetch(
    urls: Sequence[str],
    target: Path,
    check: Check,
    *,
    progress: Progress | None = None,
    timeout: float = 15.0,
    until: float | None = None,
) -> None:
    """Bring `target` from the first of `urls` that delivers a file that passes `check`.

    The bytes go to `target` + ".part", which a later call continues with an HTTP Range request; `target` appears
    only by a rename, after the check. `timeout` is the longest silence in seconds, `until` a `time.monotonic()`
    after which to give up (what has arrived is kept). Raises `MissingError` with one reason a mirror.
    Two processes may fetch one file at once: each byte is written where it belongs, by both of them.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(target.parent, f"cannot be made: {error.strerror}") from error
    reasons = []
    for url in urls:
        for fresh in (False, True):  # a part that fails the check may be another file's: once more, from the start
            if fresh:
                part.unlink(missing_ok=True)
            resumed = part.exists()
            try:
                _watched(partial(_transfer, url, part, target.name, progress, timeout), until)
                check(part)
                part.replace(target)
                return
            except (FileError, OSError, http.client.HTTPException) as error:
                if target.exists():  # another process was quicker
                    part.unlink(missing_ok=True)
                    return
                reasons.append(f"{url}: {_reason(error)}")
                if not isinstance(error, FileError):
                    break
                part.unlink(missing_ok=True)
                if not resumed:
                    break
        if until is not None and time.monotonic() > until:
            break
    raise MissingError(f"{target.name} could not be downloaded: " + "; ".join(dict.fromkeys(reasons)))


def _watched(transfer: Callable[[threading.Event], None], until: float | None) -> None:
    """Do it in a thread of its own: looking up a name may take minutes, and neither Ctrl-C nor `until` is heard meanwhile."""
    stop, errors = threading.Event(), []

    def work() -> None:
        try:
            transfer(stop)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="stn-download", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            if until is not None and time.monotonic() > until:
                raise TimeoutError("it would take too long")
            thread.join(0.05)
    finally:
        stop.set()
    for error in errors:
        raise error


def _transfer(
    url: str, part: Path, name: str, progress: Progress | None, timeout: float, stop: threading.Event
) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "stn-cli", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if (
            have and error.code == 416
        ):  # nothing is left to send: the part is whole, or it is not ours; the check decides
            return
        raise
    part.touch()
    with answer, part.open("r+b") as file:
        if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise FileError(url, "the server answered another range than was asked for")
        have = file.seek(have if answer.status == 206 else 0)
        left = answer.headers.get("Content-Length")
        total = have + int(left) if left and left.isdigit() else None
        if (total or 0) > MOST_BYTES:
            raise FileError(url, f"{total} bytes offered; at most {MOST_BYTES} are taken")
        while chunk := answer.read(CHUNK):
            have += len(chunk)
            if have > MOST_BYTES:
                raise FileError(url, f"more than {MOST_BYTES} bytes")
            file.write(chunk)
            if stop.is_set():
                return
            if progress is not None:
                progress(name, have, total)
        if total is not None and have < total:
            raise ConnectionError(f"broke off after {have} of {total} bytes")
        file.truncate(have)


def _reason(error: Exception) -> str:
    if isinstance(error, FileError):
        return error.reason
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
