"""The record of a search: what a crash may leave behind, and which epoch is kept."""

from pathlib import Path

import numpy as np

from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.search.record import SearchRecord


def posterior(seed: int) -> Posterior:
    generator = np.random.default_rng(seed)
    return Posterior(
        primitives=VINNAS.primitives,
        states=1,
        mean={"normal": generator.normal(size=(2, 10)).astype("float32")},
        log_variance={"normal": generator.normal(size=(2, 10)).astype("float32")},
    )


def record_of(folder: Path, errors: list[float]) -> SearchRecord:
    record = SearchRecord(folder, 0)
    for epoch, error in enumerate(errors):
        record.append({"epoch": epoch + 1, "alpha_error": error}, posterior(epoch))
    return record


def test_epochs_beyond_the_checkpoint_are_dropped_and_replaced(tmp_path: Path) -> None:
    record_of(tmp_path, [0.5, 0.4, 0.3])
    resumed = SearchRecord(tmp_path, 2)
    resumed.append({"epoch": 3, "alpha_error": 0.2}, posterior(7))
    again = SearchRecord(tmp_path, 3)
    assert [row["alpha_error"] for row in again.rows] == [0.5, 0.4, 0.2]
    for epoch, seed in enumerate([0, 1, 7]):
        found = again.posterior(epoch, VINNAS, 1)
        np.testing.assert_array_equal(found.mean["normal"], posterior(seed).mean["normal"])
        np.testing.assert_array_equal(found.log_variance["normal"], posterior(seed).log_variance["normal"])


def test_the_first_of_equally_good_epochs_is_kept_and_warm_up_never(tmp_path: Path) -> None:
    record = record_of(tmp_path, [0.1, 0.3, 0.2, 0.2])
    assert record.best_epoch(weight_epochs=0) == 0
    assert record.best_epoch(weight_epochs=1) == 2
