"""Cut the typeface of the pictures and the page down to what they need.

    pip install fonttools brotli
    npm pack inter-ui@4.1.1 && tar xzf inter-ui-4.1.1.tgz
    python docs/make_fonts.py package/web

Digits and signs are replaced by their tabular forms, so that changing numbers do not jitter; everything else of the
layout tables but kerning is dropped. Inter is under the SIL Open Font License (stn_cli/draw/fonts/OFL.txt).
"""

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

TARGET = Path(__file__).parents[1] / "stn_cli" / "draw" / "fonts"
WEIGHTS = ("Regular", "SemiBold", "Italic")

# Names of files come from users: Latin, Greek and Cyrillic; the rest is what captions and formulas use.
TEXT = [*range(0x20, 0x7F), *range(0xA0, 0x180), *range(0x370, 0x400), *range(0x400, 0x460)]
# All three hold the same characters: resvg drops the style of a text in which one font lacks a glyph.
SIGNS = [ord(sign) for sign in "–—‘’“”…•′″←↑→↓↔⇒−∂∆∑√∞≈≠≤≥×·÷±°²³½▶●■□◆✓✗₀₁₂₃₄₅₆₇₈₉"]


def tabular(font: TTFont) -> dict[str, str]:
    """Glyph names that the font's tnum feature replaces, and by which."""
    swaps: dict[str, str] = {}
    table = font["GSUB"].table
    for record in table.FeatureList.FeatureRecord:
        if record.FeatureTag == "tnum":
            for index in record.Feature.LookupListIndex:
                for subtable in table.LookupList.Lookup[index].SubTable:
                    swaps.update(getattr(subtable, "ExtSubTable", subtable).mapping)
    return swaps


def cut(source: Path, target: Path, unicodes: list[int]) -> None:
    font = TTFont(source)
    swaps = tabular(font)
    digits = {ord(c) for c in "0123456789+−"}
    for table in font["cmap"].tables:
        for code, glyph in list(table.cmap.items()):
            if code in digits and glyph in swaps:
                table.cmap[code] = swaps[glyph]
    options = Options(layout_features=["kern"], hinting=False, name_IDs=[0, 1, 2, 3, 4, 6, 13, 14, 16, 17])
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=unicodes)
    subsetter.subset(font)
    font.flavor = None
    font.save(target)
    print(target.name, target.stat().st_size, "bytes")


if __name__ == "__main__":
    for weight in WEIGHTS:
        cut(
            Path(sys.argv[1]) / f"Inter-{weight}.woff2",
            TARGET / f"Inter-{weight}.ttf",
            TEXT + SIGNS,
        )
