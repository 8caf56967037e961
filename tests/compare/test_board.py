"""The table of hyperparameters that TensorBoard shows of a comparison, read back from its files."""

import dataclasses
import os
from pathlib import Path

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from vinnas_tf.compare.board import write_board
from vinnas_tf.compare.statistics import Result
from vinnas_tf.run.folder import RunDir


@dataclasses.dataclass(frozen=True)
class Some:
    method: str
    seed: int
    epochs: int = 3


def finished(path: Path, settings: Some) -> Path:
    for stage, result in (("search", "genotype.json"), ("train", "result.json")):
        with RunDir(path, stage=stage, settings=[settings], data_fingerprint="") as run:
            run.file(result).write_text("{}")
            run.mark_finished()
    return path


@pytest.fixture
def board(tmp_path):
    rows = [("vinnas", 0, 0.9), ("vinnas", 1, 0.8), ("darts", 0, 0.7)]
    results = [Result(row, seed, right, 100 + seed, 1.0, 2.0, 0.0, "") for row, seed, right in rows]
    folders = [finished(tmp_path / f"{row}{seed}", Some(row, seed)) for row, seed, _ in rows]
    (tmp_path / "board" / "old").mkdir(parents=True)
    write_board(results, folders, tmp_path / "board")
    return tmp_path / "board"


def plugin_data(folder: Path, tag: str):
    events = EventAccumulator(str(folder)).Reload()
    return events.SummaryMetadata(tag).plugin_data.content


def test_a_line_of_each_row_and_seed_has_its_settings_and_its_figures(board):
    assert sorted(path.name for path in board.iterdir() if path.is_dir()) == [
        "darts-seed0",
        "vinnas-seed0",
        "vinnas-seed1",
    ]
    for name, right in (("darts-seed0", 0.7), ("vinnas-seed1", 0.8)):
        content = plugin_data(board / name, metadata.SESSION_START_INFO_TAG)
        values = metadata.parse_session_start_info_plugin_data(content).hparams
        row, _, seed = name.partition("-seed")
        assert values["row"].string_value == row
        assert values["seed"].number_value == int(seed)
        assert values["search method"].string_value == row
        assert "search epochs" not in values  # All rows have the same.
        events = EventAccumulator(str(board / name)).Reload()
        (accuracy,) = events.Tensors("accuracy")
        assert tf.make_ndarray(accuracy.tensor_proto) == pytest.approx(right)


def test_its_columns_are_what_differs_and_what_came_out(board):
    (events,) = (name for name in os.listdir(board) if name.startswith("events"))
    content = plugin_data(board / events, metadata.EXPERIMENT_TAG)
    experiment = metadata.parse_experiment_plugin_data(content)
    assert [info.name for info in experiment.hparam_infos] == ["row", "seed", "search method", "train method"]
    assert {info.name.tag for info in experiment.metric_infos} >= {"accuracy", "params_nonzero"}
