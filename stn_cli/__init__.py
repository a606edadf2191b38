"""stn: the spatial transformer (Jaderberg et al., 2015) as a library and a command-line workbench.

The public names are loaded when they are first used, so that ``import stn_cli`` imports neither torch nor numpy::

    from stn_cli import Affine, SpatialTransformer, sample
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "FAMILIES": "stn_cli.core.families",
    "Affine": "stn_cli.core.families",
    "Attention": "stn_cli.core.families",
    "Family": "stn_cli.core.families",
    "Flow": "stn_cli.core.families",
    "PiecewiseAffine": "stn_cli.core.families",
    "Projective": "stn_cli.core.families",
    "Sampling": "stn_cli.core.sampling",
    "Similarity": "stn_cli.core.families",
    "SpatialTransformer": "stn_cli.core.transformer",
    "ThinPlateSpline": "stn_cli.core.families",
    "Transformation": "stn_cli.core.transformation",
    "Translation": "stn_cli.core.families",
    "make": "stn_cli.core.families",
    "sample": "stn_cli.core.sampler",
}

__all__ = [
    "FAMILIES",
    "Affine",
    "Attention",
    "Family",
    "Flow",
    "PiecewiseAffine",
    "Projective",
    "Sampling",
    "Similarity",
    "SpatialTransformer",
    "ThinPlateSpline",
    "Transformation",
    "Translation",
    "__version__",
    "make",
    "sample",
]

if TYPE_CHECKING:
    from stn_cli.core.families import (
        FAMILIES,
        Affine,
        Attention,
        Family,
        Flow,
        PiecewiseAffine,
        Projective,
        Similarity,
        ThinPlateSpline,
        Translation,
        make,
    )
    from stn_cli.core.sampler import sample
    from stn_cli.core.sampling import Sampling
    from stn_cli.core.transformation import Transformation
    from stn_cli.core.transformer import SpatialTransformer


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
