"""Which point a budget takes, and what is said of it."""

import pytest

from vinnas_tf.compress.budget import choose
from vinnas_tf.compress.point import Point
from vinnas_tf.config import CompressConfig
from vinnas_tf.errors import SettingError


def point(penalty: float, accuracy: float, parameters: int, connected: bool = True) -> Point:
    return Point(penalty, accuracy, 0.01, parameters, parameters, 4 * parameters + 500, 0, connected)


POINTS = [
    point(1e-6, 0.98, 900),
    point(1e-5, 0.975, 400),
    point(3e-5, 0.97, 200),
    point(1e-4, 0.9, 50),
    point(1e-3, 0.1, 10, connected=False),
]
DENSE = 0.98


@pytest.mark.parametrize(
    ("budget", "penalty", "says"),
    [
        ({}, 3e-5, "penalty 3e-05: the smallest within max_accuracy_loss=0.01"),
        ({"max_accuracy_loss": 0.006}, 1e-5, "the smallest within max_accuracy_loss=0.006"),
        ({"max_accuracy_loss": 0.5}, 1e-4, "the smallest of the curve; no budget bounds it"),
        ({"max_parameters": 400}, 1e-5, "the most accurate within max_parameters=400"),
        ({"max_parameters": 399}, 3e-5, "the most accurate within max_parameters=399"),
        ({"max_parameters": 1000}, 1e-6, "the most accurate of the curve; no budget bounds it"),
        ({"max_bytes": 1300}, 3e-5, "the most accurate within max_bytes=1300"),
        ({"max_bytes": 2100, "max_parameters": 399}, 3e-5, "the most accurate within max_parameters=399"),
        ({"max_bytes": 1300, "max_parameters": 399}, 3e-5, "within max_parameters=399 and max_bytes=1300"),
        ({"max_accuracy_loss": 0.006, "max_parameters": 500}, 1e-5, "the smallest within max_accuracy_loss=0.006"),
    ],
)
def test_a_budget_takes_its_point_and_says_what_bounds_it(budget: dict, penalty: float, says: str) -> None:
    chosen = choose(POINTS, DENSE, CompressConfig(**budget))
    assert chosen.point.penalty == penalty
    assert says in chosen.reason


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        (
            {"max_parameters": 40},
            "no point of the curve is within max_parameters=40: the nearest, of penalty 0.0001, has 50 parameters, 700 "
            "bytes and loses 0.0800 of accuracy; use larger penalties too, or a wider budget.",
        ),
        ({"max_accuracy_loss": 0.01, "max_parameters": 100}, "the nearest, of penalty 3e-05, has 200 parameters"),
    ],
)
def test_where_none_will_do_the_nearest_is_named(budget: dict, says: str) -> None:
    with pytest.raises(SettingError) as caught:
        choose(POINTS, DENSE, CompressConfig(**budget))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_small_penalties_are_asked_for_where_accuracy_is_lost_everywhere() -> None:
    with pytest.raises(SettingError, match=r"nearest, of penalty 0.0001, .* loses 0.0800 of accuracy; use smaller pen"):
        choose(POINTS[3:], DENSE, CompressConfig())
    with pytest.raises(SettingError, match="no penalty leaves a network that reads its images .*: use smaller"):
        choose(POINTS[4:], DENSE, CompressConfig())


def test_equal_points_are_told_apart_by_accuracy_size_and_penalty() -> None:
    points = [point(2.0, 0.98, 50), point(1.0, 0.98, 50), point(3.0, 0.975, 50), point(4.0, 0.98, 60)]
    for budget in ({"max_accuracy_loss": 0.1}, {"max_parameters": 60}):
        assert choose(points, DENSE, CompressConfig(**budget)).point.penalty == 1.0
