"""What `processes.Make` makes in the tests: picklable, and importable by other processes."""

import errno
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from stn_cli.errors import FileError
from stn_cli.folders import crew
from stn_cli.folders.codecs import Reading

ODD = ("dies", "dies once", "hangs", "bug", "unpicklable", "fails")
ROW = {"family": "affine", "theta": [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}


def mirror(picture, job):
    frames = [f.with_pixels(np.ascontiguousarray(f.pixels[:, ::-1])) for f in picture.frames]
    return picture.with_frames(frames), ROW


@dataclass(frozen=True)
class Mirrors:
    """Mirrors, and says in which process. `odd` happens to the third picture of a process other than `spared`, or a later one;
    its name and that process are then in the file `once`."""

    odd: str = ""
    once: Path = Path()
    spared: int = 0
    pause: float = 0.0

    def __call__(self):
        said = [f"process {os.getpid()}"]
        if self.odd == "cannot begin":
            raise ImportError("no such\nlibrary")
        if self.odd == "slow to begin":
            time.sleep(60)
        if self.odd == "disk full":
            self._encode(self._fill_the_disk)
        if self.odd == "hangs writing":
            self._encode(self._hang)

        number = count(1)

        def warp(picture, job):
            time.sleep(self.pause)
            if self.odd in ODD and os.getpid() != self.spared and self._chosen(job, next(number)):
                self._happen(job)
            return mirror(picture, job)

        return warp, lambda job: Reading(), said

    def _chosen(self, job, number):
        """Is it this picture? With "dies" each time that it comes, else the first time only."""
        if self.once.exists():
            return self.odd == "dies" and self.once.read_text().split()[0] == job.name
        if number < 3:
            return False
        with suppress(FileExistsError), self.once.open("x") as file:
            file.write(f"{job.name} {os.getpid()}")
            return True
        return False

    def _happen(self, job):
        if self.odd.startswith("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.odd == "hangs":
            time.sleep(60)
        if self.odd == "bug":
            raise ZeroDivisionError("a bug")
        if self.odd == "unpicklable":
            raise type("Local", (Exception,), {})("of a foreign decoder")
        if self.odd == "fails":
            raise FileError(job.source, "is not wanted")

    def _encode(self, then):
        """`then` is called when a picture's bytes are in their temporary file."""
        real = crew.encode

        def encode(picture, file, *args, **options):
            real(picture, file, *args, **options)
            if os.getpid() != self.spared:
                then()

        crew.encode = encode

    def _fill_the_disk(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _hang(self):
        self.once.write_text(f"- {os.getpid()}")
        time.sleep(60)
