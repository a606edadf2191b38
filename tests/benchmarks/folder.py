"""`stn warp` on a folder beside scripts that a competent user would write: python -m tests.benchmarks.folder

    [--images 200] [--size 640x480] [--rounds 3] [--threads 2] [--jobs jpeg-jpeg,jpeg-png,png-png,shrink] [--peers stn,opencv,…]

`shrink` makes 4000×3000 JPEGs 800×600, whatever --size says; everyone may let the decoder do a part of it. In the other jobs
everyone turns the content by 30° at 0.8× with bilinear samples and zeros outside. JPEG quality is 90. Everyone is a process of
its own: wall time, CPU seconds and peak memory (of its largest process) include start-up. Rounds alternate; medians, and the
spread of the wall time. `floor` decodes (for `shrink`, at a quarter) and encodes and warps nothing. A peer that is not installed
is left out, and said to be.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from math import cos, radians, sin
from pathlib import Path

ANGLE, ZOOM, QUALITY = 30, 0.8, 90
LARGE, SMALL = (4000, 3000), (800, 600)
SUFFIX = {"jpeg": ".jpg", "png": ".png"}


def each(work, folder, out, suffix, threads):
    """work(source, target) over a folder by a pool of threads."""
    sources = sorted(p for p in Path(folder).iterdir() if p.suffix in SUFFIX.values())
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda p: work(p, Path(out) / (p.stem + suffix)), sources))


def opencv(folder, out, suffix, threads):
    import cv2

    cv2.setNumThreads(1)

    def work(source, target):
        image = cv2.imread(str(source))
        h, w = image.shape[:2]
        matrix = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), ANGLE, ZOOM)
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix == ".jpg" else []
        cv2.imwrite(str(target), cv2.warpAffine(image, matrix, (w, h)), options)

    each(work, folder, out, suffix, threads)


def pillow(folder, out, suffix, threads):
    from PIL import Image

    c, s = cos(radians(ANGLE)) / ZOOM, sin(radians(ANGLE)) / ZOOM

    def work(source, target):
        image = Image.open(source).convert("RGB")
        x, y = image.width / 2, image.height / 2
        data = (c, -s, x - c * x + s * y, s, c, y - s * x - c * y)
        image = image.transform(image.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
        image.save(target, quality=QUALITY)

    each(work, folder, out, suffix, threads)


def vips(folder, out, suffix, threads):
    os.environ["VIPS_CONCURRENCY"] = "1"
    import pyvips

    options = {"Q": QUALITY} if suffix == ".jpg" else {}
    c, s = ZOOM * cos(radians(ANGLE)), ZOOM * sin(radians(ANGLE))

    def work(source, target):
        image = pyvips.Image.new_from_file(str(source), access="random")
        w, h = image.width, image.height
        x, y = (w - 1) / 2, (h - 1) / 2
        image.affine(
            [c, s, -s, c], interpolate=pyvips.Interpolate.new("bilinear"), oarea=[0, 0, w, h],
            odx=x - c * x - s * y, ody=y + s * x - c * y,
        ).write_to_file(str(target), **options)  # fmt: skip

    each(work, folder, out, suffix, threads)


def torch_script(folder, out, suffix, threads, kornia=False):
    import numpy as np
    import torch
    from PIL import Image
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    c, s = np.cos(np.radians(ANGLE)) / ZOOM, np.sin(np.radians(ANGLE)) / ZOOM

    def work(source, target):
        image = np.array(Image.open(source).convert("RGB"))
        U = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        h, w = U.shape[-2:]
        if kornia:
            import kornia.geometry as K

            middle = torch.tensor([[(w - 1) / 2, (h - 1) / 2]])
            matrix = K.get_rotation_matrix2d(middle, torch.tensor([float(ANGLE)]), torch.full((1, 2), ZOOM))
            V = K.warp_affine(U, matrix, (h, w))
        else:
            theta = torch.tensor([[[c, -s * h / w, 0.0], [s * w / h, c, 0.0]]], dtype=torch.float32)
            V = F.grid_sample(U, F.affine_grid(theta, list(U.shape), align_corners=False), align_corners=False)
        array = V[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
        Image.fromarray(array).save(target, quality=QUALITY)

    with torch.inference_mode():
        each(work, folder, out, suffix, 1)  # torch has the threads


def kornia_script(folder, out, suffix, threads):
    torch_script(folder, out, suffix, threads, kornia=True)


def skimage(folder, out, suffix, threads):
    import numpy as np
    from skimage import io, transform

    def work(source, target):
        image = io.imread(source)
        h, w = image.shape[:2]
        middle = np.array([(w - 1) / 2, (h - 1) / 2])
        turn = (
            transform.AffineTransform(translation=-middle)
            + transform.AffineTransform(rotation=-radians(ANGLE), scale=ZOOM)
            + transform.AffineTransform(translation=middle)
        )
        warped = transform.warp(image, turn.inverse, order=1, preserve_range=True)
        options = {"quality": QUALITY} if suffix == ".jpg" else {}
        io.imsave(target, np.round(warped).astype(np.uint8), check_contrast=False, **options)

    each(work, folder, out, suffix, threads)


def simplejpeg_opencv(folder, out, suffix, threads):
    """The best script: the quickest JPEG library around OpenCV's warp."""
    import cv2
    import simplejpeg

    cv2.setNumThreads(1)

    def work(source, target):
        if source.suffix == ".jpg":
            image = simplejpeg.decode_jpeg(source.read_bytes())
        else:
            image = cv2.cvtColor(cv2.imread(str(source)), cv2.COLOR_BGR2RGB)
        h, w = image.shape[:2]
        matrix = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), ANGLE, ZOOM)
        warped = cv2.warpAffine(image, matrix, (w, h))
        if suffix == ".jpg":
            target.write_bytes(simplejpeg.encode_jpeg(warped, QUALITY, colorsubsampling="420"))
        else:
            cv2.imwrite(str(target), cv2.cvtColor(warped, cv2.COLOR_RGB2BGR))

    each(work, folder, out, suffix, threads)


