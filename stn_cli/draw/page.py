"""The page: one HTML file in which a student drags the grid and reads off every number. No network, no framework.

Its mathematics is `web/core.js`, held to `stn_cli.core` by a test in a real browser. What comes from outside, the name of the
image above all, is escaped for the place it is put into.
"""

import base64
import json
from dataclasses import asdict
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from stn_cli.core.families import Flow, PiecewiseAffine, ThinPlateSpline, family_for
from stn_cli.draw.subject import Subject
from stn_cli.draw.text import FILES
from stn_cli.draw.theme import DARK, LIGHT, Theme

WEB = Path(__file__).with_name("web")
LONGEST = 192  # pixels a side: the image is reduced to it, so that the page stays small and answers at once
FACES = (("regular", 400, "normal"), ("bold", 600, "normal"), ("italic", 400, "italic"))


def page(subject: Subject, *, theme: str = "light") -> str:
    """The page for an image and a θ of any family, below 1 MB."""
    whole, subject = subject, subject.reduced(LONGEST)
    title = f"Spatial transformer: {subject.name}" if subject.name else "Spatial transformer"
    data = json.dumps(_data(subject, whole), ensure_ascii=True, separators=(",", ":"))
    parts = {
        "theme": theme,
        "title": escape(title),
        "style": _style(subject),
        # Inside a script element only its end tag and a comment can do harm.
        "data": data.replace("<", "\\u003c"),
        "script": (WEB / "core.js").read_text(encoding="utf-8") + (WEB / "page.js").read_text(encoding="utf-8"),
    }
    return _filled((WEB / "page.html").read_text(encoding="utf-8"), parts)


def _filled(template: str, parts: dict[str, str]) -> str:
    """`template` with each {{name}} replaced; what is put in is not looked at again."""
    pieces = template.split("{{")
    return pieces[0] + "".join(parts[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:]))


def _data(subject: Subject, whole: Subject) -> dict[str, Any]:
    moved, how = subject.transformation, subject.sampling
    family = moved.family
    ordinary = family.name not in ("flow",) and family_for(family.size, _spoken(family.name)) == family
    return {
        "image": subject.name or "IMAGE",
        "family": family.name,
        "names": list(family.parameter_names) if family.size <= 2048 else [],
        "theta": moved.theta.tolist(),
        "identity": list(family.identity()),
        "options": _options(family),
        "row": {key: value for key, value in moved.row().items() if key != "theta"},
        "plain": ordinary,
        "inSize": list(subject.in_size),
        "outSize": list(subject.out_size),
        "size": f"{whole.out_size[1]}x{whole.out_size[0]}" if whole.out_size != whole.in_size else "",
        "channels": subject.channels,
        "pixels": base64.b64encode(np.ascontiguousarray(subject.image).tobytes()).decode(),
        "kernel": how.kernel,
        "padding": how.padding,
        "fill": list(how.constant(subject.channels)) if how.padding == "fill" else None,
        "align": how.align_corners,
        "chosen": _first(subject),
    }


def _spoken(name: str) -> str | None:
    """The family as --theta needs it named: the count of numbers says the others."""
    return name if name == "piecewise-affine" else None


def _options(family: Any) -> dict[str, Any]:
    """What core.js needs beside θ: lattices, and the spline's solved system."""
    if isinstance(family, ThinPlateSpline):
        # The basis at a point is linear in (kernel, 1, x, y): core.js takes the solved matrix and makes those itself.
        return {"points": [list(p) for p in family.control_points], "solution": family.solution().tolist()}
    if isinstance(family, PiecewiseAffine):
        return {"points": [list(p) for p in family.control_points], "shape": list(family.shape)}
    if isinstance(family, Flow):
        return {"shape": list(family.shape), "align": family.align_corners}
    return {}


def _first(subject: Subject) -> int:
    """The output pixel that is shown first: one in the middle that reads inside the image, where there is an edge."""
    from stn_cli.draw.scenes.reverse import telling_pixels

    stops = telling_pixels(subject)
    return stops[len(stops) // 2]


def _style(subject: Subject) -> str:
    height, width = subject.out_size
    ratio = subject.in_size[1] * 1.0 / subject.in_size[0]
    # Input and output in the same scale: the input plane is wider by the margin that it shows.
    columns = f"{1.7 * subject.in_size[1]}fr {width}fr" if max(ratio, width / height) < 2.4 else "minmax(0, 1fr)"
    return _filled(
        (WEB / "page.css").read_text(encoding="utf-8"),
        {
            "fonts": _fonts(),
            "light": _variables(LIGHT),
            "dark": _variables(DARK),
            "columns": columns,
            "phone": "" if ratio > 0.6 else "#stage { padding: 0 12% }",
        },
    )


def _variables(theme: Theme) -> str:
    return " ".join(f"--{name}: {value};" for name, value in asdict(theme).items() if name != "name")


@cache
def _fonts() -> str:
    faces = []
    for name, weight, style in FACES:
        data = base64.b64encode(FILES[name].read_bytes()).decode()
        faces.append(
            f"@font-face {{ font-family: Inter; font-weight: {weight}; font-style: {style}; "
            f"src: url(data:font/ttf;base64,{data}) format('truetype') }}"
        )
    return "\n".join(faces)
