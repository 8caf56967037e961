import numpy as np
import pytest

from vinnas_tf.data.splits import draw_share, stratified_split, uniform

LABELS = np.random.default_rng(1).permutation(np.repeat([0, 1, 2, 7], [50, 30, 17, 3]))
NAMES = [f"picture {number}.jpg" for number in range(100)]


@pytest.mark.parametrize("size", [0, 1, 2, 10, 33, 50, 99, 100])
def test_both_parts_cover_everything_once_and_keep_the_class_shares(size):
    drawn, rest = stratified_split(LABELS, NAMES, size, 0, "fraction")
    assert len(drawn) == size
    assert sorted([*drawn, *rest]) == list(range(100))
    assert (np.diff(drawn) > 0).all() and (np.diff(rest) > 0).all()
    for label, count in [(0, 50), (1, 30), (2, 17), (7, 3)]:
        exact = size * count / 100
        assert np.floor(exact) <= np.count_nonzero(LABELS[drawn] == label) <= np.ceil(exact)


def test_names_and_seed_alone_decide_the_draw():
    first, again, other = (stratified_split(LABELS, NAMES, 40, seed, "fraction")[0] for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()
    order = np.random.default_rng(0).permutation(100)
    moved, _ = stratified_split(LABELS[order], [NAMES[index] for index in order], 40, 3, "fraction")
    assert set(order[moved]) == set(first)


def test_every_example_is_as_likely_as_any_other():
    draws = np.zeros(100)
    for seed in range(400):
        draws[stratified_split(LABELS, NAMES, 50, seed, "fraction")[0]] += 1
    # 400 draws at probability 1/2: a standard deviation of 10.
    assert (abs(draws - 200) < 50).all()


def test_a_share_is_drawn_of_each_class_and_moves_no_other_image():
    labels, names = np.tile([0, 1], 2000), [f"{number}.png" for number in range(4000)]
    drawn = draw_share(labels, names, 0.2, 0, "test")
    for label in (0, 1):
        assert abs(drawn[labels == label].mean() - 0.2) < 0.04  # Four standard deviations.
    assert (draw_share(labels[::3], names[::3], 0.2, 0, "test") == drawn[::3]).all()


def test_no_class_of_five_goes_without():
    for seed in range(50):
        names = [f"{seed}-{number}" for number in range(10)]
        drawn = draw_share(np.repeat([0, 1], 5), names, 0.05, seed, "held out")
        assert drawn[:5].any() and drawn[5:].any()


def test_draws_are_uniform():
    draws = uniform([str(number) for number in range(10000)], 0, "test")
    assert abs(draws.mean() - 0.5) < 0.02 and abs(draws.var() - 1 / 12) < 0.003
