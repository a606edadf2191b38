"""What `stn warp` tells: of each θ, of the whole run, and on a contact sheet."""

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stn_cli.errors import OptionError

if TYPE_CHECKING:
    from stn_cli.commands.progress import Say
    from stn_cli.commands.sources import Source, View
    from stn_cli.core.transformation import Transformation
    from stn_cli.folders.pipeline import Results
    from stn_cli.folders.plan import Job, Plan

SHEET_PAIRS = 48  # pictures on a contact sheet; a folder of thousands needs no poster


def would_warp(plan: "Plan", json: bool) -> None:
    rows = [{"source": str(job.source), "output": str(job.target)} for job in plan.jobs]
    if json:
        typer.echo(
            dumps({"would_warp": rows, "skipped": [str(job.source) for job in plan.skipped]}, ensure_ascii=False)
        )
        return
    for row in rows:
        typer.echo(f"{row['source']} → {row['output']}")
    typer.echo(f"{len(plan.jobs)} to warp, {len(plan.skipped)} to skip; nothing was written")


def summary(results: "Results", plan: "Plan", json: bool, sheet: Path | None = None) -> None:
    rate = len(results.done) / max(results.seconds, 1e-9)
    manifest = plan.manifest if plan.manifest is not None and plan.manifest.exists() else None
    if json:
        found = {
            "warped": len(results.done),
            "skipped": len(results.skipped),
            "failed": [{"path": str(error.path), "reason": error.reason} for error in results.failed],
            "stopped": str(results.stopped) if results.stopped else None,
            "seconds": round(results.seconds, 3),
            "images_per_second": round(rate, 1),
            "out": str(plan.jobs[0].target if plan.single and plan.jobs else plan.folder),
            "manifest": str(manifest) if manifest else None,
            "contact_sheet": str(sheet) if sheet else None,
        }
        typer.echo(dumps(found, ensure_ascii=False))
        return
    parts = [f"{len(results.done)} warped", f"{len(results.skipped)} skipped", f"{len(results.failed)} failed"]
    typer.echo(f"{', '.join(parts)} in {results.seconds:.1f} s ({rate:.{0 if rate >= 10 else 1}f} images/s)")
    if plan.ignored:
        typer.echo("passed over: " + ", ".join(f"{count} {kind}" for kind, count in sorted(plan.ignored.items())))
    if plan.single and results.done:
        typer.echo(f"output    {plan.jobs[0].target}")
    if manifest is not None:
        typer.echo(f"manifest  {manifest}")
    if sheet is not None:
        typer.echo(f"sheet     {sheet}")


class Teller:
    """Says what each θ means, each thing once; how other tools would write it (`calls`), for the first."""

    def __init__(self, say: "Say", source: "Source", verbose: bool, calls: bool = True) -> None:
        self.say, self.source, self.verbose, self.calls = say, source, verbose, calls
        self.told: set[str] = set()

    def tell(self, job: "Job", made: "Transformation", view: "View") -> None:
        if remark := self.source.remark(view):
            self.once(remark)
        if not self.verbose:
            return
        from stn_cli.core.conventions import calls
        from stn_cli.core.describe import describe
        from stn_cli.core.sampling import Sampling

        found = describe(made, view.in_size, view.out_size, view.align_corners)
        height, width = view.in_size
        self.once(f"{job.name} ({width}×{height}): {found.sentence()}")
        if self.calls and found.determinant != 0:
            self.calls = False
            how = Sampling(align_corners=view.align_corners)
            for library, call in calls(made, view.in_size, view.out_size, how).items():
                self.once(f"  {library:<12}{call}")

    def once(self, line: str) -> None:
        """Say it, unless it was said."""
        if line not in self.told:
            self.told.add(line)
            self.say(line)


class Sheet:
    """Collects the first pictures of the plan, small, and writes them side by side with what became of them."""

    def __init__(self, path: Path, plan: "Plan", existing: str) -> None:
        if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            raise OptionError("--contact-sheet", path, "ends in .png, .jpg or .webp")
        if existing == "fail" and path.exists():
            raise OptionError("--contact-sheet", path, "exists already; --existing overwrite replaces it")
        pictures = [place for job in plan.jobs for place in (job.source, job.target) if isinstance(place, Path)]
        if path.absolute() in {picture.absolute() for picture in pictures}:
            raise OptionError("--contact-sheet", path, "is one of the pictures")
        self.path, self.order = path, [job.name for job in plan.jobs]
        self.wanted = set(self.order[:SHEET_PAIRS])
        self.pairs: dict[str, Any] = {}

    def add(self, job: "Job", before: Any, after: Any) -> None:
        from stn_cli.draw.contact_sheet import Pair, thumbnail
        from stn_cli.folders.preview import preview

        if job.name in self.wanted:
            small = [thumbnail(preview(picture.frames[0])) for picture in (before, after)]
            self.pairs[job.name] = Pair(job.name, *small)

    def write(self) -> None:
        from stn_cli.draw.contact_sheet import contact_sheet
        from stn_cli.folders.atomic import alone

        pairs = [self.pairs[name] for name in self.order if name in self.pairs]
        if not pairs:
            return
        sheet = contact_sheet(pairs, left_out=max(0, len(self.order) - SHEET_PAIRS))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with alone(self.path, overwrite=True) as (file, _):
            sheet.save(file, format={".png": "PNG", ".webp": "WEBP"}.get(self.path.suffix.lower(), "JPEG"))
