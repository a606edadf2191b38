"""The families of transformations. A new one is one file beside these and one line in `FAMILIES`."""

from math import isqrt
from typing import Any

from stn_cli.core.families.affine import Affine
from stn_cli.core.families.attention import Attention
from stn_cli.core.families.base import Family
from stn_cli.core.families.flow import Flow
from stn_cli.core.families.piecewise_affine import PiecewiseAffine
from stn_cli.core.families.projective import Projective
from stn_cli.core.families.similarity import Similarity
from stn_cli.core.families.tps import ThinPlateSpline
from stn_cli.core.families.translation import Translation
from stn_cli.errors import OptionError, StnError

__all__ = [
    "FAMILIES",
    "Affine",
    "Attention",
    "Family",
    "Flow",
    "PiecewiseAffine",
    "Projective",
    "Similarity",
    "ThinPlateSpline",
    "Translation",
    "family_for",
    "make",
]

FAMILIES: dict[str, type[Family]] = {
    "translation": Translation,
    "attention": Attention,
    "similarity": Similarity,
    "affine": Affine,
    "projective": Projective,
    "piecewise-affine": PiecewiseAffine,
    "tps": ThinPlateSpline,
    "flow": Flow,
}

_BY_COUNT: dict[int, type[Family]] = {2: Translation, 3: Attention, 4: Similarity, 6: Affine, 8: Projective}


def make(name: str, **options: Any) -> Family:
    """The family called `name`, built with `options` (those that `Family.options` gives back).

    Raises `OptionError` for an unknown name, `StnError` for options that the family does not take.
    """
    if name not in FAMILIES:
        raise OptionError("--family", name, f"choose one of {', '.join(FAMILIES)}")
    try:
        return FAMILIES[name](**options)
    except (TypeError, ValueError) as error:
        raise StnError(f"the family {name} cannot be built from {options}: {error}") from None


def family_for(count: int, name: str | None = None) -> Family:
    """The family that `count` numbers belong to: 2 translation, 3 attention, 4 similarity, 6 affine, 8 projective, 2n² tps.

    With `name` that family, its lattice made to fit. Raises `OptionError` where the count fits none, or not the one named.
    """
    side = isqrt(max(count // 2, 0))
    square = count == 2 * side * side and side >= 2
    if name is None:
        if count in _BY_COUNT:
            return _BY_COUNT[count]()
        if square:
            return ThinPlateSpline(shape=(side, side))
        raise OptionError(
            "--theta",
            f"{count} numbers",
            "2 (translation), 3 (attention), 4 (similarity), 6 (affine), 8 or 9 (projective), 18, 32, 50, … (tps)",
        )
    if name in ("tps", "piecewise-affine", "flow"):
        if not square:
            raise OptionError("--theta", f"{count} numbers", f"{name} takes 2n² numbers: 8, 18, 32, 50, …")
        return make(name, shape=(side, side))
    family = make(name)
    if family.size != count:
        names = ", ".join(family.parameter_names)
        raise OptionError("--theta", f"{count} numbers", f"{name} takes {family.size}: {names}")
    return family
