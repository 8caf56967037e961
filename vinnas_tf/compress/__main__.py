"""Compresses a trained network: prunes groups of its weights by their evidence.

    python -m vinnas_tf.compress --run_dir=runs/m
    python -m vinnas_tf.compress --network=lenet_300_100 --dataset=mnist
    python -m vinnas_tf.compress --network=FILE.keras --dataset=mnist

Trains a copy of the network at each penalty of a ladder, prunes what the data
hardly determine, fine-tunes and strips it, and takes the point of the curve that a
budget of parameters, bytes or accuracy asks for. The network and its figures lie in
the run folder's compress/, ready for vinnas_tf.export.
The same command resumes where it was interrupted, with the same result; with
another budget it chooses again, and with more penalties it adds points.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import sys
import textwrap
from dataclasses import dataclass, fields
from pathlib import Path

import keras
import numpy as np

from vinnas_tf.compress.outputs import write_outputs
from vinnas_tf.compress.report import LEGEND, TABLE
from vinnas_tf.compress.source import PACKAGED, Given, of_file, of_package, of_run, require_known, sha256
from vinnas_tf.compress.stage import compress
from vinnas_tf.config import CompressConfig, DataConfig, RunConfig
from vinnas_tf.console import Watch, counted, how_to_watch, introduce, warn_of_learnt
from vinnas_tf.data import record as image_record
from vinnas_tf.data.images import Dataset, load_test, load_train, open_source, with_full_path
from vinnas_tf.data.streamed import reading
from vinnas_tf.errors import RunFolderError, require
from vinnas_tf.export.source import read_finished
from vinnas_tf.flags import Inherited, docstring, read_flags, run_cli
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.run.folder import RunDir, default_run_dir, stage_record
from vinnas_tf.run.outputs import NETWORK, finished_file, is_finished, trained_stage
from vinnas_tf.train.progress import PRINTED, Progress

# What only the choice depends on, and which points there are: each point is kept by itself.
LATE_SETTINGS = ("penalties", "max_parameters", "max_bytes", "max_accuracy_loss")
_PROGRESS = Progress(
    PRINTED.tell,
    PRINTED.go_through,
    lambda epochs, steps, latest, ahead: Watch(TABLE, epochs, steps, latest, ahead=ahead),
)


@dataclass(frozen=True)
class Origin:
    """What a compression starts from; part of the settings that a resumed run must share.

    Attributes:
        origin: "train" or "search" where it is a stage of the run folder, else empty.
        origin_sha256: of the network's file; empty for a network of the package.
    """

    origin: str
    origin_sha256: str


def _given(config: CompressConfig, run_dir: Path, stage: str, dataset: Dataset) -> Given:
    if stage:
        return of_run(run_dir, read_finished(run_dir, stage), dataset)
    return of_package(config, dataset) if config.network in PACKAGED else of_file(config, dataset)


def main(argv: list[str]) -> None:
    """The command: reads flags, opens the run folder, compresses, and says what came out."""
    settings = read_flags(
        argv,
        DataConfig,
        CompressConfig,
        RunConfig,
        command="compress",
        usage=docstring(sys.modules[__name__]),
        inherit=_inherit,
    )
    data, config, where = settings[DataConfig], settings[CompressConfig], settings[RunConfig]
    require(
        bool(config.network or where.run_dir),
        "nothing to compress: name a trained run folder with run_dir=..., or a network with network=...",
    )
    require_known(config)
    name = Path(config.network).stem
    path = Path(where.run_dir) if where.run_dir else default_run_dir(data.dataset, name, config.seed)
    stage = "" if config.network else trained_stage(path)
    if stage:
        stage_record(path, stage)
        origin = Origin(stage, read_finished(path, stage).source.origin["network_sha256"])
    else:
        _require_without_network(path, config.network)
        origin = Origin("", sha256(config.network))
    prepare_machine()
    data = with_full_path(data)
    dataset = load_train(data, config.seed, counted)
    with RunDir(
        path,
        stage="compress",
        settings=[data, config, origin],
        data_fingerprint=dataset.fingerprint,
        overwrite=where.overwrite,
        late_settings=LATE_SETTINGS,
    ) as run:
        if run.finished:
            print(f"{path} is compressed: its figures are in {run.file('result.json')}. --overwrite starts anew.")
            return
        test = open_source(data).part("test")  # Tells now, and not after the compression, what is wrong with it.
        title = introduce(f"Compress in {path}", "", dataset, data, config)
        print(title, how_to_watch(path), LEGEND, sep="\n", flush=True)
        keras.utils.set_random_seed(config.seed)
        given = _given(config, path, stage, dataset)
        if given.note:
            print(textwrap.fill(given.note, 80), flush=True)
        parts = {"training": given.images.learnt_from, "held_out": given.images.held_out}
        image_record.write(run.file(image_record.NAME), parts, dataset.class_names)
        earlier = [finished_file(path, one, image_record.NAME) for one in ("search", "train")]
        learnt_before = np.concatenate([image_record.learnt(one) for one in earlier])
        if test.digests is not None:  # Else they are looked at in the end.
            warn_of_learnt(test.digests, learnt_before)
        with reading():
            compression = compress(given, data.augment, config, run.file(""), _PROGRESS)
        print(textwrap.fill(f"Takes {compression.chosen.reason}.", 80), flush=True)
        test_images = load_test(data, counted)
        print(write_outputs(compression, given.images, test_images, dataset, data, config, run, learnt_before))
        print(f"Written to {run.file('')}")


def _require_without_network(path: Path, network: str) -> None:
    """Raises RunFolderError where a run folder has a network of its own."""
    stage = trained_stage(path)
    require(
        not (path / stage / NETWORK).exists(),
        f"{path} holds a network of its own, which an export would take for the one that was compressed: leave "
        f"network={network} out to compress that, or use another --run_dir.",
        RunFolderError,
    )


def _inherit(run_dir: str) -> Inherited:
    """Images and seed of the training or search in `run_dir` that left a network, where there is one."""
    stage = trained_stage(Path(run_dir)) if run_dir else ""
    if not stage or not is_finished(Path(run_dir), stage):
        return Inherited()
    record = stage_record(run_dir, stage)["settings"]
    names = tuple(field.name for field in fields(DataConfig))
    return Inherited({name: record[name] for name in (*names, "seed") if name in record}, firm=names)


if __name__ == "__main__":
    run_cli(main)
