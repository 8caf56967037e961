"""Groups of a kernel: which weights are in one, spelt out weight by weight."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from vinnas_tf.compress.kernel_groups import KernelGroups, groups_of
from vinnas_tf.config import GROUPS

Place = tuple[int, int, int, int]
GROUP_OF: dict[str, Callable[[Place], tuple[int, ...]]] = {
    "input": lambda place: (place[2],),
    "output": lambda place: (place[3],),
    "filter": lambda place: (place[2], place[3]),
    "position": lambda place: (place[0], place[1], place[2]),
}


def network() -> keras.Model:
    images = keras.Input((6, 5, 3))
    x = keras.layers.Conv2D(4, (2, 3), name="convolution")(images)
    x = keras.layers.DepthwiseConv2D((3, 2), name="depthwise")(x)
    x = keras.layers.Dense(2, name="linear")(keras.layers.Flatten()(x))
    return keras.Model(images, x)


@pytest.mark.parametrize("kind", GROUPS)
def test_each_weight_is_in_one_group_with_those_that_it_goes_with(kind: str) -> None:
    found = groups_of(network(), kind)
    assert [of.name for of in found] == ["convolution", "depthwise", "linear"]
    for of in found:
        shape = tuple(of.kernel.shape)
        numbers = np.arange(np.prod(shape)).reshape(shape)
        members = of.members_first(numbers)
        assert members.shape == (of.size, np.prod(of.shape))
        assert sorted(members.ravel()) == list(range(numbers.size))
        places: dict[tuple[int, ...], set[int]] = {}
        for place in np.ndindex(*(1,) * (4 - len(shape)), *shape):
            # A depthwise channel comes from the input channel of its number.
            output = place[2] if of.name == "depthwise" else place[3]
            places.setdefault(GROUP_OF[kind]((*place[:3], output)), set()).add(int(numbers[place[4 - len(shape) :]]))
        assert sorted(map(sorted, places.values())) == sorted(map(sorted, members.T.tolist()))
        # In the order of what a group has one of.
        one_each = np.arange(np.prod(of.shape)).reshape(of.shape)
        spread = of.members_first(np.broadcast_to(one_each, shape))
        assert (spread == one_each.ravel()).all()


def test_there_is_a_kind_for_each_word_of_the_setting() -> None:
    assert set(GROUP_OF) == set(GROUPS)
    with pytest.raises(KeyError):
        KernelGroups(network().get_layer("linear"), "channel")
