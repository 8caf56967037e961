"""What an exported file takes and answers, read from what lies beside it. Needs NumPy and Pillow alone.

An export's manifest stands two folders above a file; a SavedModel has it among its assets too. A TFLite file that left
its export behind may still have its labels beside it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vinnas_tf.data.picture import Preparation
from vinnas_tf.errors import FileError, require
from vinnas_tf.export import manifest, pixels
from vinnas_tf.run.digest import sha256_of

LABELS = "labels.txt"
CLASS_NAMES = "class_names.txt"
_ASSETS = "assets"


@dataclass(frozen=True)
class Interface:
    """What is known of a file.

    Attributes:
        class_names: name of each class, in the order of the probabilities; empty where nothing tells them.
        preparation: how pictures become its input; None where no manifest tells it.
        manifest: of its export; None where there is none.
    """

    class_names: tuple[str, ...]
    preparation: Preparation | None
    manifest: dict[str, Any] | None


def require_present(path: Path) -> None:
    """Raises FileError where there is no such file or folder."""
    require(
        os.path.exists(path),  # Path.exists raises for a name that is too long.
        f"{path} is missing: name a .tflite or .onnx file, or the version folder of a SavedModel.",
        FileError,
    )


def read_interface(path: Path) -> Interface:
    """What lies beside an exported file says of it.

    Args:
        path: of the file, or of a SavedModel's version folder; absolute.

    Raises:
        FileError: what lies there can't be read.
    """
    for place in (path.parent.parent / manifest.NAME, path / _ASSETS / manifest.NAME):
        if place.is_file():
            described = manifest.read(place)
            _require_same_names(path, described["class_names"])
            return Interface(tuple(described["class_names"]), pixels.preparation(described["image"]), described)
    for labels in _name_files(path):
        return Interface(_read_names(labels), None, None)
    return Interface((), None, None)


def require_recorded(path: Path) -> None:
    """Raises FileError where the export's manifest lies beside a file and describes other content."""
    beside = path.parent.parent / manifest.NAME
    if not beside.is_file():
        return
    entry = manifest.read(beside)["files"].get("/".join(path.parts[-2:]))
    require(
        entry is None or entry["sha256"] == sha256_of(path),
        f"{path} is not the file that {beside} describes (its SHA-256 differs): it was changed or cut off; export it "
        "anew with --overwrite.",
        FileError,
    )


def _name_files(path: Path) -> list[Path]:
    """The files with names of classes that lie in or beside an exported file."""
    return [labels for labels in (path / _ASSETS / CLASS_NAMES, path.parent / LABELS) if labels.is_file()]


def _read_names(labels: Path) -> tuple[str, ...]:
    try:
        return tuple(labels.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise FileError(f"{labels} can't be read as names of classes ({error}).") from error


def _require_same_names(path: Path, class_names: list[str]) -> None:
    """Raises FileError where a file of labels, which others read, names other classes than the manifest."""
    for labels in _name_files(path):
        require(
            _read_names(labels) == tuple(class_names),
            f"{labels} does not name the classes of the manifest, {', '.join(class_names)}: it was changed; export "
            "anew with --overwrite.",
            FileError,
        )
