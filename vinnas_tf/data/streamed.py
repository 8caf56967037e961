"""Images that stay in their files, and are decoded whenever they are asked for: any of them, in any order."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vinnas_tf.data.picture import Preparation, frame
from vinnas_tf.data.picture_index import in_parallel
from vinnas_tf.data.source import Part
from vinnas_tf.errors import DataError

# Pixels of a set that takes more bytes are streamed. By size alone: what is streamed on one machine is so on another.
LEAST_BYTES = 2**30


@dataclass(frozen=True, eq=False)
class Streamed:
    """Frames of pictures; indexed with numbers of images, it reads them like an array.

    Attributes:
        part: where pictures are read from.
        preparation: what they are brought to.
        indices: int [n], the images of the part that these are.
    """

    part: Part
    preparation: Preparation
    indices: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, height, width, channels]."""
        return len(self.indices), *self.preparation.frame_shape

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        """The frames of these numbers, [m] in any order, uint8 [m, height, width, channels]; decoded in parallel.

        Raises:
            DataError: a picture can't be read.
        """
        frames = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        for slot, one in enumerate(in_parallel(self._frame, self.indices[numbers].tolist())):
            frames[slot] = one
        return frames

    def take(self, numbers: np.ndarray) -> "Streamed":
        """The images of these numbers, still unread."""
        return Streamed(self.part, self.preparation, self.indices[numbers])

    def _frame(self, index: int) -> np.ndarray:
        return frame(self.part.read(index), self.preparation)


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Where TensorFlow reads streamed images: what kept one from being read is raised as the DataError that it was."""
    try:
        yield
    except tf.errors.OpError as error:
        told = re.search(rf"{DataError.__name__}: (.*)", str(error))
        if told is None:
            raise
        raise DataError(told[1]) from error
