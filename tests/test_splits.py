import numpy as np
import pytest

from vinnas_tf.splits import stratified_split

LABELS = np.random.default_rng(1).permutation(np.repeat([0, 1, 2, 7], [50, 30, 17, 3]))


@pytest.mark.parametrize("size", [0, 1, 2, 10, 33, 50, 99, 100])
def test_both_parts_cover_everything_once_and_keep_the_class_shares(size):
    drawn, rest = stratified_split(LABELS, size, seed=0)
    assert len(drawn) == size
    assert sorted([*drawn, *rest]) == list(range(100))
    assert (np.diff(drawn) > 0).all() and (np.diff(rest) > 0).all()
    for label, count in [(0, 50), (1, 30), (2, 17), (7, 3)]:
        exact = size * count / 100
        assert np.floor(exact) <= np.count_nonzero(LABELS[drawn] == label) <= np.ceil(exact)


def test_the_seed_alone_decides_the_draw():
    first, again, other = (stratified_split(LABELS, 40, seed)[0] for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


def test_every_example_is_as_likely_as_any_other():
    draws = np.zeros(100)
    for seed in range(400):
        draws[stratified_split(LABELS, 50, seed)[0]] += 1
    # 400 draws at probability 1/2: a standard deviation of 10.
    assert (abs(draws - 200) < 50).all()
