"""Everything that training changes, saved after an epoch (by the recorders in `callbacks.py`) and brought back."""

import json
import logging
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from vinnas_tf.errors import FileError, require
from vinnas_tf.run.files import Value, writing
from vinnas_tf.run.sealed import read_sealed, write_sealed

_KEPT = 2  # So that one damaged file does not lose the run.
_NAME = re.compile(r"epoch-(\d+)\.npz")
_log = logging.getLogger("vinnas_tf")


@dataclass(frozen=True, eq=False)
class Restored:
    """What a checkpoint holds beside the variables.

    Attributes:
        epochs: finished epochs; 0 where nothing was restored.
        rows: the figures of each.
        arrays: further arrays, by name.
    """

    epochs: int = 0
    rows: list[dict[str, Value]] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


class EpochCheckpoint:
    """The state of a model, its optimizers and its record after a number of epochs, in one file an epoch.

    Keras's own savers leave out the seed generators and optimizers beyond the first; here all variables are listed.
    A file appears whole or not at all and is on the disk before the next epoch begins. It ends with a SHA-256 of the
    rest: a file that was cut or changed afterwards is told from a good one, and the one before it is used.

    Args:
        model: built model.
        optimizers: its optimizers, built.
        folder: where checkpoints lie; the latest two are kept, and nothing else.
    """

    def __init__(self, model: keras.Model, optimizers: Sequence[keras.Optimizer], folder: Path) -> None:
        self._variables = [
            *model.variables,
            *(variable for optimizer in optimizers for variable in optimizer.variables),
        ]
        self._folder = folder

    def restore(self) -> Restored:
        """Brings back the latest checkpoint that is whole; a damaged one is named in a warning.

        Raises:
            FileError: all checkpoints are damaged, or the latest is of other variables, as an earlier version of the
                package may have left it.
        """
        paths = self._paths()
        damaged = []
        for path in reversed(paths):
            content = read_sealed(path)
            if content is None:
                damaged.append(path)
                continue
            for lost in damaged:
                _log.warning("%s is damaged: goes on from %s.", lost, path.name)
            return self._assign(path, content)
        require(
            not paths,
            f"{' and '.join(map(str, paths))} are damaged, and there is no other checkpoint: "
            "restore one of them, or start anew with overwrite.",
            FileError,
        )
        return Restored()

    def save(self, epochs: int, rows: Sequence[Mapping[str, Value]], arrays: Mapping[str, np.ndarray]) -> None:
        """Writes the state after `epochs` finished epochs, with their figures and further arrays by name.

        Raises:
            FileError: it can't be written; the checkpoints before are still there.
        """
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        held = {f"variable/{index}": np.asarray(variable) for index, variable in enumerate(self._variables)}
        held |= {f"array/{name}": value for name, value in arrays.items()}
        write_sealed(self._folder / f"epoch-{epochs}.npz", {**held, "rows": np.array(json.dumps(rows))})
        self._clear()

    def _assign(self, path: Path, content: Mapping[str, np.ndarray]) -> Restored:
        """Gives the variables what the file holds."""
        rows = _rows(path, content)
        values = [value for name, value in content.items() if name.startswith("variable/")]
        shapes = [tuple(value.shape) for value in values]
        require(
            shapes == [tuple(variable.shape) for variable in self._variables],
            f"{path} has other variables than this version of vinnas_tf, and can't go on with it: use another run_dir, "
            "or start anew.",
            FileError,
        )
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
        arrays = {name.removeprefix("array/"): value for name, value in content.items() if name.startswith("array/")}
        return Restored(_epochs(path), rows, arrays)

    def _paths(self) -> list[Path]:
        """The checkpoints, the earliest first."""
        if not self._folder.is_dir():
            return []
        return sorted((path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)), key=_epochs)

    def _clear(self) -> None:
        """Removes earlier checkpoints, and what a killed write left."""
        kept = self._paths()[-_KEPT:]
        for path in self._folder.iterdir():
            if path not in kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def warn_of_lost_epochs(metrics: Path, restored: Restored) -> None:
    """Says where epochs that a metrics file tells of are done again, for no checkpoint holds them."""
    if not restored.epochs and metrics.exists():
        _log.warning("%s tells of epochs that no checkpoint holds: starts anew.", metrics)


def _epochs(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    assert found
    return int(found[1])


def _rows(path: Path, content: Mapping[str, np.ndarray]) -> list[dict[str, Value]]:
    """The figures of each epoch; raises FileError where the sealed file is no checkpoint."""
    try:
        rows = [dict(row) for row in json.loads(str(content["rows"]))]
        if any(array.dtype.kind not in "biuf" for name, array in content.items() if name != "rows"):
            raise ValueError("an array is not of numbers")
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise FileError(f"{path} is sealed, and still no checkpoint ({error}): start anew with overwrite.") from error
    return rows
