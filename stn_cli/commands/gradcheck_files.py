"""What `stn gradcheck` writes: results and pictures, whole or not at all."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stn_cli.errors import OptionError

if TYPE_CHECKING:
    from stn_cli.core.gradients.outside import Outside
    from stn_cli.core.gradients.setup import Setup

MOST_OUTPUTS = 16_384  # of a user's own code in a heatmap: one backward pass each


def write(option: str, path: Path, content: bytes) -> None:
    from stn_cli.folders.atomic import alone

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path, overwrite=True) as (file, _):
            file.write(content)
    except OSError as error:
        raise OptionError(option, path, error.strerror or str(error)) from None


def draw_heatmap(path: Path, setup: "Setup | None", outside: "Outside | None") -> None:
    from stn_cli.core.gradients.outside import problems as outside_problems
    from stn_cli.core.gradients.sweep import pixel_errors, pixel_errors_of
    from stn_cli.draw.gradients import heatmap

    if setup is not None:
        found = pixel_errors(setup)
    else:
        assert outside is not None
        problem = next(outside_problems(outside))
        count = problem.function(problem.at).numel() // len(problem.at)
        if count > MOST_OUTPUTS:
            raise OptionError(
                "--heatmap", path, f"{count:,} outputs an image; at most {MOST_OUTPUTS:,}: a smaller --input"
            )
        found = pixel_errors_of(problem, seed=outside.seed)
    picture = heatmap(found.V.numpy(), found.error.numpy(), found.kink.numpy(), found.subject)
    _save("--heatmap", path, picture)


def draw_sweep(path: Path, setup: "Setup | None", outside: "Outside | None") -> None:
    from stn_cli.core.gradients.outside import problems as outside_problems
    from stn_cli.core.gradients.stages import problems
    from stn_cli.core.gradients.sweep import curve, telling
    from stn_cli.draw.gradients import sweep

    if outside is not None:
        found = outside_problems(outside)
    else:
        assert setup is not None
        found = problems(setup)
    curves = [c for problem in telling(found) if (c := curve(problem)) is not None]
    if not curves:
        raise OptionError("--sweep", path, "nothing to draw: every gradient is zero or lies on a kink")
    lines = [(c.name, c.steps.numpy(), c.worst.numpy(), c.taken.numpy(), c.reached.numpy()) for c in curves]
    _save("--sweep", path, sweep(lines))


def _save(option: str, path: Path, picture: Any) -> None:
    from io import BytesIO

    data = BytesIO()
    picture.save(data, format="PNG")
    write(option, path, data.getvalue())
