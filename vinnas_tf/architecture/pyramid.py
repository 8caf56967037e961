"""The widths of PyramidNet (Han, Kim and Kim 2017): each residual block is a little wider than the one before it."""

from fractions import Fraction

FIRST_CHANNELS = 16  # Of the stem.
BOTTLENECK = 4  # How many times wider than its cell a block's output is.
GROUPS = 2  # Of the 3x3 convolutions that a cell starts with (Cai et al. 2018, path-level transformation).


def pyramid_widths(blocks: int, widening: int) -> list[int]:
    """The channels of the cell in each of so many blocks, at which `widening` of them are added in all (section 3.1).

    They grow by equal steps, are rounded, and one less where `GROUPS` would not divide them.

    Example:
        >>> pyramid_widths(6, 12)
        [18, 20, 22, 24, 26, 28]
    """
    steps = (round(FIRST_CHANNELS + Fraction(widening * block, blocks)) for block in range(1, blocks + 1))
    return [width - width % GROUPS for width in steps]
