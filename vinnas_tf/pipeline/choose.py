"""Chooses the pruning threshold of a finished training by the bytes that its network takes there.

    python -m vinnas_tf.pipeline.choose --run_dir=runs/m --max_bytes=100000

Prunes the trained network at thresholds, strips it and converts it to TFLite in all
precisions, as an export would, until it knows which thresholds are small enough.
Writes pipeline/choice.json into the run folder, and changes nothing else.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.config import Bounds, DataConfig, ExportConfig, RunConfig, TrainConfig, restored
from vinnas_tf.console import counted
from vinnas_tf.data.images import load_train
from vinnas_tf.export.formats import Task, smallest
from vinnas_tf.export.source import Source
from vinnas_tf.export.tflite import PRECISIONS
from vinnas_tf.flags import docstring, read_flags, run_cli
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.network.build import copy_weights, deterministic_network, gaussian_layers
from vinnas_tf.network.evaluation import set_batch_statistics, set_best_statistics
from vinnas_tf.network.pruning import ThresholdPoint, prune
from vinnas_tf.network.stripping import strip
from vinnas_tf.pipeline.bounds import Choice, choose
from vinnas_tf.run.files import read_metrics, write_atomically
from vinnas_tf.run.folder import stage_record
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.train.epochs import run_epochs
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.stage import make_model, make_network

NAME = "choice.json"


def choice(path: Path, bounds: Bounds, config: ExportConfig) -> Choice | None:
    """The choice that was made of the run folder's training under these bounds; None where there is none."""
    try:
        content = json.loads((path / "pipeline" / NAME).read_bytes())
    except (OSError, ValueError):
        return None
    return Choice(**content["choice"]) if content["of"] == _origin(path, bounds, config) else None


def choose_and_write(
    path: Path, bounds: Bounds, config: ExportConfig, bytes_of: Callable[[ThresholdPoint], int]
) -> Choice:
    """Chooses by the curve of the run folder's training, and keeps the choice.

    Raises:
        SettingError: no threshold is within all bounds.
        FileError: the training's files were changed, or the folder can't be written.
    """
    chosen = choose(curve(path), bounds, bytes_of)
    content = {"of": _origin(path, bounds, config), "choice": dataclasses.asdict(chosen)}
    write_atomically(path / "pipeline" / NAME, json.dumps(content, indent=2) + "\n")
    return chosen


def curve(path: Path) -> list[ThresholdPoint]:
    """The curve of the run folder's finished training."""
    rows: Sequence[Any] = read_metrics(finished_file(path, "train", "threshold.csv"))
    return [ThresholdPoint(**row) for row in rows]


def _origin(path: Path, bounds: Bounds, config: ExportConfig) -> dict[str, Any]:
    """What a choice is of."""
    points = [dataclasses.asdict(point) for point in curve(path)]
    return {**dataclasses.asdict(bounds), "sparse": config.sparse, "curve": points}


class Sizes:
    """The bytes of a training's network at thresholds of pruning.

    Args:
        path: the run folder of a finished training.
        sparse: whether weights are stored sparse where that is smaller.
        folder: for what is not kept.
    """

    def __init__(self, path: Path, sparse: bool, folder: Path) -> None:
        settings = stage_record(path, "train")["settings"]
        data, config = restored(DataConfig, settings), restored(TrainConfig, settings)
        genotype = Genotype.load(finished_file(path, "train", "genotype.json"))
        dataset = load_train(data, config.seed, counted)
        self.images = TrainingImages.of(dataset, config.held_out, config.seed)
        self.network = make_network(config, genotype, dataset.train.image_shape, len(dataset.class_names))
        model = make_model(self.network, config, len(self.images.learnt_from))
        # Of a training that is finished this brings back its last state, and does nothing else.
        run_epochs(
            model, self.images, data.augment, config, epochs=config.epochs, seed=config.seed, folder=path / "train"
        )
        self.means = [(layer.mean, layer.mean.numpy()) for layer in gaussian_layers(self.network)]
        self.pruned = deterministic_network(self.network)
        candidates = self.images.for_statistics(data.augment, config.seed)
        self.statistics, _ = set_best_statistics(self.pruned, candidates, self.images.batches(self.images.to_choose_by))
        self.preparation, self.class_names = dataset.preparation, dataset.class_names
        self.samples = self.images.learnt_from.sample()
        self.sparse = sparse
        self.folder = folder

    def bytes_of(self, point: ThresholdPoint) -> int:
        """The bytes of the smallest TFLite file at a point of the curve."""
        network = self._stripped(point.threshold)
        task = Task(
            Source(network, self.class_names, self.preparation), self.samples, self.sparse, self.folder, self.folder
        )
        least = min(len(smallest(task, precision)) for precision in PRECISIONS)
        print(f"threshold {point.threshold:g}: {point.params_nonzero:,} parameters not 0, {least:,} bytes", flush=True)
        return least

    def _stripped(self, threshold: float) -> keras.Model:
        for variable, value in self.means:
            variable.assign(value)
        prune(self.network, threshold)
        copy_weights(self.network, self.pruned)
        set_batch_statistics(self.pruned, self.statistics)
        return strip(self.pruned, self.images.normalization.layer())


def main(argv: list[str]) -> None:
    """The command: reads flags and the run folder, and writes the choice."""
    settings = read_flags(
        argv, Bounds, ExportConfig, RunConfig, command="choose", usage=docstring(sys.modules[__name__])
    )
    bounds, path = settings[Bounds], Path(settings[RunConfig].run_dir)
    stage_record(path, "train")
    prepare_machine()
    with tempfile.TemporaryDirectory() as folder:
        sizes = Sizes(path, settings[ExportConfig].sparse, Path(folder))
        choose_and_write(path, bounds, settings[ExportConfig], sizes.bytes_of)


if __name__ == "__main__":
    run_cli(main)
