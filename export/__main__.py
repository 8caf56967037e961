"""Exports the network of a finished training as SavedModel, TFLite and ONNX, and proves every file.

    python -m vinnas_tf.export --run_dir=runs/m

Writes into the run folder's `export/`: a SavedModel with its weights stored sparse, TFLite files in four precisions,
an ONNX file where --formats names it, and manifest.json. Each file answers all test images in a process of its own and
is held against the Keras network. A file that misses its bar is reported, and the exit code is 1.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vinnas_tf.config import DataConfig, ExportConfig, RunConfig
from vinnas_tf.console import counted, warn_of_learnt
from vinnas_tf.data import record as image_record
from vinnas_tf.data.image_set import fingerprint
from vinnas_tf.data.images import load_test, load_train
from vinnas_tf.errors import UserError, require
from vinnas_tf.export import manifest, table
from vinnas_tf.export.formats import count_steps
from vinnas_tf.export.onnx import require_onnx
from vinnas_tf.export.progress import Progress
from vinnas_tf.export.source import FinishedNetwork, read_finished
from vinnas_tf.export.stage import write_files
from vinnas_tf.flags import docstring, read_flags, run_cli
from vinnas_tf.run.folder import RunDir
from vinnas_tf.run.outputs import finished_file


@dataclass(frozen=True)
class Origin:
    """The exported network, as a setting of the stage: a run folder whose network was trained anew exports anew."""

    network_sha256: str


def export(finished: FinishedNetwork, config: ExportConfig, run: RunDir) -> dict[str, Any]:
    """Writes, proves and times the files that `config` asks for, and returns the manifest.

    Args:
        finished: the network of a run folder.
        config: which formats.
        run: the run folder, opened for the stage "export".

    Raises:
        UserError: the data can't be read or has changed since the training, or the disk is full.
    """
    data = dataclasses.replace(finished.data, dataset=config.dataset) if config.dataset else finished.data
    images = representative(finished, data)
    test = load_test(data, counted)
    if fingerprint([test]) != finished.test_fingerprint:
        print("warning: the test images are not those of the training, whose figures they can't be held against.")
    records = [finished_file(run.path, stage, image_record.NAME) for stage in ("search", "train", "compress")]
    learnt_from = warn_of_learnt(test.digests, np.concatenate([image_record.learnt(path) for path in records]))
    progress = Progress(count_steps(finished.source, config.formats))
    result = write_files(
        finished.source,
        config,
        run.file(""),
        test,
        images,
        dataset=data.dataset,
        learnt_from=learnt_from,
        step=progress.step,
    )
    run.mark_finished()
    return result


def main(argv: list[str]) -> None:
    """The command: reads flags and the run folder, exports, prints the table, and exits 1 where a file failed."""
    settings = read_flags(argv, ExportConfig, RunConfig, command="export", usage=docstring(sys.modules[__name__]))
    config, where = settings[ExportConfig], settings[RunConfig]
    require(bool(where.run_dir), "--run_dir is empty: name the run folder of a finished training.")
    if "onnx" in config.formats:
        require_onnx()
    finished = read_finished(Path(where.run_dir))
    with RunDir(
        where.run_dir,
        stage="export",
        settings=[config, Origin(finished.source.origin["network_sha256"])],
        data_fingerprint=finished.record["data_fingerprint"],
        overwrite=where.overwrite,
    ) as run:
        if run.finished:
            print(f"{run.file('')} is finished. --overwrite exports anew.")
            result = manifest.read(run.file(manifest.NAME))
        else:
            result = export(finished, config, run)
        print(f"{table.describe(result)}\nWritten to {run.file('')}")
    if table.failed(result):
        sys.exit(1)


def representative(finished: FinishedNetwork, data: DataConfig) -> np.ndarray:
    """Some training images, uint8 [n, h, w, c], the same ones each time."""
    try:
        dataset = load_train(data, finished.seed, counted)
    except UserError as error:
        moved = " If they were moved, name their place with --dataset=folder:PATH."
        raise type(error)(f"{error}{moved if data.dataset.startswith('folder:') else ''}") from error
    require(
        dataset.fingerprint == finished.record["data_fingerprint"],
        f"the training images of {data.dataset} are not those that the network was trained on (their fingerprint "
        "differs from config.json's): restore them, or train again with --overwrite.",
    )
    require(
        dataset.class_names == finished.source.class_names,
        f"the training's result.json names the classes {', '.join(finished.source.class_names)}, and {data.dataset} "
        f"has {', '.join(dataset.class_names)}: train again with --overwrite.",
    )
    return dataset.train.sample()


if __name__ == "__main__":
    run_cli(main)
