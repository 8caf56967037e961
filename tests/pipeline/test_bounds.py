"""Which threshold the bounds ask for: held to trying all of them."""

import itertools

import numpy as np
import pytest

from vinnas_tf.config import Bounds
from vinnas_tf.errors import SettingError
from vinnas_tf.network.pruning import ThresholdPoint
from vinnas_tf.pipeline.bounds import choose

# Accuracy does not fall steadily, and two pairs of thresholds prune alike.
LEFT = [900, 900, 700, 500, 300, 300, 100, 50]
RIGHT = [0.90, 0.90, 0.93, 0.925, 0.92, 0.92, 0.60, 0.10]
POINTS = [ThresholdPoint(8.0 - i, right, 0.01, left) for i, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True))]


def bytes_of(point):
    return 1000 + 2 * point.params_nonzero


def by_trying_all(bounds):
    """The points within the bounds, the best one first."""
    within = [
        point
        for point in POINTS
        if point.accuracy >= bounds.min_accuracy
        and (not bounds.max_parameters or point.params_nonzero <= bounds.max_parameters)
        and (not bounds.max_bytes or bytes_of(point) <= bounds.max_bytes)
    ]
    size = [(point.params_nonzero, -point.accuracy, -point.threshold) for point in within]
    right = [(-point.accuracy, point.params_nonzero, -point.threshold) for point in within]
    keys = size if bounds.min_accuracy else right
    return [within[place] for place in np.lexsort(np.transpose(keys)[::-1])] if within else []


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(max_bytes=size, max_parameters=left, min_accuracy=right)
        for size, left, right in itertools.product((0, 1099, 1100, 1999, 2500, 9000), (0, 49, 300, 699), (0, 0.1, 0.92))
        if size or left or right
    ],
    ids=str,
)
def test_it_is_the_best_of_all_thresholds_within_the_bounds(bounds):
    wanted = by_trying_all(bounds)
    if not wanted:
        with pytest.raises(SettingError, match="no threshold is within"):
            choose(POINTS, bounds, bytes_of)
        return
    chosen = choose(POINTS, bounds, bytes_of)
    assert chosen.threshold == wanted[0].threshold
    assert chosen.bytes == (bytes_of(wanted[0]) if bounds.max_bytes else 0)


def test_few_networks_are_converted():
    seen = []

    def measured(point):
        seen.append(point.params_nonzero)
        return bytes_of(point)

    choose(POINTS, Bounds(max_bytes=1300), measured)
    assert len(seen) == len(set(seen)) <= 4
    seen.clear()
    choose(POINTS, Bounds(max_bytes=9000), measured)
    assert len(seen) <= 2


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({"max_bytes": 2000}, "the most accurate within max_bytes=2000: 92.50% of held-out images, 500 "),
        ({"max_parameters": 300}, "the most accurate within max_parameters=300: "),
        ({"max_parameters": 9999}, "the most accurate of all thresholds, so no bound holds it back: 93.00%"),
        ({"min_accuracy": 0.9}, "the smallest within min_accuracy=0.9: 92.00% of held-out images, 300 "),
        ({"min_accuracy": 0.05}, "the smallest of all thresholds, so no bound"),
        ({"max_parameters": 600, "max_bytes": 1700}, "within max_bytes=1700: "),
    ],
)
def test_it_says_which_bound_holds_it_back(bounds, says):
    assert says in choose(POINTS, Bounds(**bounds), bytes_of).reason


@pytest.mark.parametrize(
    ("bounds", "nearest"),
    [
        ({"max_bytes": 1000}, "1, has 50 parameters not 0, 1,100 bytes, and 10.00%"),
        ({"max_parameters": 10}, "1, has 50 parameters not 0, and 10.00%"),
        ({"min_accuracy": 0.95}, "6, has 700 parameters not 0, and 93.00%"),
        ({"min_accuracy": 0.93, "max_parameters": 300}, "4, has 300 parameters not 0, and 92.00%"),
    ],
)
def test_where_none_will_do_the_nearest_is_named(bounds, nearest):
    with pytest.raises(SettingError) as caught:
        choose(POINTS, Bounds(**bounds), bytes_of)
    assert f"the nearest, {nearest}" in str(caught.value)
    assert "\n" not in str(caught.value)
