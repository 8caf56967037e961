"""The record of a search: what a crash may leave behind, and which epoch is kept."""

from pathlib import Path

import numpy as np

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.run.checkpoint import Restored
from vinnas_tf.run.files import read_metrics
from vinnas_tf.search.record import SearchRecord


def found(seed: int) -> Found:
    generator = np.random.default_rng(seed)
    return Found(
        VINNAS,
        1,
        VINNAS.primitives,
        {f"normal/{name}": generator.normal(size=(2, 10)) for name in ("mean", "log_variance")},
    )


def record_of(folder: Path | None, errors: list[float]) -> SearchRecord:
    record = SearchRecord(folder, Restored())
    for epoch, error in enumerate(errors):
        record.append({"epoch": epoch + 1, "alpha_error": error}, found(epoch).arrays)
    return record


def test_a_resumed_record_is_that_of_its_checkpoint_whatever_the_files_say(tmp_path: Path) -> None:
    record = record_of(tmp_path, [0.5, 0.4])
    restored = Restored(2, list(record.rows), dict(record.trajectory))
    record.append({"epoch": 3, "alpha_error": 0.3}, found(2).arrays)
    (tmp_path / "metrics.csv").write_text("epoch,alpha_error\n1,0.9\n")
    (tmp_path / "trajectory.npz").unlink()
    resumed = SearchRecord(tmp_path, restored)
    assert [row["alpha_error"] for row in read_metrics(tmp_path / "metrics.csv")] == [0.5, 0.4]
    resumed.append({"epoch": 3, "alpha_error": 0.2}, found(7).arrays)
    assert [row["alpha_error"] for row in read_metrics(tmp_path / "metrics.csv")] == [0.5, 0.4, 0.2]
    for epoch, seed in enumerate([0, 1, 7]):
        for name, array in resumed.found(epoch).items():
            np.testing.assert_array_equal(array, found(seed).arrays[name])
    with np.load(tmp_path / "trajectory.npz") as arrays:
        np.testing.assert_array_equal(arrays["normal/mean"], resumed.trajectory["normal/mean"])


def test_the_first_of_equally_good_epochs_is_kept_and_warm_up_never(tmp_path: Path) -> None:
    record = record_of(tmp_path, [0.1, 0.3, 0.2, 0.2])
    assert record.best_epoch(weight_epochs=0) == 0
    assert record.best_epoch(weight_epochs=1) == 2


def test_without_a_folder_a_record_is_kept_in_memory() -> None:
    record = record_of(None, [0.5])
    np.testing.assert_array_equal(record.found(0)["normal/mean"], found(0).arrays["normal/mean"])
