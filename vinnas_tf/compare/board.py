"""What TensorBoard shows of a comparison: its table of hyperparameters, a line for each row and seed."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api

from vinnas_tf.compare.statistics import Result
from vinnas_tf.run.folder import stage_record
from vinnas_tf.run.outputs import is_finished
from vinnas_tf.run.stderr import held_back

_METRICS = {
    "accuracy": "test accuracy",
    "params_nonzero": "parameters not 0",
    "search_seconds": "search, s",
    "train_seconds": "training, s",
}


@held_back()  # A comparison computes nothing else, so TensorFlow begins here, and tells of missing GPUs.
def write_board(results: Sequence[Result], run_dirs: Sequence[Path], folder: Path) -> None:
    """Writes the table anew.

    Args:
        results: what came out, one for each row and seed.
        run_dirs: the run folder of each.
        folder: where TensorBoard's files lie; what an earlier table left there is removed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    settings = [_settings(path) for path in run_dirs]
    varied = [name for name in settings[0] if any(other.get(name) != settings[0][name] for other in settings)]
    metrics = [api.Metric(name, display_name=shown) for name, shown in _METRICS.items()]
    names = ["row", "seed", *varied]
    with tf.summary.create_file_writer(str(folder)).as_default():
        api.hparams_config([api.HParam(name) for name in names], metrics)
    for result, values in zip(results, settings, strict=True):
        name = f"{result.row}-seed{result.seed}"
        row = {"row": result.row, "seed": result.seed, **{one: values.get(one, "-") for one in names[2:]}}
        with tf.summary.create_file_writer(str(folder / name)).as_default(step=0):
            api.hparams(row, trial_id=name)
            for metric in _METRICS:
                tf.summary.scalar(metric, getattr(result, metric))


def _settings(run_dir: Path) -> Mapping[str, Any]:
    """The settings of both stages of a run folder that a table can show, by stage and name."""
    return {
        f"{stage} {name}": value
        for stage in ("search", "train")
        if is_finished(run_dir, stage)
        for name, value in stage_record(run_dir, stage)["settings"].items()
        if isinstance(value, bool | int | float | str) and not name.endswith(("_sha256", "seed"))
    }
