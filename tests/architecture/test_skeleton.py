"""The skeleton against one written out by hand."""

import pytest

from vinnas_tf.architecture.skeleton import cell_places, require_fit
from vinnas_tf.architecture.stem import STEMS
from vinnas_tf.errors import UserError


def test_reductions_double_the_channels_and_halve_what_comes_two_cells_before() -> None:
    places = cell_places("NNRNRRN", 5)
    assert [place.channels for place in places] == [5, 5, 10, 10, 20, 40, 40]
    assert [place.stride_first for place in places] == [1, 1, 1, 2, 1, 2, 2]
    assert [place.group for place in places if place.reduction] == ["reduction"] * 3


def test_behind_a_stem_whose_ends_differ_in_size_the_first_cell_halves_its_first_input() -> None:
    assert [place.stride_first for place in cell_places("NNRN", 6, STEMS["imagenet"])] == [2, 1, 1, 2]
    assert [place.stride_first for place in cell_places("RN", 6, STEMS["imagenet"])] == [2, 2]
    assert [place.stride_first for place in cell_places("NNRN", 6, STEMS["cifar"])] == [1, 1, 1, 2]


def test_each_reduction_needs_two_pixels() -> None:
    require_fit("NRRN", 4)
    with pytest.raises(UserError, match="halves images 2 times, which 3 pixels do not allow"):
        require_fit("NRRN", 3)


def test_the_stem_halves_images_too() -> None:
    require_fit("NR", 16, STEMS["imagenet"])
    require_fit("NR", 2, STEMS["cifar"])
    with pytest.raises(UserError, match="stem=imagenet and cells=NR halve images 4 times, which 15 pixels do not"):
        require_fit("NR", 15, STEMS["imagenet"])
