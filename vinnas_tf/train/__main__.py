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
import dataclasses
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.config import DataConfig, DeviceConfig, RunConfig, TrainConfig
from vinnas_tf.console import counted, describe, how_to_watch, introduce, warn_of_idle_cells, warn_of_learnt
from vinnas_tf.data import record as image_record
from vinnas_tf.data.images import Dataset, load_test, load_train, open_source, with_full_path
from vinnas_tf.data.streamed import reading
from vinnas_tf.devices import Devices
from vinnas_tf.errors import RunFolderError, require
from vinnas_tf.flags import Inherited, docstring, read_flags, run_cli
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.run.digest import sha256
from vinnas_tf.run.folder import RunDir, default_run_dir, stage_record
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.train.claim import LATE_SETTINGS
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.outputs import write_outputs
from vinnas_tf.train.progress import PRINTED
from vinnas_tf.train.report import summary
from vinnas_tf.train.stage import make_network, train_network

_PROGRESS = dataclasses.replace(
    PRINTED, prune_again="the same command with --log_noise_ratio_threshold={:g} prunes again"
)


@dataclass(frozen=True)
class Origin:
    """What a training starts from; part of the settings that a resumed run must share."""

    genotype_sha256: str


def train(
    data: DataConfig,
    config: TrainConfig,
    genotype: Genotype,
    dataset: Dataset,
    run: RunDir,
    *,
    device: DeviceConfig | None = None,
    test_images: int,
    learnt_before: np.ndarray,
) -> dict[str, Any]:
    """Trains, prunes and measures, or goes on doing so; writes all that the run folder's `train/` holds.

    Args:
        data: how images are prepared.
        config: the network, and how it is trained.
        genotype: the found cells.
        dataset: the training images; some of them are held out here.
        run: the opened run folder.
        device: what computes it; None: the defaults.
        test_images: how many there are, for the estimate of the time.
        learnt_before: digests of the images that the genotype's search learnt from, as far as that is known.

    Returns:
        The content of result.json.

    Raises:
        UserError: the genotype or the images do not fit the settings, or the loss stopped being finite.
    """
    keras.utils.set_random_seed(config.seed)
    images = TrainingImages.of(dataset, config.held_out, config.seed)
    if images.note:
        print(textwrap.fill(images.note, 80), flush=True)
    parts = {"training": images.learnt_from, "held_out": images.held_out}
    image_record.write(run.file(image_record.NAME), parts, dataset.class_names)
    network = make_network(config, genotype, dataset.train.image_shape, len(dataset.class_names))
    genotype.save(run.file("genotype.json"))
    trained = train_network(
        network,
        images,
        dataset,
        data.augment,
        config,
        run.file(""),
        device=device,
        test_images=test_images,
        progress=_PROGRESS,
    )
    return write_outputs(trained, images, load_test(data, counted), data, run, learnt_before, _PROGRESS)


def main(argv: list[str]) -> None:
    """The command: reads flags, opens the run folder, trains, and says what came out."""
    settings = read_flags(
        argv,
        DataConfig,
        TrainConfig,
        DeviceConfig,
        RunConfig,
        command="train",
        usage=docstring(sys.modules[__name__]),
        inherit=_inherit,
    )
    data, config = settings[DataConfig], settings[TrainConfig]
    device, where = settings[DeviceConfig], settings[RunConfig]
    require(
        bool(config.genotype or where.run_dir),
        "nothing to train: name a searched run folder with --run_dir, or a genotype file with --genotype.",
    )
    if config.genotype:
        source, learnt_from = Path(config.genotype), Path(config.genotype).with_name(image_record.NAME)
    else:
        stage_record(where.run_dir, "search")
        require(
            not (Path(where.run_dir) / "search" / "masks.json").exists(),
            f"the search in {where.run_dir} has left a trained network, and no cells to train: export it with "
            f"python -m vinnas_tf.export --run_dir={where.run_dir}.",
        )
        source, learnt_from = (
            finished_file(where.run_dir, "search", name) for name in ("genotype.json", image_record.NAME)
        )
    genotype = Genotype.load(source)
    path = Path(where.run_dir) if where.run_dir else default_run_dir(data.dataset, _origin(source, config), config.seed)
    prepare_machine()
    Devices(device).require_batch(config.batch_size)  # Tells of what is missing here before images are read.
    data = with_full_path(data)
    dataset = load_train(data, config.seed, counted)
    with RunDir(
        path,
        stage="train",
        settings=[data, config, device, Origin(sha256(genotype.to_json()))],
        data_fingerprint=dataset.fingerprint,
        preset=settings.preset,
        overwrite=where.overwrite,
        late_settings=LATE_SETTINGS,
    ) as run:
        if run.finished:
            print(f"{path} is trained: its figures are in {run.file('result.json')}. --overwrite starts anew.")
            return
        test = open_source(data).part("test")  # Tells now, and not after the training, what is wrong with it.
        learnt_before = image_record.learnt(learnt_from)
        title = introduce(f"Train in {path}", settings.preset, dataset, data, config, device)
        print(title, how_to_watch(path), describe(genotype), sep="\n", flush=True)
        warn_of_idle_cells(genotype)
        if test.digests is not None:  # Else they are looked at in the end.
            warn_of_learnt(test.digests, learnt_before)
        with reading():
            result = train(
                data,
                config,
                genotype,
                dataset,
                run,
                device=device,
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
    """Data set, image size, framing, skeleton, seed and preset of the search in `run_dir`, where there is one."""
    if not run_dir or not (Path(run_dir) / "search").is_dir():
        return Inherited()
    record = stage_record(run_dir, "search")
    return handed_on(record["settings"], record["preset"])


def handed_on(settings: Mapping[str, Any], preset: str) -> Inherited:
    """What a training takes over from a search with these settings and that preset."""
    names = ("dataset", "data_dir", "image_size", "framing", "cells", "seed")
    missing = [name for name in names if name not in settings and name != "framing"]  # The first searches framed none.
    require(
        not missing,
        f"the search's record has no {' and no '.join(missing)}, so it is of another version: search anew.",
        RunFolderError,
    )
    values = {name: settings[name] for name in names if name in settings}
    return Inherited(values, preset, firm=("dataset", "data_dir"))


if __name__ == "__main__":
    run_cli(main)
