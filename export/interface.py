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
            return Interface(tuple(described["class_names"]), pixels.preparation(described["image"]), described)
    for labels in (path / _ASSETS / CLASS_NAMES, path.parent / LABELS):
        if labels.is_file():
            try:
                return Interface(tuple(labels.read_text(encoding="utf-8").splitlines()), None, None)
            except (OSError, ValueError) as error:
                raise FileError(f"{labels} can't be read as names of classes ({error}).") from error
    return Interface((), None, None)
