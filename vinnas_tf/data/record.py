"""Which image had which part in a stage: a run folder's images.csv, and what an earlier stage learnt from."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.errors import DataError
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.tables import csv_table

NAME = "images.csv"
# Parts that a stage learns or chooses by, so that they are no test images for what comes of it.
_LEARNT = frozenset({"weights", "architecture", "watched", "training", "held_out"})
_HELD_OUT = frozenset({"watched", "held_out"})
_TESTED = frozenset({"test"})
_COLUMNS = ("part", "class", "name", "digest")


def write(path: Path, parts: Mapping[str, ImageSet], class_names: Sequence[str]) -> None:
    """Writes one line for each image: its part, its class, its name inside that, and the digest of its pixels.

    Args:
        path: the file.
        parts: the images by part: "weights", "architecture" and "watched" of a search, "training" and "held_out" of a
            training, and "test".
        class_names: name of each class.
    """
    rows = (
        (part, class_names[label], name, f"{int(digest):016x}")
        for part, images in parts.items()
        for label, name, digest in zip(images.labels, images.names, images.digests, strict=True)
    )
    write_atomically(path, csv_table(_COLUMNS, rows).encode("utf-8", "surrogateescape"))


def learnt(path: Path) -> np.ndarray:
    """Digests, uint64 [n], of the images that the stage which wrote `path` learnt from; none where there is no file.

    Raises:
        DataError: the file is no such record.
    """
    return _digests(path, _LEARNT)


def held_out(path: Path) -> np.ndarray:
    """Digests, uint64 [n], of the images that the stage which wrote `path` chose by, and did not train weights on."""
    return _digests(path, _HELD_OUT)


def tested(path: Path) -> np.ndarray:
    """Digests, uint64 [n], of the test images of the stage which wrote `path`, as `learnt` gives the others."""
    return _digests(path, _TESTED)


def _digests(path: Path, parts: frozenset[str]) -> np.ndarray:
    try:
        content = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return np.zeros(0, np.uint64)
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}.") from error
    try:
        header, *rows = csv.reader(io.StringIO(content))
        if tuple(header) != _COLUMNS:
            raise ValueError(f"it has the columns {header}")
        return np.array([int(digest, 16) for part, _, _, digest in rows if part in parts], np.uint64)
    except (ValueError, OverflowError, csv.Error) as error:
        raise DataError(f"{path} is not the record of a stage's images ({error}): run that stage anew.") from error
