"""The widths of PyramidNet against its formula, step by step."""

import numpy as np

from vinnas_tf.architecture.pyramid import pyramid_widths


def test_widths_grow_evenly_and_are_even() -> None:
    for blocks, widening in ((54, 84), (54, 150), (6, 12), (3, 13)):
        exact = 16 + widening * np.arange(1, blocks + 1) / blocks
        rounded = np.rint(exact)  # Halves to even, as the published program does.
        assert pyramid_widths(blocks, widening) == (rounded - rounded % 2).astype(int).tolist()
    assert pyramid_widths(54, 84)[-1] == 100
