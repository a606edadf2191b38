"""One palette of 256 colours for a whole film."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from stn_cli.draw.theme import Theme, mix, rgb

SHADES = 5  # of each flat colour on its way to the background: what anti-aliased edges are made of
FLAT = ("ink", "muted", "faint", "plane", "input", "output", "grid", "gradient", "outside")
# Recursive Bayer matrix, 4×4, in (-½, ½): the noise stays in place from frame to frame, so that it does not crawl.
BAYER = (np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) + 0.5) / 16 - 0.5
STRENGTH = 7.0  # grey levels
NEAR = 3  # grey levels: as good as met
ENOUGH = 0.02  # of a frame must be off its colours before they are mixed


@dataclass(frozen=True)
class Palette:
    """Colours (256, 3) uint8; the first `flat` are the theme's and are met exactly."""

    colours: np.ndarray
    flat: int

    @classmethod
    def of(cls, survey: list[Image.Image], theme: Theme) -> "Palette":
        """From frames that stand for all: the theme's colours with their shades, the rest by median cut."""
        flat = [theme.background]
        for name in FLAT:
            flat += [mix(getattr(theme, name), theme.background, k / SHADES) for k in range(SHADES)]
        kept = np.array(list(dict.fromkeys(rgb(colour) for colour in flat)), np.uint8)
        pixels = np.concatenate([np.asarray(frame).reshape(-1, 3) for frame in survey])
        # Flat areas are served already: the rest goes to what else there is.
        rest = pixels[~np.isin(_codes(pixels), _codes(kept))]
        free = 256 - len(kept)
        if not len(rest):
            return cls(np.resize(kept, (256, 3)), len(kept))
        strip = Image.fromarray(np.ascontiguousarray(rest[None]))
        cut = (
            strip.quantize(free, method=Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE).getpalette() or []
        )
        found = np.array(cut, np.uint8).reshape(-1, 3)[:free]
        return cls(np.resize(np.concatenate([kept, found]), (256, 3)), len(kept))

    @cached_property
    def image(self) -> Image.Image:
        """The palette as Pillow wants it."""
        carrier = Image.new("P", (1, 1))
        carrier.putpalette(self.colours.tobytes())
        return carrier

    @cached_property
    def _noise(self) -> np.ndarray:
        return np.round(BAYER * STRENGTH).astype(np.int16)

    @cached_property
    def _exact(self) -> np.ndarray:
        """For each of the 2²⁴ colours where it would stand in the palette; only those that do stand there are right."""
        table = np.zeros(1 << 24, np.uint8)
        table[_codes(self.colours)] = np.arange(256)
        return table

    def indices(self, frame: Image.Image) -> np.ndarray:
        """Which colour each pixel of an RGB `frame` gets, (H, W) uint8.

        A colour of the palette is met exactly (Pillow's own search comes only near); where none is near, two are mixed in a
        pattern that stands still.
        """
        pixels = np.asarray(frame)
        codes = _codes(pixels)
        found = self._exact[codes]
        known = _codes(self.colours)[found] == codes
        if known.all():
            return found
        near = np.asarray(frame.quantize(palette=self.image, dither=Image.Dither.NONE))
        off = (np.abs(self.colours[near].astype(np.int16) - pixels).max(-1) > NEAR) & ~known
        if off.mean() > ENOUGH:
            height, width = off.shape
            noise = np.tile(self._noise, (height // 4 + 1, width // 4 + 1))[:height, :width]
            noisy = np.clip(pixels + (noise * off)[..., None], 0, 255).astype(np.uint8)
            near = np.asarray(Image.fromarray(noisy).quantize(palette=self.image, dither=Image.Dither.NONE))
        return np.where(known, found, near)


def _codes(pixels: np.ndarray) -> np.ndarray:
    """(…, 3) uint8 → (…,) 24-bit numbers."""
    wide = pixels.astype(np.uint32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