def opencv_shrink(folder, out, suffix, threads, whole=False):
    import cv2

    cv2.setNumThreads(1)

    def work(source, target):
        image = cv2.imread(str(source), cv2.IMREAD_COLOR if whole else cv2.IMREAD_REDUCED_COLOR_4)
        small = cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(target), small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])

    each(work, folder, out, suffix, threads)


def opencv_shrink_whole(folder, out, suffix, threads):
    """The script of who does not know that a JPEG can be decoded at a quarter."""
    opencv_shrink(folder, out, suffix, threads, whole=True)


def simplejpeg_shrink(folder, out, suffix, threads):
    import cv2
    import simplejpeg

    cv2.setNumThreads(1)

    def work(source, target):
        image = simplejpeg.decode_jpeg(source.read_bytes(), min_width=SMALL[0], min_height=SMALL[1])
        small = cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA)
        target.write_bytes(simplejpeg.encode_jpeg(small, QUALITY, colorsubsampling="420"))

    each(work, folder, out, suffix, threads)


def pillow_shrink(folder, out, suffix, threads):
    from PIL import Image

    def work(source, target):
        image = Image.open(source)
        image.draft("RGB", SMALL)
        image.resize(SMALL, Image.Resampling.BOX).save(target, quality=QUALITY)

    each(work, folder, out, suffix, threads)


def floor_shrink(folder, out, suffix, threads):
    import numpy as np
    import simplejpeg

    def work(source, target):
        image = simplejpeg.decode_jpeg(source.read_bytes(), min_width=SMALL[0], min_height=SMALL[1])
        part = np.ascontiguousarray(image[: SMALL[1], : SMALL[0]])
        target.write_bytes(simplejpeg.encode_jpeg(part, QUALITY, colorsubsampling="420"))

    each(work, folder, out, suffix, threads)


def vips_shrink(folder, out, suffix, threads):
    os.environ["VIPS_CONCURRENCY"] = "1"
    import pyvips

    def work(source, target):
        pyvips.Image.thumbnail(str(source), SMALL[0], height=SMALL[1]).write_to_file(str(target), Q=QUALITY)

    each(work, folder, out, suffix, threads)


def floor(folder, out, suffix, threads):
    import simplejpeg

    def work(source, target):
        pixels = simplejpeg.decode_jpeg(source.read_bytes())
        target.write_bytes(simplejpeg.encode_jpeg(pixels, QUALITY, colorsubsampling="420"))

    each(work, folder, out, suffix, threads)


MAGICK = f"""export MAGICK_THREAD_LIMIT=1 OMP_NUM_THREADS=1
name=$(basename "${{1%.*}}")
convert "$1" -virtual-pixel black -filter point -interpolate bilinear -distort SRT {ZOOM},{-ANGLE} -quality {QUALITY} "$2/$name$3"
"""

PEERS = {
    "opencv": opencv, "pillow": pillow, "pyvips": vips, "torch": torch_script, "kornia": kornia_script,
    "skimage": skimage, "simplejpeg-opencv": simplejpeg_opencv, "floor": floor,
}  # fmt: skip
SHRINK = {
    "opencv": opencv_shrink, "opencv-whole": opencv_shrink_whole, "simplejpeg-opencv": simplejpeg_shrink,
    "pillow": pillow_shrink, "pyvips": vips_shrink, "floor": floor_shrink,
}  # fmt: skip
MAGICK_SHRINK = f"""export MAGICK_THREAD_LIMIT=1 OMP_NUM_THREADS=1
name=$(basename "${{1%.*}}")
convert -define jpeg:size={2 * SMALL[0]}x{2 * SMALL[1]} "$1" -filter box -resize {SMALL[0]}x{SMALL[1]}! \\
    -quality {QUALITY} "$2/$name$3"
"""


