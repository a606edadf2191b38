"""How fast files become pixels and pixels files, beside OpenCV and Pillow, one thread each.

    python tests/benchmarks/codecs.py [--repeat 31] [--size 640x480] [--part]

A photograph (scikit-image's astronaut) as a decoder delivers it, the same turned by 30° (what `stn warp` writes: smooth,
with black corners), and a drawing of flat colours. Peers alternate; the table shows medians, the middle half, and bytes.
`--part` instead: pictures of 4000×3000 of which `--zoom 4` shows the middle, whole and as far as that needs them.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import tifffile
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))

from stn_cli.core.need import Need, window
from stn_cli.core.transformation import Transformation
from stn_cli.folders.codecs import Reading, decode, jpeg, png
from stn_cli.folders.picture import Frame, Picture


def pictures(width: int, height: int) -> dict[str, np.ndarray]:
    photo = cv2.resize(skimage.data.astronaut(), (width, height), interpolation=cv2.INTER_CUBIC)
    seen = cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], cv2.IMREAD_COLOR)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 30, 0.8)
    drawing = np.full((height, width, 3), 255, np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(60):
        centre = tuple(int(v) for v in rng.integers(0, (width, height)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        cv2.circle(drawing, centre, int(rng.integers(5, 80)), colour, -1, cv2.LINE_AA)
    return {"photograph": seen, "turned": cv2.warpAffine(seen, turn, (width, height)), "drawing": drawing}


def ours(module: object, pixels: np.ndarray, *options: object) -> bytes:
    out = io.BytesIO()
    module.write(Picture((Frame(pixels, "RGB"),), "png"), out, *options)  # type: ignore[attr-defined]
    return out.getvalue()


def pillow(pixels: np.ndarray, name: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, name, **options)
    return out.getvalue()


def opencv(pixels: np.ndarray, suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def compare(title: str, peers: dict[str, Callable[[], object]], repeat: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in peers}
    results = {name: run() for name, run in peers.items()}
    for _ in range(repeat):
        for name, run in peers.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1e3)
    first = next(iter(peers))
    base = float(np.median(times["OpenCV"]))
    print(f"\n{title}")
    for name in peers:
        low, middle, high = np.percentile(times[name], (25, 50, 75))
        result = results[name]
        size = f"{len(result):>10,} bytes" if isinstance(result, bytes) else " " * 16
        mark = f"{base / middle:5.2f} × OpenCV" if name == first else f"{base / middle:5.2f} ×"
        print(f"  {name:<22}{middle:8.2f} ms  ({low:.2f}…{high:.2f}){size}   {mark}")


def parts(repeat: int) -> None:
    """Reading what `stn warp --zoom 4` needs of large files."""
    photo = pictures(4000, 3000)["photograph"]
    zoomed = Transformation.from_matrix(np.diag([0.25, 0.25, 1.0]))
    reading = Reading(need=lambda size: Need(1, window(zoomed, size, (600, 800), "bilinear", "zeros")))
    files = {"PNG": opencv(photo, ".png")}
    for name, options in (
        ("TIFF, plain", {}), ("TIFF, deflated strips", {"rowsperstrip": 64, "compression": "deflate", "predictor": True}),
        ("TIFF, deflated tiles", {"tile": (256, 256), "compression": "deflate", "predictor": True}),
        ("TIFF, JPEG tiles", {"tile": (256, 256), "compression": "jpeg"}),
    ):  # fmt: skip
        out = io.BytesIO()
        tifffile.imwrite(out, photo, photometric="rgb", **options)
        files[name] = out.getvalue()
    for name, data in files.items():
        coded = np.frombuffer(data, np.uint8)
        peers: dict[str, Callable[[], object]] = {
            "stn, what is needed": lambda data=data: decode(data, reading),
            "stn, whole": lambda data=data: decode(data, Reading()),
            "OpenCV": lambda coded=coded: cv2.imdecode(coded, cv2.IMREAD_COLOR),
        }
        compare(f"{name} read, 4000x3000, for a zoom by 4", peers, repeat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=31)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--part", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.part:
        parts(options.repeat)
        return
    width, height = (int(v) for v in options.size.split("x"))
    reading = Reading()
    for name, a in pictures(width, height).items():
        peers: dict[str, Callable[[], object]] = {
            "stn": lambda a=a: ours(png, a),
            "OpenCV": lambda a=a: opencv(a, ".png"),
            "Pillow level 1": lambda a=a: pillow(a, "PNG", compress_level=1),
            "Pillow (level 6)": lambda a=a: pillow(a, "PNG"),
        }
        compare(f"PNG write, {name}, {options.size}", peers, options.repeat)
        data = opencv(a, ".png")
        coded = np.frombuffer(data, np.uint8)
        peers = {
            "stn": lambda data=data: png.read(data, reading),
            "OpenCV": lambda coded=coded: cv2.imdecode(coded, cv2.IMREAD_COLOR),
            "Pillow": lambda data=data: np.asarray(Image.open(io.BytesIO(data))),
        }
        compare(f"PNG read, {name}, {options.size}", peers, options.repeat)
        peers = {
            "stn": lambda a=a: jpeg.write(
                Picture((Frame(a, "RGB"),), "jpeg", coding={"subsampling": "420"}), io.BytesIO(), 90
            ),
            "OpenCV": lambda a=a: opencv(a, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 90),
            "Pillow": lambda a=a: pillow(a, "JPEG", quality=90),
        }
        compare(f"JPEG write, {name}, {options.size}", peers, options.repeat)
        data = opencv(a, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 90)
        coded = np.frombuffer(data, np.uint8)
        peers = {
            "stn": lambda data=data: jpeg.read(data, reading),
            "OpenCV": lambda coded=coded: cv2.imdecode(coded, cv2.IMREAD_COLOR),
            "Pillow": lambda data=data: np.asarray(Image.open(io.BytesIO(data))),
        }
        compare(f"JPEG read, {name}, {options.size}", peers, options.repeat)


if __name__ == "__main__":
    main()
