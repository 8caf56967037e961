"""The stems' plain data against what their papers and programs print."""

import pytest

from vinnas_tf.architecture.stem import STEMS
from vinnas_tf.errors import UserError


@pytest.mark.parametrize(
    ("stem", "widths", "names", "stride", "stride_first"),
    [
        ("plain", [16], ["stem"], 1, 1),
        ("cifar", [48], ["stem"], 1, 1),
        ("imagenet", [8, 16, 16], ["stem_0", "stem_1", "stem_2"], 8, 2),
    ],
)
def test_each_stem_has_its_widths_and_strides(stem, widths, names, stride, stride_first):
    found = STEMS[stem]
    assert found.widths(16) == widths
    assert found.names == names
    assert (found.stride, found.stride_first) == (stride, stride_first)


def test_half_a_channel_is_refused():
    assert STEMS["plain"].widths(5) == [5]
    with pytest.raises(UserError, match="stem=imagenet needs channels to be a multiple of 2, got 5"):
        STEMS["imagenet"].widths(5)