def command(peer, folder, out, suffix, threads, shrink=False):
    """How `peer` is started, or None where it is not installed or cannot do the job."""
    if peer == "stn":
        fmt = {".jpg": "jpeg", ".png": "png"}[suffix]
        turn = f"--rotate {ANGLE} --zoom {ZOOM} --antialias off".split()
        small = f"--rotate 0 --size {SMALL[0]}x{SMALL[1]}".split()
        start = [sys.executable, "-m", "stn_cli", "warp", folder, "--out", out, *(small if shrink else turn)]
        return [*start, "--quality", str(QUALITY), "--format", fmt, "--jobs", str(threads)]
    if peer == "imagemagick":
        if not shutil.which("convert"):
            return None
        script = Path(folder).parent / "magick.sh"
        script.write_text(MAGICK_SHRINK if shrink else MAGICK)
        run = f"ls {folder}/* | xargs -P {threads} -I{{}} sh {script} {{}} {out} {suffix}"
        return ["sh", "-c", run]
    if peer == "floor" and (suffix != ".jpg" or next(Path(folder).iterdir()).suffix != ".jpg"):
        return None
    if peer not in (SHRINK if shrink else PEERS):
        return None
    asked = "--shrink" if shrink else "--peer"
    return [sys.executable, "-m", "tests.benchmarks.folder", asked, peer, folder, out, suffix, str(threads)]


def measured(arguments, out):
    """(wall seconds, CPU seconds, MB of the largest) of a process and its children; None if it fails."""
    _put_aside(Path(out))
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed: pip compiles what it installs
    start = time.perf_counter()
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    message = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = status
    if status:
        print(f"  failed: {message.decode(errors='replace')[-300:]}", file=sys.stderr)
        return None
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _put_aside(out):
    """A fresh folder. What was in it is emptied but kept: ext4 makes files slowly while deleted ones are fresh."""
    if out.exists():
        for path in out.iterdir():
            os.truncate(path, 0)
        out.rename(out.with_name(f"{out.name}-{time.monotonic_ns()}"))
    out.mkdir()


def make_corpus(folder, suffix, count, size):
    import cv2
    from skimage import data

    names = ("astronaut", "coffee", "chelsea", "rocket")
    photos = [cv2.resize(getattr(data, name)()[..., ::-1], size, interpolation=cv2.INTER_AREA) for name in names]
    for n in range(count):
        import numpy as np

        shifted = np.roll(photos[n % len(photos)], 7 * n, axis=1)
        cv2.imwrite(
            str(folder / f"{n:05}{suffix}"), shifted, [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix == ".jpg" else []
        )


def main():
    if sys.argv[1:2] in (["--peer"], ["--shrink"]):
        _, asked, peer, folder, out, suffix, threads = sys.argv
        (PEERS if asked == "--peer" else SHRINK)[peer](folder, out, suffix, int(threads))
        return
    if sys.argv[1:2] == ["--corpus"]:
        _, _, folder, suffix, count, width, height = sys.argv
        make_corpus(Path(folder), suffix, int(count), (int(width), int(height)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jobs", default="jpeg-jpeg,jpeg-png,png-png,shrink")
    parser.add_argument("--peers", default=",".join(["stn", *(PEERS | SHRINK), "imagemagick"]))
    options = parser.parse_args()
    size = tuple(int(v) for v in options.size.split("x"))
    with tempfile.TemporaryDirectory() as scratch:
        for job in options.jobs.split(","):
            shrink = job == "shrink"
            source, target = (SUFFIX[kind] for kind in ("jpeg-jpeg" if shrink else job).split("-"))
            folder, out = Path(scratch) / job, str(Path(scratch) / "out")
            folder.mkdir()
            side = LARGE if shrink else size
            # a process of its own: what this one has taken would count as its children's peak
            corpus = [sys.executable, "-m", "tests.benchmarks.folder", "--corpus", folder, source]
            subprocess.run([str(a) for a in (*corpus, options.images, *side)], check=True)
            print(
                f"\n{job}, {options.images} images of {side[0]}x{side[1]}, {options.threads} threads, {options.rounds} rounds\n"
            )
            print(
                "| | images/s | wall, s (least–most) | CPU, s | peak, MB | bytes |\n| --- | --- | --- | --- | --- | --- |"
            )
            found = {}
            for _ in range(options.rounds + 1):  # the first round warms caches and is not counted
                for peer in options.peers.split(","):
                    arguments = command(peer, str(folder), out, target, options.threads, shrink)
                    result = measured(arguments, out) if arguments else None
                    if result:
                        written = sum(p.stat().st_size for p in Path(out).iterdir() if p.suffix == target)
                        found.setdefault(peer, []).append((*result, written))
            for peer, runs in found.items():
                counted = sorted(runs[1:])
                wall, cpu, memory, written = counted[len(counted) // 2]
                print(
                    f"| {peer} | {options.images / wall:.0f} | {wall:.2f} ({counted[0][0]:.2f}–{counted[-1][0]:.2f}) | "
                    f"{cpu:.2f} | {memory:.0f} | {written:,} |",
                    flush=True,
                )
            left_out = set(options.peers.split(",")) - set(found)
            if left_out:
                print(f"\nleft out: {', '.join(sorted(left_out))}")


if __name__ == "__main__":
    main()
