"""Runs the settings of a run folder again, and compares the files of both."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vinnas_tf.config import CompressConfig, DataConfig, DeviceConfig, ExportConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import FileError, RunFolderError, require
from vinnas_tf.export.source import load_network
from vinnas_tf.flags.help import spell
from vinnas_tf.methods import METHODS, method_class, names, read_by
from vinnas_tf.run.child import run_in_sight
from vinnas_tf.run.files import read_metrics
from vinnas_tf.run.folder import stage_record
from vinnas_tf.run.outputs import OUTPUTS, finished_file, is_finished

_KINDS: dict[str, tuple[type[Any], ...]] = {
    "search": (DataConfig, SearchConfig, DeviceConfig),
    "train": (DataConfig, TrainConfig, DeviceConfig),
    "compress": (DataConfig, CompressConfig),
    "export": (ExportConfig,),
}
# What a run leaves to go on from, or to be watched by.
_NO_RESULTS = ("tensorboard", "checkpoints", "fine_tuning", "magnitude_pruning", "dense", "points")
# Of JSON and tables: how long something took, and sums of files that hold the date.
_CLOCKS = ("seconds", "latency", "latency_ratio", "created", "sha256", "bytes", "gzip_bytes", "run", "versions")
# Of metrics.csv: counted at the threshold that was in use when the epoch ended; pruning again may take another.
_AT_THE_THRESHOLD = ("weights_kept", "share_kept")
BYTES, CONTENT, DIFFERENT, MISSING = "same bytes", "same content", "DIFFERENT", "MISSING"


def stages(path: Path) -> list[str]:
    """The finished stages of a run folder that can be run again, in their order; raises RunFolderError for none."""
    found = [stage for stage in _KINDS if is_finished(path, stage)]
    require(bool(found), f"{path} has no finished stage to reproduce: name a run folder.", RunFolderError)
    return found


def flags(path: Path, stage: str, again: Path) -> list[str]:
    """The command line that runs a stage of `path` with its settings in `again`."""
    record = stage_record(path, stage)
    settings = record["settings"]
    kinds = _KINDS[stage]
    if stage == "search":
        kinds = (*kinds, method_class(settings["method"]).Settings)
    values = {field.name: settings[field.name] for kind in kinds for field in fields(kind) if field.name in settings}
    if stage == "search":  # What only other methods read is the preset's, and refused as a flag.
        read = read_by(METHODS[settings["method"]]) | names(DataConfig) | names(DeviceConfig)
        values = {name: value for name, value in values.items() if name in read}
    if values.get("genotype") or stage == "train" and not is_finished(path, "search"):
        values["genotype"] = str(finished_file(path, stage, "genotype.json").resolve())
    if record["preset"]:
        values["preset"] = record["preset"]
    return [*(f"--{name}={spell(value)}" for name, value in values.items()), f"--run_dir={again}"]


def reproduce(path: Path, again: Path) -> dict[str, str]:
    """Runs the finished stages of `path` again in `again`, or goes on doing so, and compares their files.

    Returns:
        By the name of each file in the run folder: BYTES, CONTENT, DIFFERENT or MISSING.

    Raises:
        RunFolderError: `path` has no finished stage, or is `again`.
        FileError: a stage ended otherwise than by itself.
        SystemExit: a stage refused to go on, and has said why.
    """
    require(path.resolve() != again.resolve(), f"run_dir={again} is the run itself: name another.", RunFolderError)
    compared: dict[str, str] = {}
    for stage in stages(path):
        if not is_finished(again, stage):
            print(f"\n{stage}: with the settings of {path}", flush=True)
            code = run_in_sight(f"vinnas_tf.{stage}", flags(path, stage, again))
            if code == 2:
                raise SystemExit(2)
            require(code in (0, 1), f"the {stage} ended with {code}: the same command goes on from there.", FileError)
        for name in results(path, stage):
            compared[name] = same(path / name, again / name)
    return compared


def results(path: Path, stage: str) -> Iterator[str]:
    """Names of the files in which a stage of a run folder left its results."""
    for name in OUTPUTS[stage]:
        place = path / stage / name
        if name not in _NO_RESULTS and place.exists():
            files = sorted(place.rglob("*")) if place.is_dir() else [place]
            yield from (str(file.relative_to(path)) for file in files if file.is_file())


def same(one: Path, other: Path) -> str:
    """How two files compare; where a format or a table holds a clock or the date, by all that it holds besides."""
    if not other.exists():
        return MISSING
    first, second = one.read_bytes(), other.read_bytes()
    if first == second:
        return BYTES
    read = _READERS.get(one.name) or _READERS.get(one.suffix)
    return CONTENT if read is not None and _equal(read(one), read(other)) else DIFFERENT


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return isinstance(other, Mapping) and one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f") and one.dtype == other.dtype
    return bool(one == other)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def _network(path: Path) -> dict[str, Any]:
    """The layers and weights of a .keras file."""
    network = load_network(path)
    weights = {str(number): np.asarray(weight) for number, weight in enumerate(network.weights)}
    return {"layers": network.to_json(), **weights}


def _table(path: Path) -> list[dict[str, Any]]:
    rows = [_timeless(row) for row in read_metrics(path)]
    return [{name: value for name, value in row.items() if name not in _AT_THE_THRESHOLD} for row in rows]


def _timeless(content: Any) -> Any:
    """JSON without what tells of time."""
    if isinstance(content, list):
        return [_timeless(one) for one in content]
    if not isinstance(content, dict):
        return content
    kept = {name: value for name, value in content.items() if not name.endswith(_CLOCKS)}
    return {name: _timeless(value) for name, value in kept.items()}


def _fingerprint(path: Path) -> str:
    """What a SavedModel's fingerprint.pb says of it, beside a number that is drawn anew for each file."""
    return str(tf.saved_model.experimental.read_fingerprint(str(path.parent)))


_READERS = {
    "fingerprint.pb": _fingerprint,
    ".npz": _arrays,
    ".keras": _network,
    ".csv": _table,
    ".json": lambda path: _timeless(json.loads(path.read_bytes())),
}


def table(compared: Mapping[str, str]) -> str:
    """What came out, a line a file, and how many are the same."""
    lines = [f"{result:<13} {name}" for name, result in compared.items()]
    count = sum(result in (BYTES, CONTENT) for result in compared.values())
    return "\n".join([*lines, f"{count} of {len(compared)} files are the same."])
