"""How a warper is made again in another process: of this machine, or of a Ray cluster."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stn_cli.commands.options import SamplingOptions, ThetaOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from stn_cli.commands.warping import Warper
    from stn_cli.folders.codecs import Reading
    from stn_cli.folders.plan import Job


@dataclass(frozen=True)
class Recipe:
    """What a `Warper` is made of, and what a run does with its pictures; it travels by pickle."""

    where: ThetaOptions
    how: SamplingOptions
    size: str | None
    device: str
    batch_size: int | None
    max_pixels: int
    quality: int | None
    background: tuple[int, int, int] | None
    timeout: float

    def warper(self) -> "tuple[Warper, int]":
        """The warper, and how many pictures may wait for a batch."""
        from stn_cli.commands.sources import source
        from stn_cli.commands.warping import Warper
        from stn_cli.engines import choose, gathering, jpeg_on

        engine, _ = choose(self.device)
        engine, waiting = gathering(engine, self.batch_size, self.timeout)
        jpeg, _ = jpeg_on(engine)
        return Warper(source(self.where), engine, self.how, self.size, self.max_pixels, jpeg=jpeg), waiting


@dataclass(frozen=True)
class Elsewhere:
    """`folders.processes.Make` for `stn warp`."""

    recipe: Recipe
    verbose: bool

    def __call__(self) -> "tuple[Warper, Callable[[Job], Reading], list[str]]":
        from stn_cli.commands.warp_report import Teller
        from stn_cli.engines.native import on_compile

        said: list[str] = []
        on_compile(said.append)
        warper, _ = self.recipe.warper()
        warper.seen = Teller(said.append, warper.source, self.verbose, calls=False).tell
        return warper, warper.reading, said
