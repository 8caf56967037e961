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
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vinnas_tf.config import DataConfig, ExportConfig, RunConfig
from vinnas_tf.console import counted, warn_of_learnt
from vinnas_tf.data import record as image_record
from vinnas_tf.data.images import ImageSet, fingerprint, load_test, load_train
from vinnas_tf.errors import UserError, require
from vinnas_tf.export import manifest, table
from vinnas_tf.export.formats import FORMATS, Task
from vinnas_tf.export.measure import time_calls
from vinnas_tf.export.onnx import require_onnx
from vinnas_tf.export.progress import Progress
from vinnas_tf.export.proof import prove, reference_probabilities, sha256, size
from vinnas_tf.export.source import Source, read_source
from vinnas_tf.flags import docstring, read_flags, run_cli
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.folder import OUTPUTS, RunDir

_REPRESENTATIVE = 200  # Training images that the full int8 file takes the range of its activations from.


@dataclass(frozen=True)
class _Origin:
    """The exported network, as a setting of the stage: a run folder whose network was trained anew exports anew."""

    network_sha256: str


def export(source: Source, config: ExportConfig, run: RunDir) -> dict[str, Any]:
    """Writes, proves and times the files that `config` asks for, and returns the manifest.

    Args:
        source: the trained network.
        config: which formats.
        run: the run folder, opened for the stage "export".

    Raises:
        SettingError: the data can't be read or has changed since the training, or the disk is full.
    """
    data = dataclasses.replace(source.data, dataset=config.dataset) if config.dataset else source.data
    images = _representative(source, data)
    test = load_test(data)
    test_fingerprint = fingerprint([test])
    if test_fingerprint != source.test_fingerprint:
        print("warning: the test images are not those of the training, whose figures they can't be held against.")
    records = [run.path / stage / image_record.NAME for stage in ("search", "train")]
    learnt_from = warn_of_learnt(test.digests, np.concatenate([image_record.learnt(path) for path in records]))
    reference = reference_probabilities(source.network, test.images)
    building, scratch = run.file(".building"), run.file(".scratch")
    for folder in (building, scratch):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    described = manifest.describe(source)
    (scratch / manifest.NAME).write_text(manifest.dump(described), encoding="utf-8")
    files: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    task = Task(source, images, config.sparse, building, scratch)
    progress = Progress(sum(FORMATS[name].files + 1 for name in config.formats))
    for name in config.formats:
        working: dict[str, Path] = {}
        beside: dict[str, Path] = {}
        for written in FORMATS[name].write(task):
            if written.entry is None:
                beside[written.name] = written.path
                progress.step(f"{written.name} written, to compare with")
                continue
            figures = _prove(written.path, test, reference)
            files[written.name] = {**written.entry, "sha256": sha256(written.path), "figures": figures}
            if "accuracy" in figures:
                working[written.name] = written.path
            progress.step(f"{written.name} written and proven")
        timed = {**working, **beside}
        latencies = dict(zip(timed, time_calls(list(timed.values()), test.images[0]), strict=True))
        progress.step(f"{name} timed")
        baselines |= {other: {**size(path), "latency": latencies[other]} for other, path in beside.items()}
        for file in working:
            files[file]["figures"]["latency"] = latencies[file]
            files[file]["figures"]["latency_ratio"] = {
                other: _ratio(latencies[file], latencies[other]) for other in beside
            }
    result = {
        **described,
        "dataset": data.dataset,
        "test": {
            "images": len(test),
            "fingerprint": test_fingerprint,
            "learnt_from": learnt_from,
            "accuracy": float((reference.argmax(axis=-1) == test.labels).mean()),
        },
        "files": files,
        "baselines": baselines,
    }
    for name in OUTPUTS["export"]:
        shutil.rmtree(run.file(name), ignore_errors=True)
        if (building / name).exists():
            os.replace(building / name, run.file(name))
    write_atomically(run.file(manifest.NAME), manifest.dump(result))
    run.mark_finished()
    for folder in (building, scratch):
        shutil.rmtree(folder)
    return result


def main(argv: list[str]) -> None:
    """The command: reads flags and the run folder, exports, prints the table, and exits 1 where a file failed."""
    settings = read_flags(argv, ExportConfig, RunConfig, command="export", usage=docstring(sys.modules[__name__]))
    config, where = settings[ExportConfig], settings[RunConfig]
    require(bool(where.run_dir), "--run_dir is empty: name the run folder of a finished training.")
    if "onnx" in config.formats:
        require_onnx()
    source = read_source(Path(where.run_dir))
    with RunDir(
        where.run_dir,
        stage="export",
        settings=[config, _Origin(source.network_sha256)],
        data_fingerprint=source.record["data_fingerprint"],
        overwrite=where.overwrite,
    ) as run:
        if run.finished:
            print(f"{run.file('')} is finished. --overwrite exports anew.")
            result = manifest.read(run.file(manifest.NAME))
        else:
            result = export(source, config, run)
        print(f"{table.describe(result)}\nWritten to {run.file('')}")
    if table.failed(result):
        sys.exit(1)


def _representative(source: Source, data: DataConfig) -> np.ndarray:
    """Some training images, uint8 [n, h, w, c], the same ones each time."""
    try:
        dataset = load_train(data, source.seed, counted)
    except UserError as error:
        moved = " If they were moved, name their place with --dataset=folder:PATH."
        raise type(error)(f"{error}{moved if data.dataset.startswith('folder:') else ''}") from error
    require(
        dataset.fingerprint == source.record["data_fingerprint"],
        f"the training images of {data.dataset} are not those that the network was trained on (their fingerprint "
        "differs from config.json's): restore them, or train again with --overwrite.",
    )
    count = min(_REPRESENTATIVE, len(dataset.train))
    return dataset.train.images[np.random.default_rng(0).choice(len(dataset.train), count, replace=False)]


def _prove(path: Path, test: ImageSet, reference: np.ndarray) -> dict[str, Any]:
    try:
        return prove(path, test, reference)
    except UserError as error:  # The other files are still to be written.
        return {**size(path), "failures": [str(error)]}


def _ratio(latency: dict[str, Any], baseline: dict[str, Any]) -> dict[str, float]:
    """Median latency as a multiple of a baseline's, for each number of threads."""
    return {t: round(latency[t]["median_ms"] / baseline[t]["median_ms"], 3) for t in latency}


if __name__ == "__main__":
    run_cli(main)
