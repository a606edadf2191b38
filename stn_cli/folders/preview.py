"""Any frame as eight-bit grey, RGB or RGBA: for contact sheets, overlays and nets, never for a file that is kept."""

import numpy as np

from stn_cli.folders.picture import Frame


def preview(frame: Frame) -> np.ndarray:
    """(H, W, C) uint8, C 1 (grey), 2 (grey, alpha), 3 or 4. Sixteen bits lose their lower half; floats are stretched."""
    frame = frame.expanded()
    pixels = frame.pixels
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        finite = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = min(float(finite.min()), 0.0), max(float(finite.max()), 1e-30)
        pixels = ((finite - low) * (255 / (high - low)) + 0.5).astype(np.uint8)
    if frame.mode == "CMYK":
        from PIL import Image

        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels[..., :4]), "CMYK").convert("RGB"))
    colours = 3 if frame.mode == "RGB" else 1
    return np.ascontiguousarray(pixels[..., : colours + frame.alpha])
