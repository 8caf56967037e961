"""What a run folder holds: byte for byte, and what of it does not depend on the clock."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_LOCK = ".lock"  # Holds the number of a process.
# Times, and sums of files that hold times; and what else differs from run to run.
_CLOCKS = frozenset(
    {
        "created", "seconds", "train_seconds", "search_seconds", "search min", "train min", "latency", "latency_ratio",
        "sha256", "network_sha256", "dense_network_sha256",
        "shared_object_id",  # A place in memory.
    }
)  # fmt: skip
# Of which nothing is compared: they tell when things happened.
_LEFT_OUT = ("tensorboard",)


def copy(source: Path, target: Path) -> None:
    """Makes `target` what `source` is, whatever it was before."""
    shutil.rmtree(target, ignore_errors=True)
    if source.exists():
        shutil.copytree(source, target, symlinks=True)


def digest(root: Path) -> str:
    """SHA-256 of all files and folders under `root`, byte for byte but for the lock's content."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        content = b"" if path.name == _LOCK or not path.is_file() else path.read_bytes()
        name = os.fsencode(path.relative_to(root))
        found.update(b"%d %s %d %s" % (len(name), name, len(content), content))
    return found.hexdigest()


def files(root: Path) -> list[Path]:
    """All files under `root` but the lock, sorted."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name != _LOCK)


def contents(root: Path) -> dict[str, str]:
    """A digest of each file's content without times, by its path in `root`; logs are left out."""
    found = {}
    for path in files(root):
        place = path.relative_to(root)
        if path.suffix != ".log" and not set(_LEFT_OUT).intersection(place.parts):
            found[place.as_posix()] = hashlib.sha256(repr(_whole(path)).encode()).hexdigest()
    return found


def _whole(path: Path) -> Any:
    """What a file holds beside times, or all of it where it is damaged."""
    try:
        return _timeless(path)
    except (ValueError, LookupError, TypeError, AttributeError, zipfile.BadZipFile):
        return path.read_bytes()


def _timeless(path: Path) -> Any:
    """What a file holds beside times."""
    content = path.read_bytes()
    if path.name == "finished":
        return [line.split(b"  ")[1] for line in content.splitlines()[1:]]
    match path.suffix:
        case ".json":
            return _without_clocks(json.loads(content))
        case ".csv":
            return [_without_clocks(row) for row in csv.DictReader(io.StringIO(content.decode("utf-8", "replace")))]
        case ".md":
            return _columns(content.decode())
        case ".html":
            return re.sub(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC", b"", content)
        case ".npz":
            with np.load(io.BytesIO(content)) as arrays:
                return {name: _array(arrays[name]) for name in arrays.files}
        case ".keras":
            return _network(content)
    return content


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_clocks(one) for name, one in value.items() if name not in _CLOCKS}
    return [_without_clocks(one) for one in value] if isinstance(value, list) else value


def _columns(table: str) -> list[dict[str, str]]:
    """The rows of a table in Markdown."""
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("|")]
    return [_without_clocks(dict(zip(rows[0], row, strict=True))) for row in rows]


def _array(array: np.ndarray) -> Any:
    if array.dtype.kind == "U":  # The figures of all epochs.
        return _without_clocks(json.loads(str(array)))
    return array.dtype.str, array.shape, array.tobytes()


def _network(content: bytes) -> Any:
    """Layers and weights of a .keras file, which also holds the date."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        layers = _without_clocks(json.loads(archive.read("config.json")))
        weights = archive.read("model.weights.h5")
    arrays: list[Any] = []
    with h5py.File(io.BytesIO(weights)) as file:
        file.visititems(
            lambda name, item: arrays.append((name, item[()].tobytes())) if hasattr(item, "shape") else None
        )
    return layers, arrays
