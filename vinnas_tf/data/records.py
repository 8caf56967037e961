"""Any example of a set's TFRecord files by its number, without reading those before it."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_HEADER = 12  # Bytes before a record: its length as uint64, and a checksum of that.
_FOOTER = 4  # Bytes after it: its own checksum.


class Records:
    """The records of TFRecord files, in an order of their own.

    Args:
        folder: where the files lie.
        ids: "FILE__NUMBER" of each record, as TFDS calls it: a name in the folder, and its place in the file.

    Raises:
        ValueError: a file is cut off, or lacks a record.
        OSError: one can't be read.
    """

    def __init__(self, folder: Path, ids: Sequence[str]) -> None:
        names, numbers = zip(*(one.rsplit("__", 1) for one in ids), strict=True)
        files, self._file = np.unique(np.array(names), return_inverse=True)
        self._paths = [folder / name for name in files.tolist()]
        places = [_places(path) for path in self._paths]
        begins = np.cumsum([0, *map(len, places)])
        number = np.array(numbers, np.int64)
        if (number >= np.diff(begins)[self._file]).any():
            raise ValueError("a file has fewer records than it should have")
        self._places = np.concatenate(places)[begins[self._file] + number]

    def __getitem__(self, index: int) -> bytes:
        """The record of this index; several threads may ask."""
        begin, length = self._places[index].tolist()
        with open(self._paths[self._file[index]], "rb", buffering=0) as file:
            file.seek(begin)
            return file.read(length)


def _places(path: Path) -> np.ndarray:
    """Where each record of a file begins and how many bytes it has, int64 [n, 2]."""
    places = []
    with open(path, "rb", buffering=0) as file:
        size, place = path.stat().st_size, 0
        while place < size:
            file.seek(place)
            (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
            places.append((place + _HEADER, length))
            place += _HEADER + length + _FOOTER
    if place != size:
        raise ValueError(f"{path.name} is cut off")
    return np.array(places, np.int64).reshape(-1, 2)
