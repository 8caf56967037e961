"""What a budget chooses on a machine whose seconds are known."""

import dataclasses

import pytest
from PIL import Image

from vinnas_tf.config import DataConfig, PipelineConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import SettingError
from vinnas_tf.pipeline.cost import Speed, counts, shape
from vinnas_tf.pipeline.fitting import Fitting, Speeds, stage_seconds
from vinnas_tf.pipeline.ladder import Rung, volume
from vinnas_tf.pipeline.plan import commands


def machine(nanoseconds, seen=None):
    """Times steps of a machine that takes so long for each number in a state, and 10 ms for each step."""

    def timed(found, searches=True):
        search, train = found.search[SearchConfig], found.train[TrainConfig]
        side = shape(found.search[DataConfig]).image[0]
        if seen is not None:
            seen.append(side)

        def speed(cells, channels, batch):
            return Speed(5.0, 0.01 + 1e-9 * nanoseconds * batch * volume(Rung(side, cells, 0, 0), channels))

        return Speeds(
            4.0,
            speed(search.cells, search.channels, 10 * search.batch_size) if searches else None,
            speed(train.cells, train.channels, train.batch_size),
        )

    return timed


def fitted(minutes, nanoseconds=3000, tmp_path=None, **settings):
    config = PipelineConfig(budget_minutes=minutes, **settings)
    return config, Fitting(config, tmp_path, machine(nanoseconds), lambda: 30.0).plan()


@pytest.mark.parametrize(("nanoseconds", "minutes"), [(100, 4.0), (1000, 6.0), (3000, 10.0)])
def test_the_whole_ends_in_about_the_time_that_it_was_given(nanoseconds, minutes, tmp_path):
    config, plan = fitted(minutes, nanoseconds, tmp_path)
    found = commands(plan.applied(config), tmp_path)
    truth = stage_seconds(found, counts(found), machine(nanoseconds)(found))
    assert truth == pytest.approx(plan.seconds, rel=0.4)  # One rung of the search is timed.
    assert sum(truth.values()) + 30 <= 1.15 * 60 * minutes


def test_more_time_never_makes_less_of_it(tmp_path):
    def learnt(minutes):
        config, plan = fitted(minutes, 1000, tmp_path)
        found = commands(plan.applied(config), tmp_path)
        return found.train[TrainConfig].epochs * found.train[TrainConfig].channels

    amounts = [learnt(minutes) for minutes in (4.5, 6.0, 40.0)]
    assert amounts == sorted(amounts)
    assert amounts[0] < amounts[-1]


def test_too_little_is_refused_and_says_how_much_there_has_to_be(tmp_path):
    with pytest.raises(SettingError, match="budget_minutes=1 is too short .* takes about [0-9.]+ minutes here"):
        fitted(1.0, 3000, tmp_path)


def test_what_it_chose_given_back_leads_to_the_same_stages(tmp_path):
    config, plan = fitted(6.0, 1000, tmp_path, search="--states=1", train="--held_out=0.3")
    chosen = plan.applied(config)
    again = dataclasses.replace(chosen, budget_minutes=0.0)
    assert commands(again, tmp_path).flags == commands(chosen, tmp_path).flags
    found = commands(again, tmp_path)
    assert found.search[SearchConfig].states == 1  # What was given wins.
    assert found.train[TrainConfig].held_out == 0.3


def test_two_rungs_are_timed_at_the_most_and_images_are_not_made_larger(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(30):
            Image.new("L", (24, 40), index).save(tmp_path / "pictures" / name / f"{index}.png")
    seen: list[int] = []
    config = PipelineConfig(dataset=f"folder:{tmp_path / 'pictures'}", budget_minutes=60.0)
    plan = Fitting(config, tmp_path, machine(100, seen), lambda: 30.0).plan()
    assert 1 <= len(seen) <= 2
    assert plan.preset == "own_images"
    assert plan.image_size == max(seen) == 24
    # Of so few images no number of epochs makes many steps, which is no fault of the budget.
    assert commands(plan.applied(config), tmp_path).search[SearchConfig].epochs == 40
