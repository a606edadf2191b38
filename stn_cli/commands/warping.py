"""One picture through the transformer: θ from its source, the engine, and what the manifest says of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np

from stn_cli.commands.options import SamplingOptions, bounded
from stn_cli.commands.options import size as parse_size
from stn_cli.commands.sources import Source, View
from stn_cli.core.coordinates import Size
from stn_cli.core.need import Need, window
from stn_cli.core.reduction import reduction
from stn_cli.core.sampling import Sampling
from stn_cli.core.transformation import Transformation
from stn_cli.engines import Engine, Work, strips
from stn_cli.errors import OptionError, StnError
from stn_cli.folders.codecs import MAX_PIXELS, Reading
from stn_cli.folders.codecs.base import JpegOnDevice
from stn_cli.folders.colour import Colour
from stn_cli.folders.colour import parse as parse_colour
from stn_cli.folders.outside import padded
from stn_cli.folders.picture import Frame, Picture
from stn_cli.folders.plan import Job
from stn_cli.folders.preview import preview

LARGE = 256 << 20  # bytes of output from which on its rows are made when they are written

DEFAULTS = {"kernel": "bilinear", "padding": "zeros", "fill": None, "align_corners": False, "antialias": "auto"}


@dataclass(frozen=True)
class How:
    """The sampling options of one picture, before they meet its channels."""

    kernel: str
    padding: str
    fill: Colour | None
    align_corners: bool
    antialias: str

    @classmethod
    def chosen(cls, options: SamplingOptions, row: Mapping[str, Any]) -> "How":
        """What was typed, else what the manifest that is replayed says, else the defaults. Raises `OptionError`."""
        said = {**DEFAULTS, **row}
        typed = {name: value for name, value in vars(options).items() if value is not None}
        if "fill" in typed:
            typed.setdefault("padding", "fill")
        elif typed.get("padding", "fill") != "fill":
            said["fill"] = None
        values = {name: {**said, **typed}[name] for name in DEFAULTS}
        if (values["fill"] is None) != (values["padding"] != "fill"):
            allowed = "--padding fill needs --fill COLOUR" if values["fill"] is None else "goes with --padding fill"
            raise OptionError("--fill", "missing" if values["fill"] is None else values["fill"], allowed)
        fill = parse_colour(str(values["fill"])) if values["fill"] is not None else None
        Sampling(**{**values, "fill": None if fill is None else (0.0,)})  # whatever else is wrong is told now
        return cls(**{**values, "fill": fill})

    def on(self, frame: Frame) -> tuple[Frame, Sampling]:
        """As numbers for the channels of `frame`, whose palette may gain the fill."""
        frame, padding, constant = padded(frame, self.padding, self.fill)  # type: ignore[arg-type]
        return frame, Sampling(self.kernel, padding, constant, self.align_corners, self.antialias)  # type: ignore[arg-type]

    def row(self) -> dict[str, Any]:
        return {**vars(self), "fill": self.fill.text if self.fill else None}


@dataclass
class Warper:
    """(Picture, Job) → the warped picture and its line in the manifest: what `folders.pipeline.run` calls.

    `size_text` is --size as typed; an output has at most `max_pixels`, all frames counted. One image may take `threads`.
    `jpeg` decodes where the engine warps, if it has such a codec (`engines.jpeg_on`). `shown` pictures are looked at besides,
    and so needed whole. `seen` is called with every transformation and the frame it was made for, `told` with why a JPEG was
    left to the codec on the CPU.
    """

    source: Source
    engine: Engine
    options: SamplingOptions
    size_text: str | None = None
    max_pixels: int = MAX_PIXELS
    threads: int = 1
    jpeg: JpegOnDevice | None = None
    shown: bool = False
    seen: Callable[[Job, Transformation, View], None] = field(default=lambda *_: None)
    told: Callable[[Job, str], None] = field(default=lambda *_: None)

    def reading(self, job: Job) -> Reading:
        """How the picture of `job` is read, for what is going to be made of it."""
        return Reading(
            self.max_pixels,
            indices=True,
            need=lambda size: self.need(job, size),
            device=self.jpeg,
            told=lambda why: self.told(job, why),
        )

    def __call__(self, picture: Picture, job: Job) -> tuple[Picture, dict[str, Any]]:
        said = self.source.settings(job.name)
        how = self._how(said)
        frames: list[Frame] = []
        rows: list[dict[str, Any]] = []
        made: Transformation | None = None
        for page, frame in enumerate(picture.frames):
            frame, sampling = how.on(frame if how.kernel == "nearest" else frame.expanded())
            out_size = self._out_size(frame.full_size, _of_page(said, page), len(picture.frames))
            view = View(
                job.name, frame.full_size, out_size, how.align_corners, page, lambda frame=frame: preview(frame)
            )
            if made is None or not picture.animated:  # an animation is one scene: one θ for all its frames
                made = self.source(view)
                self.seen(job, made, view)
                rows.append({**made.row(), "in_size": list(view.in_size), "out_size": list(out_size)})
            frames.append(frame.with_pixels(self._warped(frame, made, out_size, sampling)))
        pages = rows[0] if all(row == rows[0] for row in rows) else {"pages": rows}
        return picture.with_frames(frames), {**pages, "sampling": how.row()}

    def need(self, job: Job, size: Size) -> Need:
        """What of the picture of `job`, `size` (height, width) in the file, its decoder may leave out: see `core.need`."""
        said = self.source.settings(job.name)
        how = self._how(said)
        if self.source.looks:
            return Need()
        out_size = self._out_size(size, _of_page(said, 0))
        try:
            made = self.source(View(job.name, size, out_size, how.align_corners))
        except StnError:
            return Need()  # it will be raised again, and told, when the picture is warped
        aliases = how.align_corners or how.antialias == "off" or how.kernel == "nearest"
        part = window(made, size, out_size, how.kernel, how.padding, how.align_corners)  # type: ignore[arg-type]
        return Need(1 if aliases else reduction(made, size, out_size), None if self.shown else part)

    @cached_property
    def _typed(self) -> How:
        return How.chosen(self.options, {})

    def _how(self, said: Mapping[str, Any]) -> How:
        row = said.get("sampling")
        return How.chosen(self.options, row) if row else self._typed

    def _warped(self, frame: Frame, made: Transformation, out_size: Size, sampling: Sampling) -> np.ndarray:
        if frame.reduced > 1:  # what is left to be averaged may be less than `auto` asks for
            sampling = replace(sampling, antialias="on")
        work = Work(frame.pixels, made, out_size, sampling, frame.alpha)
        if work.bytes - frame.pixels.nbytes > LARGE:
            return cast(np.ndarray, strips.Rows(self.engine, work, self.threads))
        return strips.warp(self.engine, work, self.threads)

    def _out_size(self, in_size: Size, said: Mapping[str, Any], frames: int = 1) -> Size:
        if self.size_text is not None:
            return bounded("--size", parse_size("--size", self.size_text, in_size), self.max_pixels, frames)
        for option, implied in (("--grid", self.source.size()), ("--theta-file", said.get("out_size"))):
            if implied:
                return bounded(option, (int(implied[0]), int(implied[1])), self.max_pixels, frames)
        return in_size


def _of_page(said: Mapping[str, Any], page: int) -> Mapping[str, Any]:
    """What a manifest says of one page; the last row serves any further page."""
    pages = said.get("pages", [said])
    return pages[min(page, len(pages) - 1)]
