"""The scenes of `stn animate`. A new one is one file beside these and one line in `SCENES`."""

from stn_cli.draw.scene import Scene
from stn_cli.draw.scenes.bilinear import Bilinear
from stn_cli.draw.scenes.forward import Forward
from stn_cli.draw.scenes.gradient import Gradient
from stn_cli.draw.scenes.grid import Grid
from stn_cli.draw.scenes.module import Module
from stn_cli.draw.scenes.reverse import Reverse
from stn_cli.draw.scenes.theta import Theta
from stn_cli.draw.scenes.training import Training
from stn_cli.draw.scenes.wiggle_grid import WiggleGrid
from stn_cli.draw.scenes.wiggle_pixel import WigglePixel

# `training` is made from a History, the others from a Subject.
SCENES: dict[str, type[Scene]] = {
    "reverse": Reverse,
    "forward": Forward,
    "grid": Grid,
    "bilinear": Bilinear,
    "wiggle-grid": WiggleGrid,
    "wiggle-pixel": WigglePixel,
    "gradient": Gradient,
    "theta": Theta,
    "module": Module,
    "training": Training,
}
