"""MNIST's files, made up, and a server of them on this machine that breaks off, dawdles or knows no ranges."""

import gzip
import hashlib
import http.server
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from stn_cli.learn import data


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def made_up(train: int = 50, test: int = 20) -> dict[str, bytes]:
    """The four IDX files by name."""
    rng = np.random.default_rng(0)
    arrays = [
        made
        for count in (train, test)
        for made in (rng.integers(0, 256, (count, 28, 28), np.uint8), rng.integers(0, 10, count, np.uint8))
    ]
    return dict(zip(data.FILES, map(idx_bytes, arrays), strict=True))


def sources(url: str, contents: dict[str, bytes]) -> dict[str, data.Source]:
    digests = tuple(hashlib.sha256(contents[name]).hexdigest() for name in data.FILES)
    return {"mnist": data.Source((url,), digests)}  # pyright: ignore[reportArgumentType]


@contextmanager
def serving(contents: dict[str, bytes]) -> Iterator[dict[str, Any]]:
    """Serves the files gzipped, with Range; hangs up half-way `breaks` times; `asked` logs the ranges.

    `pause` is a rest in seconds after every 8 KiB.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.removeprefix("/")
            body = state["files"].get(name)
            state["asked"].append((name, self.headers.get("Range")))
            if body is None:
                self.send_error(404)
                return
            start = 0
            if state["ranges"] and (wanted := self.headers.get("Range")):
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            rest = body[start:]
            if state["breaks"] > 0:
                state["breaks"] -= 1
                rest = rest[: len(rest) // 2]
            try:
                for at in range(0, len(rest), 1 << 13):
                    self.wfile.write(rest[at : at + (1 << 13)])
                    time.sleep(state["pause"])
            except ConnectionError:  # who asked was killed
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    state: dict[str, Any] = {"asked": [], "breaks": 0, "ranges": True, "pause": 0.0}
    state["files"] = {name + ".gz": gzip.compress(content, mtime=0) for name, content in contents.items()}
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    state["url"] = f"http://127.0.0.1:{running.server_port}/"
    try:
        yield state
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
