"""Trains a found network from scratch, prunes it and measures what is left.

    python -m vinnas_tf.train --run_dir=runs/m
    python -m vinnas_tf.train --genotype=FILE --dataset=mnist

Builds the network of a searched run folder, or of any genotype file, trains it with
Gaussian weights, sets the weights that are mostly noise to zero, strips what only
zeros reach, and writes the network and its figures into the run folder's train/.
The same command resumes a training that was interrupted, with the same result;
with another threshold it prunes the finished training again.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import hashlib
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.config import DataConfig, RunConfig, TrainConfig
from vinnas_tf.console import counted, describe, introduce, warn_of_idle_cells, warn_of_learnt
from vinnas_tf.data import record as image_record
from vinnas_tf.data.images import Dataset, load_train, open_source, with_full_path
from vinnas_tf.errors import require
from vinnas_tf.flags import Inherited, docstring, read_flags, run_cli
from vinnas_tf.kernels.device import share_two_cores
from vinnas_tf.network.build import build_network
from vinnas_tf.optimizer import PosteriorAdam
from vinnas_tf.run.folder import RunDir, default_run_dir, stage_record
from vinnas_tf.train.callbacks import TrainSchedule
from vinnas_tf.train.epochs import run_epochs
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.model import TrainModel
from vinnas_tf.train.report import summary
from vinnas_tf.train.result import finish, steps_to_finish


@dataclass(frozen=True)
class Origin:
    """What a training starts from; part of the settings that a resumed run must share."""

    genotype_sha256: str


def make_network(config: TrainConfig, genotype: Genotype, image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """The untrained network of `genotype` that `config` asks for, for images [height, width, channels]."""
    return build_network(
        genotype,
        cells=config.cells,
        channels=config.channels,
        image_shape=image_shape,
        classes=classes,
        stem_stride=config.stem_stride,
        drop_path=config.drop_path,
        auxiliary=config.auxiliary_weight > 0,
        variational=config.variational,
        estimator=config.estimator,
        seed=config.seed,
    )


def make_model(
    network: keras.Model, config: TrainConfig, examples: int, class_weights: np.ndarray | None = None
) -> TrainModel:
    """A compiled model that trains `network` in place on `examples` images, those of each class weighted."""
    model = TrainModel(
        network,
        examples=examples,
        label_smoothing=config.label_smoothing,
        auxiliary_weight=config.auxiliary_weight,
        class_weights=class_weights,
    )
    steps = config.epochs * max(examples // config.batch_size, 1)
    model.compile(
        PosteriorAdam(
            keras.optimizers.schedules.CosineDecay(config.learning_rate, steps),
            log_variance_rate=config.log_variance_rate,
        )
    )
    return model


def train(
    data: DataConfig,
    config: TrainConfig,
    genotype: Genotype,
    dataset: Dataset,
    run: RunDir,
    *,
    test_images: int,
    learnt_before: np.ndarray,
) -> dict:
    """Trains, prunes and measures, or goes on doing so; writes all that the run folder's `train/` holds.

    Args:
        data: how images are prepared.
        config: the network, and how it is trained.
        genotype: the found cells.
        dataset: the training images; some of them are held out here.
        run: the opened run folder.
        test_images: how many there are, for the estimate of the time.
        learnt_before: digests of the images that the genotype's search learnt from, as far as that is known.

    Returns:
        The content of result.json.

    Raises:
        SettingError: the genotype or the images do not fit the settings, or the loss stopped being finite.
    """
    keras.utils.set_random_seed(config.seed)
    images = TrainingImages.of(dataset, config.held_out, config.seed)
    if images.note:
        print(textwrap.fill(images.note, 80), flush=True)
    parts = {"training": images.learnt_from, "held_out": images.held_out}
    image_record.write(run.file(image_record.NAME), parts, dataset.class_names)
    network = make_network(config, genotype, dataset.train.images.shape[1:], len(dataset.class_names))
    run_epochs(
        make_model(network, config, len(images.learnt_from), images.class_weights(config, len(dataset.class_names))),
        images,
        data,
        config,
        run.file(""),
        epochs=config.epochs,
        seed=config.seed,
        steps_after=steps_to_finish(images, config, test_images),
        schedules=[TrainSchedule(config)],
    )
    genotype.save(run.file("genotype.json"))
    return finish(network, images, data, config, dataset, run, learnt_before)


def main(argv: list[str]) -> None:
    """The command: reads flags, opens the run folder, trains, and says what came out."""
    settings = read_flags(
        argv,
        DataConfig,
        TrainConfig,
        RunConfig,
        command="train",
        usage=docstring(sys.modules[__name__]),
        inherit=_inherit,
    )
    data, config, where = settings[DataConfig], settings[TrainConfig], settings[RunConfig]
    require(
        bool(config.genotype or where.run_dir),
        "nothing to train: name a searched run folder with --run_dir, or a genotype file with --genotype.",
    )
    if not config.genotype:
        stage_record(where.run_dir, "search")
    source = Path(config.genotype or Path(where.run_dir) / "search" / "genotype.json")
    genotype = Genotype.load(source)
    path = Path(where.run_dir) if where.run_dir else default_run_dir(data.dataset, _origin(source, config), config.seed)
    share_two_cores()
    data = with_full_path(data)
    dataset = load_train(data, config.seed, counted)
    with RunDir(
        path,
        stage="train",
        settings=[data, config, Origin(hashlib.sha256(genotype.to_json().encode()).hexdigest())],
        data_fingerprint=dataset.fingerprint,
        preset=settings.preset,
        overwrite=where.overwrite,
        late_settings=("log_noise_ratio_threshold", "fine_tuning_epochs"),
    ) as run:
        if run.finished:
            print(f"{path} is trained: its figures are in {run.file('result.json')}. --overwrite starts anew.")
            return
        test = open_source(data).part("test")  # Tells now, and not after the training, what is wrong with it.
        learnt_before = image_record.learnt(source.with_name(image_record.NAME))
        title = introduce(f"Train in {path}", settings.preset, dataset, data, config)
        print(title, describe(genotype), sep="\n", flush=True)
        warn_of_idle_cells(genotype)
        if test.digests is not None:  # Else they are looked at in the end.
            warn_of_learnt(test.digests, learnt_before)
        result = train(
            data,
            config,
            genotype,
            dataset,
            run,
            test_images=len(test.labels),
            learnt_before=learnt_before,
        )
        print(f"{summary(result)}\nWritten to {run.file('')}")


def _origin(source: Path, config: TrainConfig) -> str:
    """What tells a training of the genotype file `source` from others of its data set and seed."""
    searched = source.name == "genotype.json" and len(source.parts) > 2  # RUN_DIR/search/genotype.json
    name = source.parts[-3] if searched else source.stem
    return name if config.variational else f"{name}-point"


def _inherit(run_dir: str) -> Inherited:
    """Data set, image size, skeleton, seed and preset of the search in `run_dir`, where there is one."""
    if not run_dir or not (Path(run_dir) / "search").is_dir():
        return Inherited()
    record = stage_record(run_dir, "search")
    return handed_on(record["settings"], record["preset"])


def handed_on(settings: Mapping[str, Any], preset: str) -> Inherited:
    """What a training takes over from a search with these settings and that preset."""
    values = {name: settings[name] for name in ("dataset", "data_dir", "image_size", "cells", "seed")}
    return Inherited(values, preset, firm=("dataset", "data_dir"))


if __name__ == "__main__":
    run_cli(main)
