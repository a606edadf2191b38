"""The numbers by which kernels know kernels, paddings and ways to find a place. Imports nothing: the fast path starts here."""

NEAREST, BILINEAR, BICUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION, FILL = 0, 1, 2, 3
OFF, AUTO, ON = 0, 1, 2
AFFINE, PROJECTIVE, TABLE = 0, 1, 2
LANES = 16  # output pixels that a vector holds
