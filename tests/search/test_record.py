"""The record of a search: what a crash may leave behind, and which epoch is kept."""

from pathlib import Path

import numpy as np

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.search.record import SearchRecord


def found(seed: int) -> Found:
    generator = np.random.default_rng(seed)
    return Found(
        VINNAS,
        1,
        VINNAS.primitives,
        {f"normal/{name}": generator.normal(size=(2, 10)) for name in ("mean", "log_variance")},
    )


def record_of(folder: Path, errors: list[float]) -> SearchRecord:
    record = SearchRecord(folder, 0)
    for epoch, error in enumerate(errors):
        record.append({"epoch": epoch + 1, "alpha_error": error}, found(epoch).arrays)
    return record


def test_epochs_beyond_the_checkpoint_are_dropped_and_replaced(tmp_path: Path) -> None:
    record_of(tmp_path, [0.5, 0.4, 0.3])
    resumed = SearchRecord(tmp_path, 2)
    resumed.append({"epoch": 3, "alpha_error": 0.2}, found(7).arrays)
    again = SearchRecord(tmp_path, 3)
    assert [row["alpha_error"] for row in again.rows] == [0.5, 0.4, 0.2]
    for epoch, seed in enumerate([0, 1, 7]):
        for name, array in again.found(epoch).items():
            np.testing.assert_array_equal(array, found(seed).arrays[name])


def test_the_first_of_equally_good_epochs_is_kept_and_warm_up_never(tmp_path: Path) -> None:
    record = record_of(tmp_path, [0.1, 0.3, 0.2, 0.2])
    assert record.best_epoch(weight_epochs=0) == 0
    assert record.best_epoch(weight_epochs=1) == 2


def test_without_a_folder_a_record_is_kept_in_memory() -> None:
    record = SearchRecord(None, 0)
    record.append({"epoch": 1, "alpha_error": 0.5}, found(0).arrays)
    np.testing.assert_array_equal(record.found(0)["normal/mean"], found(0).arrays["normal/mean"])
