"""The skeleton against one written out by hand."""

import pytest

from vinnas_tf.architecture.skeleton import cell_places, require_fit
from vinnas_tf.errors import UserError


def test_reductions_double_the_channels_and_halve_what_comes_two_cells_before() -> None:
    places = cell_places("NNRNRRN", 5)
    assert [place.channels for place in places] == [5, 5, 10, 10, 20, 40, 40]
    assert [place.stride_first for place in places] == [1, 1, 1, 2, 1, 2, 2]
    assert [place.group for place in places if place.reduction] == ["reduction"] * 3


def test_each_reduction_needs_two_pixels() -> None:
    require_fit("NRRN", 4)
    with pytest.raises(UserError, match="halves images 2 times, which 3 pixels do not allow"):
        require_fit("NRRN", 3)
