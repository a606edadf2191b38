"""Files behind URLs (`s3://`, `gs://`, `memory://`, …) by fsspec, which is imported when the first one is named.

A picture is fetched whole when its turn comes, and an output is encoded in memory and put whole: in an object store it appears
complete or not at all. There is no lock and no rename; whether a name is taken is asked at the start and again before the put.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from os import name as system
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, BinaryIO

from stn_cli.errors import FileError, OptionError, StnError
from stn_cli.folders.formats import format_of

# Two letters at least: `C://pictures` is a drive of Windows.
_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+)://")
_PASSWORD = re.compile(r"(://[^/@:]*):[^/@]*@")
# Their folders need no making, and making one would make the bucket.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci"})


@dataclass(frozen=True)
class Remote:
    """One file or folder behind a URL, with as much of `pathlib.Path` as a plan needs.

    `fs` is fsspec's file system and `path` its own name there; `url` is what the user reads; `size` in bytes where a listing
    told it. Questions raise `FileError` where the store gives no answer.
    """

    fs: Any
    path: str
    url: str = field(compare=False)
    size: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return _PASSWORD.sub(r"\1:***@", self.url)

    def __truediv__(self, name: str) -> "Remote":
        return Remote(self.fs, f"{self.path.rstrip('/')}/{name}", f"{_bare(self.url)}/{name}")

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def parent(self) -> "Remote":
        return Remote(self.fs, self.path.rstrip("/").rpartition("/")[0], _bare(self.url).rpartition("/")[0])

    @property
    def in_object_store(self) -> bool:
        return not _OBJECT_STORES.isdisjoint(self._protocols)

    @property
    def in_this_process(self) -> bool:
        """Does no other process see it?"""
        return "memory" in self._protocols

    @property
    def _protocols(self) -> tuple[str, ...]:
        protocol = self.fs.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def kind(self) -> str | None:
        """ "file", "directory", or None where there is nothing."""
        try:
            return self.fs.info(self.path)["type"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:
            raise FileError(self, f"cannot be looked up ({in_words(error)})") from error

    def exists(self) -> bool:
        return self.kind() is not None

    def is_dir(self) -> bool:
        return self.kind() == "directory"

    def is_file(self) -> bool:
        return self.size is not None or self.kind() == "file"

    def stat(self) -> SimpleNamespace:
        return SimpleNamespace(st_size=self.size or 0)

    def read(self, most: int) -> bytes:
        """All bytes. Raises `FileError`, also for more than `most` of them, which are not fetched."""
        try:
            if self.size is not None:
                data = self.fs.cat_file(self.path) if self.size <= most else None
            else:
                with self.fs.open(self.path, "rb") as file:
                    data = file.read(most + 1)
        except Exception as error:
            raise FileError(self, f"cannot be read ({in_words(error)})") from error
        if data is None or len(data) > most:
            raise FileError(self, f"{self.size or 'its'} bytes are more than --max-pixels allows")
        return data

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.read(1 << 40).decode(encoding, errors)

    def put(self, data: bytes, *, overwrite: bool) -> None:
        """Write the whole file at once. Raises `FileExistsError` and `FileError`."""
        try:
            if not overwrite and self.exists():
                raise FileExistsError(str(self))
            try:
                self.fs.pipe_file(self.path, data)
            except FileNotFoundError:
                if self.in_object_store:
                    raise
                self.fs.makedirs(self.parent.path, exist_ok=True)
                self.fs.pipe_file(self.path, data)
        except (FileExistsError, FileError):
            raise
        except Exception as error:
            raise FileError(self, f"cannot be written ({in_words(error)})") from error


Place = Path | Remote


def place(option: str, text: str) -> Place:
    """What an argument names: a path, or a URL, of which `file://` is a path again. Raises `OptionError`."""
    found = _URL.match(text)
    if found is None:
        return Path(text)
    scheme = found[1].lower()
    if scheme == "file":
        return _local(option, text)
    try:
        import fsspec
    except ImportError as error:
        raise OptionError(option, text, "URLs need fsspec: pip install 'stn-cli[remote]'") from error
    try:
        # listings are not kept: what appears in the bucket during the run must be seen
        fs, path = fsspec.url_to_fs(text, use_listings_cache=False)
    except ImportError as error:
        raise OptionError(option, _shown(text), f"needs a library for {scheme}://: {_install(scheme)}") from error
    except Exception as error:
        known = "stn takes paths and the URLs of fsspec: file, s3, gs, …"
        unknown = isinstance(error, ValueError) and scheme not in fsspec.available_protocols()
        why = f"unknown protocol; {known}" if unknown else in_words(error)
        raise OptionError(option, _shown(text), why) from error
    remote = Remote(fs, path, text)
    if remote.in_object_store and not path.strip("/"):
        raise OptionError(option, remote, "names no bucket")
    return remote


def on_disk(place: Place) -> Path:
    """The path that `place` is, for callers that URLs do not reach."""
    assert isinstance(place, Path)
    return place


def listing(root: Remote, recursive: bool, leave_out: Remote | None, ignored: Counter[str]) -> list[tuple[Remote, str]]:
    """The images below `root` (or `root` itself, a file) and their names relative to it. Raises `OptionError`."""
    try:
        kind = root.kind()
        if kind is None:
            raise OptionError("INPUT", root, "no such file, folder or bucket")
        if kind == "file":
            return [(replace(root, size=_size(root.fs.info(root.path))), root.name)]
        entries = _entries(root, recursive)
    except StnError:
        raise
    except Exception as error:
        raise OptionError("INPUT", root, f"cannot be listed ({in_words(error)})") from error
    inner = leave_out.path.rstrip("/") + "/" if leave_out is not None and leave_out.fs == root.fs else None
    files, folders = [], set()
    for name, entry in entries.items():
        hidden = next((part for part in PurePosixPath(name).parts if part.startswith(".")), None)
        remote = replace(root / name, size=_size(entry))
        if not _stays(name):
            raise OptionError("INPUT", remote, "a name that leads out of its folder")
        if inner is not None and inner != root.path.rstrip("/") + "/" and remote.path.startswith(inner):
            folders.add(("output folder", inner))
        elif hidden is not None:
            folders.add(("hidden", name[: name.index(hidden)] + hidden))
        elif entry["type"] == "directory":
            folders.add(("sub-folder", name))
        elif format_of(name) is None:
            ignored["not an image"] += 1
        else:
            files.append((remote, name))
    ignored.update(kind for kind, _ in folders)
    return files


def names_in(folder: Remote, option: str) -> set[str]:
    """The names of the files that stand in an output folder, relative to it; none where it is not there yet.

    Raises `OptionError` where it cannot be looked into, and for a bucket that does not exist.
    """
    try:
        bucket = folder.path.strip("/").partition("/")[0]
        if folder.in_object_store and Remote(folder.fs, bucket, bucket).kind() is None:
            raise OptionError(option, folder, "no such bucket; stn makes none")
        return set(_entries(folder, True))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except StnError:
        raise
    except Exception as error:
        raise OptionError(option, folder, f"cannot be listed ({in_words(error)})") from error


@contextmanager
def putting(target: Remote, *, overwrite: bool) -> Iterator[tuple[BinaryIO, None]]:
    """`atomic.replacing` for a URL: what the block writes is put at its end; an exception in the block puts nothing."""
    with BytesIO() as file:
        yield file, None
        target.put(file.getvalue(), overwrite=overwrite)


def in_words(error: BaseException) -> str:
    """What went wrong on the way to a URL, in one line."""
    if isinstance(error, FileNotFoundError):
        return "no such file, folder or bucket"
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    if isinstance(error, PermissionError):
        return f"no permission: {said}" if said else "no permission"
    return said or type(error).__name__


def _entries(root: Remote, recursive: bool) -> dict[str, dict[str, Any]]:
    """Everything below a folder by its relative name; some stores also list the folder itself, and markers ending in "/"."""
    if recursive:
        found = root.fs.find(root.path, detail=True)
    else:
        found = {entry["name"]: entry for entry in root.fs.ls(root.path, detail=True)}
    prefix = root.path.rstrip("/") + "/"
    return {
        path[len(prefix) :].rstrip("/"): entry
        for path, entry in found.items()
        if path.startswith(prefix) and path != prefix and not (path.endswith("/") and entry["type"] == "file")
    }


def _stays(name: str) -> bool:
    """May be joined to a folder, here or there. On Windows a backslash or a colon in a name would lead elsewhere."""
    inside = all(part not in ("", ".", "..") for part in name.split("/")) and "\0" not in name
    return inside and not (system == "nt" and ("\\" in name or ":" in name))


def _local(option: str, text: str) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    rest = urlsplit(text.replace("#", "%23").replace("?", "%3F"))
    if rest.netloc not in ("", "localhost") or not rest.path:
        raise OptionError(option, text, "a file URL has three slashes and an absolute path: file:///folder/a.png")
    return Path(url2pathname(rest.path))


def _install(scheme: str) -> str:
    from fsspec.registry import known_implementations

    module = known_implementations.get(scheme, {}).get("class", "").partition(".")[0]
    said = known_implementations.get(scheme, {}).get("err", "see fsspec's documentation")
    return f"pip install {module}" if module not in ("", "fsspec") else said


def _size(entry: dict[str, Any]) -> int | None:
    size = entry.get("size")
    return size if isinstance(size, int) else None


def _bare(url: str) -> str:
    return url if url.endswith("://") else url.rstrip("/")


def _shown(text: str) -> str:
    return _PASSWORD.sub(r"\1:***@", text)
