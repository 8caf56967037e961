"""Candidates: how they are drawn and judged, and which is the best."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.search.small_channels import CONFIG, SETTINGS, Small
from vinnas_tf.config import DataConfig
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.images import Dataset, load_train
from vinnas_tf.errors import UserError
from vinnas_tf.network.masks import MaskedNetwork
from vinnas_tf.search.candidates import Judge, best_candidate, draw_candidate, judge_candidates


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_train(DataConfig(data_fraction=0.3), CONFIG.seed)


def judging(digits: Dataset) -> tuple[MaskedNetwork, Judge]:
    """A masked network, and what judges its candidates."""
    method = Small(CONFIG, SETTINGS)
    masked = MaskedNetwork(method.backbone((8, 8, 1), 10))
    judge = Judge(masked, method.split(digits.train, 0).watched, Normalization.of(digits.train))
    return masked, judge


def test_all_candidates_are_judged_by_one_graph(digits) -> None:
    method = Small(CONFIG, SETTINGS)
    masked = MaskedNetwork(method.backbone((8, 8, 1), 10))
    watched = method.split(digits.train, 0).watched
    normalization = Normalization.of(digits.train)
    judge = Judge(masked, watched, normalization)
    drop = np.full(masked.channels, 0.3)
    rows = judge_candidates(judge, masked, drop, 30, 5)
    assert judge.right.experimental_get_tracing_count() == 1
    images = normalization.layer()(watched.images)
    for row in rows[::10]:
        mask = draw_candidate(drop, 5, int(row["index"]))
        logits = masked.dropped(mask)(images, training=False).numpy()
        assert_allclose(row["accuracy"], (logits.argmax(axis=1) == watched.labels).mean(), atol=1e-9)
    drawn = np.mean([draw_candidate(drop, 5, number) for number in range(2000)])
    assert abs(drawn - 0.7) < 5 * np.sqrt(0.21 / 2000 / masked.channels)


def test_of_equal_candidates_the_smaller_then_the_earlier_one_is_chosen_and_none_that_is_cut() -> None:
    def row(index: int, accuracy: float, weights: int, connected: int = 1) -> dict[str, Any]:
        return {"index": index, "accuracy": accuracy, "weights": weights, "connected": connected}

    rows = [row(0, 0.5, 9), row(1, 0.7, 8), row(2, 0.7, 7), row(3, 0.7, 7), row(4, 0.9, 1, connected=0)]
    assert best_candidate(rows) == 2
    with pytest.raises(UserError, match="nothing leads .* in any of the 1 candidates: .* a smaller prior_precision"):
        best_candidate(rows[4:])


def test_judged_candidates_that_were_damaged_are_judged_again_and_that_is_told(digits, tmp_path, caplog) -> None:
    masked, judge = judging(digits)
    drop = np.full(masked.channels, 0.3)
    rows = judge_candidates(judge, masked, drop, 25, 5, tmp_path)
    assert judge_candidates(judge, masked, drop, 25, 5, tmp_path) == rows
    state = tmp_path / "checkpoints" / "candidates.npz"
    good = state.read_bytes()
    for content in (b"", good[:-1], good[:400] + bytes([good[400] ^ 1]) + good[401:]):
        state.write_bytes(content)
        caplog.clear()
        assert judge_candidates(judge, masked, drop, 25, 5, tmp_path) == rows
        assert caplog.messages == [f"{state} is damaged: judges all candidates again."]
        assert state.read_bytes() == good


def test_candidates_of_other_rates_or_of_another_seed_are_not_taken_for_these(digits, tmp_path) -> None:
    """A search that took over another's epochs has its judged candidates in its folder too."""
    masked, judge = judging(digits)
    learnt, shuffled = np.linspace(0.1, 0.6, masked.channels), np.linspace(0.6, 0.1, masked.channels)
    judge_candidates(judge, masked, learnt, 5, 5, tmp_path)
    for drop, seed in ((shuffled, 5), (learnt, 6)):
        alone = judge_candidates(judge, masked, drop, 5, seed)
        assert alone != judge_candidates(judge, masked, learnt, 5, 5)
        assert judge_candidates(judge, masked, drop, 5, seed, tmp_path) == alone
