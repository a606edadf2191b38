"""`stn animate`: the spatial transformer as a film, a picture, or a page to play with."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from stn_cli.commands.groups import with_groups
from stn_cli.commands.options import SamplingOptions, ThetaOptions, real, whole
from stn_cli.commands.options import size as parse_size
from stn_cli.errors import FileError, OptionError

if TYPE_CHECKING:
    from stn_cli.draw.scene import Scene, Stage
    from stn_cli.draw.subject import Subject

SCENES = (
    "reverse", "forward", "grid", "bilinear", "wiggle-grid", "wiggle-pixel", "gradient", "theta", "module", "training",
)  # fmt: skip
FILM = "The film"
SUFFIXES = (".gif", ".mp4", ".webm", ".webp", ".apng", ".html")
SMALLEST, LARGEST = 120, 7680  # pixels a side
MOST_FRAMES = 5000


@with_groups
def animate(
    where: ThetaOptions,
    how: SamplingOptions,
    scene: Annotated[
        str | None, typer.Argument(metavar="SCENE", help="What to show; see above.", show_default="reverse")
    ] = None,
    image: Annotated[
        Path | None,
        typer.Argument(metavar="IMAGE", help="Default: a sample. For training the folder of a run of stn train-mnist."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What to write, by suffix: .gif, .mp4, .webm, .webp, .apng, .html (a page to play with), .png with --frame, "
            "or a folder for numbered PNGs.",
            rich_help_panel=FILM,
        ),
    ] = None,
    all_: Annotated[
        Path | None,
        typer.Option(
            "--all", metavar="DIR", help="Every scene that applies, with an index page.", rich_help_panel=FILM
        ),
    ] = None,
    size: Annotated[
        str, typer.Option(metavar="WxH", help="Of the frame; W alone gives 4:3.", rich_help_panel=FILM)
    ] = "640x480",
    fps: Annotated[
        float,
        typer.Option(parser=real("--fps", 1, 60), metavar="1..60", help="Frames a second.", rich_help_panel=FILM),
    ] = 15,  # type: ignore[assignment]
    seconds: Annotated[
        float | None,
        typer.Option(
            parser=real("--seconds", 1, 600),
            metavar="SECONDS",
            help="Length of the film.",
            show_default="the scene's own pace",
            rich_help_panel=FILM,
        ),
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop/--once", help="Begin again after a pause, or stop.", rich_help_panel=FILM)
    ] = True,
    theme: Annotated[Literal["light", "dark"], typer.Option(help="Colours.", rich_help_panel=FILM)] = "light",
    captions: Annotated[
        bool,
        typer.Option(
            "--captions/--no-captions", help="Title and a line that says what to notice.", rich_help_panel=FILM
        ),
    ] = True,
    frame: Annotated[
        int | None,
        typer.Option(
            parser=whole("--frame", 1, MOST_FRAMES),
            metavar="N",
            help="Only the Nth frame, as a .png of any --size: for print.",
            rich_help_panel=FILM,
        ),
    ] = None,
    existing: Annotated[
        Literal["fail", "overwrite"],
        typer.Option(help="What to do where the file is there already.", rich_help_panel=FILM),
    ] = "fail",
) -> None:
    """Show how the spatial transformer works, on your image and with your θ.

    Scenes: reverse (each output pixel and where it reads), forward (holes and overlaps, beside reverse), grid (the grid bends to
    T_θ(G)), bilinear (four neighbours, four areas), wiggle-grid and wiggle-pixel (what the gradients are), gradient (how the loss
    flows back), theta (each parameter of --family in turn), module (the whole, with --net), training (from a run of train-mnist).
    """
    stage = _stage(size, theme, captions)
    fps = float(fps)
    if all_ is not None:
        _everything(all_, scene, image, out, frame, where, how, stage, fps, seconds, loop, existing)
        return
    name = scene or "reverse"
    if name not in SCENES:
        raise OptionError("SCENE", name, f"choose one of {', '.join(SCENES)}")
    target = _target(out, frame, existing)
    from stn_cli.draw.film import Film

    if target.suffix.lower() == ".html":
        _page(name, target, _subject(name, image, where, how), theme, existing)
        return
    film = Film(_scene(name, image, where, how, stage), fps, seconds, loop)
    _enough(film.count, seconds, fps)
    if frame is not None:
        _one_frame(film, frame, target, existing)
    else:
        _film(film, target, existing)
    typer.echo(
        f"{target}  {stage.width}×{stage.height}" + ("" if frame else f", {film.count} frames, {film.length:.1f} s")
    )


def _stage(size: str, theme: str, captions: bool) -> "Stage":
    from stn_cli.draw.scene import Stage
    from stn_cli.draw.theme import THEMES

    text = f"{size}x{round(int(size) * 3 / 4)}" if size.isdecimal() else size
    height, width = parse_size("--size", text)
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise OptionError("--size", size, f"each side from {SMALLEST} to {LARGEST} pixels")
    return Stage(width, height, THEMES[theme], captions)


def _target(out: Path | None, frame: int | None, existing: str) -> Path:
    if out is None:
        raise OptionError("--out", "missing", f"say where: a name ending in {', '.join(SUFFIXES)}, or a folder")
    suffix = out.suffix.lower()
    if frame is not None and suffix != ".png":
        raise OptionError("--out", out, "--frame writes a .png")
    if frame is None and suffix == ".png":
        raise OptionError("--out", out, "one .png is one frame: say which with --frame N")
    if suffix not in ("", ".png", *SUFFIXES):
        raise OptionError("--out", out, f"ends in one of {', '.join(SUFFIXES)}, or is a folder (no suffix)")
    if suffix == "":
        if out.is_dir() and any(out.iterdir()) and existing == "fail":
            raise OptionError("--out", out, "is a folder with something in it; --existing overwrite writes into it")
        if out.exists() and not out.is_dir():
            raise OptionError("--out", out, "is a file; a folder of PNGs needs a folder")
    elif out.exists() and (existing == "fail" or not out.is_file()):
        raise OptionError("--out", out, "exists already; --existing overwrite replaces it")
    if not out.parent.is_dir():
        _parent(out)
    return out


def _parent(out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError("--out", out, f"its folder cannot be made ({error.strerror})") from None


def _enough(count: int, seconds: float | None, fps: float) -> None:
    if count > MOST_FRAMES:
        raise OptionError("--seconds", seconds, f"with --fps {fps:g} that is {count} frames; {MOST_FRAMES} at most")


def _scene(name: str, image: Path | None, where: ThetaOptions, how: SamplingOptions, stage: "Stage") -> "Scene":
    from stn_cli.draw.scenes import SCENES as scenes  # noqa: N811

    if name == "training":
        from stn_cli.draw.history import read_history
        from stn_cli.draw.scenes.training import Training

        if image is None:
            raise OptionError("IMAGE", "missing", "for training give the folder of a run of stn train-mnist")
        if _theta_given(where):
            raise OptionError("SCENE", name, "takes θ from the run: give no θ")
        return Training(read_history(image), stage)
    return scenes[name](_subject(name, image, where, how), stage)


def _subject(name: str, image: Path | None, where: ThetaOptions, how: SamplingOptions) -> "Subject":
    """The image, its θ and how it is sampled; what is not given is the sample and a telling θ."""
    from stn_cli.commands.sources import FromNet, View
    from stn_cli.commands.sources import source as theta_source
    from stn_cli.commands.warping import How
    from stn_cli.draw.examples import sample, telling
    from stn_cli.draw.subject import Subject, flat
    from stn_cli.folders.picture import Frame

    if name == "training":
        raise OptionError("--out", "a page", "shows one image; training is a film")
    if how.antialias not in (None, "off"):
        raise OptionError(
            "--antialias", how.antialias, "off: the scenes show one sample an output pixel, as the paper does"
        )
    if name == "module" and where.net is None:
        where = replace(where, net=_shipped())
    pixels, title = (flat(_read(image)), image.name) if image is not None else (sample(), "")
    chosen = How.chosen(how, {})
    in_size = (pixels.shape[0], pixels.shape[1])
    out_size, net = None, ""
    if not _theta_given(where):
        made = telling(where.family, in_size, sample=image is None)
    else:
        source = theta_source(where)
        out_size = source.size()
        net = source.net.name if isinstance(source, FromNet) else ""
        made = source(
            View(title, in_size, out_size or in_size, chosen.align_corners, pixels=lambda: pixels.reshape(*in_size, -1))
        )
    planes = pixels.reshape(*in_size, -1)
    _, sampling = chosen.on(Frame(planes, "L" if pixels.ndim == 2 else "RGB"))
    return Subject(pixels, made, replace(sampling, antialias="off"), title, out_size, net)


def _shipped() -> str:
    from stn_cli.learn.theta_net import shipped

    names = shipped()
    if not names:
        raise OptionError(
            "--net", "missing", "module shows a localisation net at work: name one that stn train-mnist made"
        )
    return names[0]


def _theta_given(where: ThetaOptions) -> bool:
    """Whether θ itself was given: a family alone asks for a telling one of it."""
    return any(
        getattr(where, field.name) not in (None, 0.0)
        for field in fields(where)
        if field.name not in ("family", "smoothing")
    )


def _read(path: Path) -> Any:
    from stn_cli.folders.codecs import read
    from stn_cli.folders.preview import preview

    try:
        return preview(read(path).frames[0])
    except FileError as error:
        raise OptionError("IMAGE", error.path, error.reason) from None


def _film(film: Any, target: Path, existing: str, label: str = "drawing") -> None:
    from stn_cli.commands.progress import progress
    from stn_cli.draw.writers import WRITERS, write_folder
    from stn_cli.folders.atomic import alone

    with progress(label, "frames") as (advance, _):
        if target.suffix == "":
            target.mkdir(exist_ok=True)
            write_folder(film, target, advance)
            return
        with alone(target, overwrite=existing == "overwrite") as (file, _path):
            WRITERS[target.suffix.lower()](film, file, advance)


def _one_frame(film: Any, frame: int, target: Path, existing: str) -> None:
    from stn_cli.folders.atomic import alone

    if frame > film.count:
        raise OptionError("--frame", frame, f"from 1 to {film.count}: the film has no more")
    with alone(target, overwrite=existing == "overwrite") as (file, _):
        film.frame(film.times[frame - 1]).save(file, format="PNG")


def _page(name: str, target: Path, subject: "Subject", theme: str, existing: str) -> None:
    from stn_cli.draw.page import page
    from stn_cli.folders.atomic import alone

    text = page(subject, theme=theme)
    with alone(target, overwrite=existing == "overwrite") as (file, _):
        file.write(text.encode())
    typer.echo(f"{target}  {len(text.encode()) / 1000:.0f} kB")


def _everything(
    folder: Path, scene: str | None, image: Path | None, out: Path | None, frame: int | None,
    where: ThetaOptions, how: SamplingOptions, stage: "Stage", fps: float, seconds: float | None, loop: bool, existing: str,
) -> None:  # fmt: skip
    """Every scene that applies as a GIF, the page, and an index of them all."""
    from stn_cli.draw.film import Film
    from stn_cli.draw.index import Entry, index_page
    from stn_cli.folders.atomic import alone

    if out is not None or frame is not None:
        raise OptionError(
            "--out" if out is not None else "--frame", out or frame, "--all DIR says where, and makes all frames"
        )
    if scene is not None and image is None:
        scene, image = None, Path(scene)  # the only argument is the image
    if scene is not None:
        raise OptionError("SCENE", scene, "--all makes every scene: name none")
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and existing == "fail")):
        raise OptionError("--all", folder, "exists already; --existing overwrite writes into it")
    run = image is not None and image.is_dir()
    net = where.net is not None
    names = ["training"] if run else [name for name in SCENES if name != "training" and (name != "module" or net)]
    films = [Film(_scene(name, image, where, how, stage), fps, seconds, loop) for name in names]
    for film in films:
        _enough(film.count, seconds, fps)
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for film in films:
        scene_ = film.scene
        _film(film, folder / f"{scene_.name}.gif", existing, scene_.name)
        typer.echo(str(folder / f"{scene_.name}.gif"))
        entries.append(Entry(scene_.name, scene_.title, f"{scene_.name}.gif", scene_.lesson))
    if not run:
        _page("reverse", folder / "page.html", _subject("reverse", image, where, how), stage.theme.name, existing)
    title = image.name if image is not None else "a handwritten 3"
    with alone(folder / "index.html", overwrite=existing == "overwrite") as (file, _):
        file.write(index_page(title, entries, stage, page=None if run else "page.html").encode())
    typer.echo(str(folder / "index.html"))
