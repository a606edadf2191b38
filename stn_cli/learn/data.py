"""The data sets: MNIST and Fashion-MNIST from IDX files, or the embedded digits."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import platformdirs

from stn_cli.errors import FileError, MissingError, OptionError
from stn_cli.learn.digits import make_digits
from stn_cli.learn.download import Progress, fetch
from stn_cli.learn.idx import read_idx

DataName = Literal["auto", "mnist", "fashion-mnist", "digits"]
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
DIGITS_TRAIN, DIGITS_TEST = 30_000, 6_000
DIGITS_SEED = 2015  # the year of the paper; the test set has the next seed
PATIENCE = 6.0  # seconds that `auto` waits for a download


@dataclass(frozen=True)
class Source:
    """Where a data set comes from: https mirrors, and the SHA-256 of the unpacked files ordered as `FILES`."""

    mirrors: tuple[str, ...]
    sha256: tuple[str, str, str, str]


SOURCES = {
    "mnist": Source(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    "fashion-mnist": Source(
        ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",),
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}
SYSTEM = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}  # Debian's package dataset-fashion-mnist


@dataclass(frozen=True)
class DataSet:
    """Images (n, 28, 28) uint8, ink 255 on 0, labels (n,) uint8 below 10; `name` stands on all it is used for."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def first(self, train: int | None, test: int | None) -> DataSet:
        """The first `train` and `test` examples."""
        return DataSet(
            self.name,
            self.train_images[:train],
            self.train_labels[:train],
            self.test_images[:test],
            self.test_labels[:test],
        )


def load(
    name: DataName,
    folder: Path | None = None,
    *,
    progress: Progress | None = None,
    sources: dict[str, Source] = SOURCES,
) -> tuple[DataSet, str | None]:
    """The data set `name`, and a warning for the user or None.

    IDX files are looked for in `folder` (``--data-dir``) and its sub-folders of the data set's name, else in
    STN_DATA_DIR, else in the user's cache; what is missing is downloaded. `auto` is MNIST where it is there or
    comes within a few seconds, else the embedded digits, and the warning says so.
    """
    if name == "digits":
        return _digits(), None
    home, given = _home(name, folder)
    if name != "auto":
        return _read(name, _find(name, home, given) or _download(name, home, progress, sources), sources), None
    found = _find("mnist", home, given)
    try:
        found = found or _download("mnist", home, progress, sources, time.monotonic() + PATIENCE)
    except (MissingError, FileError) as error:
        return _digits(), (
            f"MNIST is not at hand, so this run trains on the embedded digits: its errors are not MNIST's. ({error})"
        )
    return _read("mnist", found, sources), None


def _digits() -> DataSet:
    return DataSet("digits", *make_digits(DIGITS_TRAIN, DIGITS_SEED), *make_digits(DIGITS_TEST, DIGITS_SEED + 1))


def _home(name: str, folder: Path | None) -> tuple[Path, bool]:
    """Where the files are looked for and downloaded to, and whether the user named that folder."""
    given = folder or (Path(os.environ["STN_DATA_DIR"]) if os.environ.get("STN_DATA_DIR") else None)
    if given is None:
        return Path(platformdirs.user_cache_dir("stn")) / ("mnist" if name == "auto" else name), False
    if not given.is_dir():
        raise OptionError("--data-dir" if folder else "STN_DATA_DIR", given, "must be a folder that exists")
    return given, True


def _find(name: str, home: Path, given: bool) -> tuple[Path, ...] | None:
    places = [home]
    if given:
        places += [home / name, home / {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}[name] / "raw"]
    if name in SYSTEM:
        places.append(SYSTEM[name])
    for place in places:
        files = tuple(_variant(place, file) for file in FILES)
        if all(files):
            return files  # type: ignore[return-value]
    return None


def _variant(place: Path, name: str) -> Path | None:
    names = (name, name + ".gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz")
    return next((place / n for n in names if (place / n).is_file()), None)


def _download(
    name: str, home: Path, progress: Progress | None, sources: dict[str, Source], until: float | None = None
) -> tuple[Path, ...]:
    source, paths = sources[name], []
    for file, digest in zip(FILES, source.sha256, strict=True):
        target = home / (file + ".gz")

        def check(path: Path, axes: int = 3 if "images" in file else 1, digest: str = digest) -> None:
            found = read_idx(path, axes)[1]
            if found != digest:
                raise FileError(path, f"SHA-256 {found[:12]}… instead of {digest[:12]}…")

        if not target.is_file():
            urls = [mirror + file + ".gz" for mirror in source.mirrors]
            patience = {} if until is None else {"timeout": 3.0, "until": until}
            try:
                fetch(urls, target, check, progress=progress, **patience)
            except MissingError as error:
                raise MissingError(
                    f"{error}. Put the four IDX files of {name} into {home}, or say --data digits"
                ) from error
        paths.append(target)
    return tuple(paths)


def _read(name: str, files: Sequence[Path], sources: dict[str, Source]) -> DataSet:
    arrays, same = [], True
    for path, digest in zip(files, sources[name].sha256, strict=True):
        array, found = read_idx(path, 3 if "images" in path.name else 1)
        same &= found == digest
        arrays.append(array)
    for images, labels, image_file, label_file in zip(arrays[::2], arrays[1::2], files[::2], files[1::2], strict=True):
        if images.shape[1:] != (28, 28) or len(images) == 0:
            raise FileError(image_file, f"holds images of shape {images.shape}; (n, 28, 28) is needed")
        if len(labels) != len(images) or labels.max() > 9:
            raise FileError(
                label_file,
                f"{len(labels)} labels up to {labels.max()} for {len(images)} images; 0 to 9 are allowed",
            )
    return DataSet(name if same else f"{name} (not the published files)", *arrays)
