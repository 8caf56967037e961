"""Which sizes a budget chooses from, and how long they learn: held to trying every number of epochs."""

import pytest

from vinnas_tf.config import PipelineConfig, SearchConfig, TrainConfig
from vinnas_tf.methods import METHODS
from vinnas_tf.pipeline.ladder import (
    LADDER,
    SEARCH,
    TRAIN,
    Extent,
    Range,
    Rung,
    at_rung,
    base,
    longest,
    only,
    rungs,
    volume,
)
from vinnas_tf.pipeline.plan import commands


@pytest.mark.parametrize(
    ("side", "sides"), [(8, {8}), (16, {16}), (20, {16, 20}), (28, {16, 28}), (32, {16, 32}), (500, {16, 32, 64})]
)
def test_no_rung_makes_pictures_larger_or_needlessly_small(side, sides):
    assert {rung.side for rung in rungs(side)} == sides


def test_a_given_size_is_the_only_one():
    for side in (8, 12, 16, 28, 32, 96):
        found = only(side)
        assert found and {rung.side for rung in found} == {side}


def test_the_ladder_rises():
    for channels in ("search_channels", "train_channels"):
        volumes = [volume(rung, getattr(rung, channels)) for rung in LADDER]
        assert all(low <= 1.05 * high for low, high in zip(volumes, volumes[1:], strict=False))


def test_the_volume_is_that_of_the_states():
    # 16 pixels, N at 4 channels; R halves to 8 at 8; N stays.
    assert volume(Rung(16, "NRN", 4, 4), 4) == 4 * 16**2 + 8 * 8**2 + 8 * 8**2


@pytest.mark.parametrize("seconds", [1, 9, 30, 75, 190, 1000])
def test_the_longest_is_the_most_that_fits(seconds):
    def cost(extent):
        return 7 + extent.epochs * (0.4 + 3.1 * extent.fraction)

    bounds = Range(least=1, wished=1, least_epochs=8, most_epochs=40)
    found = longest(seconds, cost, bounds)
    fit = [extent for extent in map(Extent, range(8, 41)) if cost(extent) <= seconds]
    if fit:
        assert found == fit[-1]
        return
    shares = [share for share in range(1, 100) if cost(Extent(8, share / 100)) <= seconds]
    assert found == Extent(8, max(shares, default=1) / 100)


@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10", "folder:/pictures", "kmnist"])
@pytest.mark.parametrize("method", METHODS)
def test_every_rung_is_a_command_line_that_the_stages_take(dataset, method, tmp_path):
    config = base(PipelineConfig(dataset=dataset, method=method, budget_minutes=5.0))
    known = commands(config, tmp_path)
    for rung in (LADDER[0], LADDER[-1]):
        search, train = Extent(SEARCH.least_epochs, 0.37), Extent(TRAIN.most_epochs)
        found = commands(at_rung(config, known, rung, search, train), tmp_path)
        if found.method.trains:
            assert found.search[SearchConfig].epochs == search.epochs
        if found.train is not None:
            sized = found.train[TrainConfig]
            assert (sized.cells, sized.channels, sized.epochs) == (rung.cells, rung.train_channels, train.epochs)


def test_schedules_keep_their_share_of_the_epochs(tmp_path):
    config = base(PipelineConfig(dataset="folder:/pictures"))  # The preset: 20 epochs, weights alone in 2; 50, 5 to 25.
    known = commands(config, tmp_path)
    found = commands(at_rung(config, known, LADDER[4], Extent(40), Extent(100)), tmp_path)
    assert found.search[SearchConfig].weight_epochs == 4
    assert found.search.variant.gamma_start_epoch == 4
    assert (found.train[TrainConfig].gamma_start_epoch, found.train[TrainConfig].gamma_end_epoch) == (10, 50)
