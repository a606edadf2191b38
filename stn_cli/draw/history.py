"""What a run of `stn train-mnist` left in its folder of the digits it watched, ready to be drawn."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from stn_cli.core.families import Family, make
from stn_cli.errors import FileError, StnError

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class History:
    """The watched test digits and what the net made of them after each epoch; epoch 0 is before the training.

    images (n, S, S) uint8; theta (epochs, n, family.size); out_side: pixels a side of the transformer's output.
    """

    name: str
    images: np.ndarray
    family: Family
    epochs: tuple[int, ...]
    theta: np.ndarray
    test_error: tuple[float, ...]  # share of wrong answers
    out_side: int


def read_history(folder: Path) -> History:
    """Read a run's folder. Raises `FileError` for what is none, or the run of a net without a transformer."""
    path = folder / METRICS
    try:
        # a run that goes on, or was killed, may be in the middle of a line
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines() if line.strip()]
        head, records = lines[0], lines[1:]
        design, images = head["plan"]["design"], _images(folder / head["watched"]["images"])
    except OSError as error:
        raise FileError(
            folder, f"not the folder of a run of stn train-mnist (no {METRICS}: {error.strerror})"
        ) from None
    except (ValueError, LookupError, TypeError) as error:
        raise FileError(path, f"not the metrics of a run of stn train-mnist ({error})") from None
    if design.get("family") is None:
        raise FileError(folder, f"the run of a {design.get('model')}, which has no spatial transformer")
    return _history(head, records, images, path)


def _history(head: dict[str, Any], records: list[dict[str, Any]], images: np.ndarray, path: Path) -> History:
    design = head["plan"]["design"]
    try:
        family = make(design["family"], **design.get("family_options", {}))
        kept = [record for record in records if record.get("type") == "epoch" and "theta" in record]
        theta = np.array([record["theta"] for record in kept], dtype=np.float64)
        count = theta.shape[1]
        if theta.shape[2] != family.size or not 1 <= count <= len(images) or not np.isfinite(theta).all():
            raise ValueError("θ does not fit the family and the digits")
        return History(
            name=f"{design['model']} {family.name}, {head['data']} {head['plan']['distortion']}",
            images=images[:count],
            family=family,
            epochs=tuple(int(record["epoch"]) for record in kept),
            theta=theta,
            test_error=tuple(float(record["test_error"]) for record in kept),
            out_side=int(design.get("st_size") or design["in_size"]),
        )
    except (ValueError, LookupError, TypeError, StnError) as error:
        raise FileError(path, f"not the metrics of a run of stn train-mnist ({error})") from None


def _images(path: Path) -> np.ndarray:
    """The strip of square digits, side by side, as (n, S, S)."""
    try:
        with Image.open(path) as picture:
            strip = np.asarray(picture.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise FileError(path, f"the watched digits cannot be read ({error})") from None
    side = strip.shape[0]
    return np.ascontiguousarray(strip.reshape(side, -1, side).swapaxes(0, 1))
