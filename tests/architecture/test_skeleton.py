"""The skeleton against one written out by hand."""

import pytest

from vinnas_tf.architecture.skeleton import cell_groups, cell_places, require_fit, searched_cells, stem_channels
from vinnas_tf.architecture.space import NASBENCH201, TREE_PYRAMID, VINNAS
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


def test_cells_of_a_kind_are_a_group_and_in_a_pyramid_each_is_one() -> None:
    assert searched_cells("RNN", VINNAS) == {"normal": (1, 2), "reduction": (0,)}
    assert [*searched_cells("RNN", VINNAS)] == ["normal", "reduction"]
    assert searched_cells("NRN", NASBENCH201) == {"normal": (0, 2)}
    assert searched_cells("NRN", TREE_PYRAMID) == {"block_0": (0,), "block_1": (1,), "block_2": (2,)}
    assert [group.shape for group in cell_groups("NR", TREE_PYRAMID, 12).values()] == [(12, 7)] * 2


def test_a_pyramid_widens_block_by_block_behind_a_stem_of_16_channels() -> None:
    places = cell_places("NNRN", 8, space=TREE_PYRAMID)
    assert [place.channels for place in places] == [18, 20, 22, 24]
    assert [place.reduction for place in places] == [False, False, True, False]
    assert (stem_channels(8, TREE_PYRAMID), stem_channels(8, VINNAS)) == (16, 8)
