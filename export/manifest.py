"""The manifest of an export: what the files are, what they come from, and what was measured."""

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vinnas_tf
from vinnas_tf.errors import FileError
from vinnas_tf.export import pixels
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.run.record import PACKAGES

if TYPE_CHECKING:  # Whoever reads a manifest needs no Keras.
    from vinnas_tf.export.source import Source

NAME = "manifest.json"
FORMAT = "vinnas_tf export 1"


def describe(source: "Source") -> dict[str, Any]:
    """What is known before anything is measured; this part is an asset of the SavedModel too."""
    versions = {package: importlib.metadata.version(package) for package in (*PACKAGES, "ai-edge-litert")}
    return {
        "format": FORMAT,
        **({"dataset": source.dataset} if source.dataset else {}),
        "class_names": list(source.class_names),
        "image": pixels.describe(source.preparation),
        **source.origin,
        "versions": {"vinnas_tf": vinnas_tf.__version__, **versions},
        "python": platform.python_version(),
    }


def dump(manifest: dict[str, Any]) -> str:
    """The manifest as the text of a JSON file."""
    return json.dumps(manifest, indent=2) + "\n"


def read(path: Path) -> dict[str, Any]:
    """Reads an export's manifest; the one among a SavedModel's assets lists no "files" and has no "test".

    Raises:
        FileError: the file can't be read or is no manifest of this version.
    """
    if path.parent.name == "export":  # Else it was moved, or the library wrote it.
        finished_file(path.parent.parent, "export", NAME)
    try:
        read = {"files": {}, "test": {}, **json.loads(path.read_text(encoding="utf-8"))}
        version = read["format"]
        if version == FORMAT:
            _check(read)
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        reason = "" if isinstance(error, KeyError) else f" ({error})"
        raise FileError(f"{path} can't be read as an export's manifest{reason}: export with --overwrite.") from error
    if version != FORMAT:
        raise FileError(f"{path} was not written by this version ({FORMAT}): export with --overwrite.")
    return read


def _check(read: dict[str, Any]) -> None:
    """Raises KeyError, TypeError or ValueError where a part that a command relies on is something else."""
    names = read["class_names"]
    if not isinstance(names, list) or not all(type(name) is str for name in names):
        raise ValueError("class_names are no names")
    pixels.preparation(read["image"])
    if type(read.get("dataset", "")) is not str or not isinstance(read["test"], dict):
        raise ValueError("dataset or test are something else")
    for name, entry in dict(read["files"]).items():
        if type(entry["sha256"]) is not str:
            raise ValueError(f"{name!r} has no SHA-256")
    if "run" in read:  # An export by the command.
        settings, images = read["run"]["settings"], read["run"]["data_fingerprint"]
        right = type(settings["data_dir"]) is str and type(settings["image_size"]) is int and type(images) is str
        if not right:
            raise ValueError("run has other settings")
