"""What TensorBoard shows of a search beside the curves of Keras: the architecture parameters, and the pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

_FOLDER = "architecture"  # A run of its own, beside those of Keras.


class Histograms(keras.callbacks.Callback):
    """Writes a histogram of each architecture parameter after each epoch.

    Args:
        folder: where TensorBoard's files lie.
        latest: the parameters at the end of the epoch that has just ended, by name.
    """

    def __init__(self, folder: Path, latest: Callable[[], Mapping[str, np.ndarray]]) -> None:
        super().__init__()
        self.writer = tf.summary.create_file_writer(str(folder / _FOLDER))
        self.latest = latest

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes those of `epoch`."""
        with self.writer.as_default(step=epoch):
            for name, values in self.latest().items():
                tf.summary.histogram(name, values)
        self.writer.flush()


def write_pictures(pictures: Sequence[Path], folder: Path, step: int) -> None:
    """Writes pictures that were drawn of what was found, those that there are.

    Args:
        pictures: PNG files; each is called by its name.
        folder: where TensorBoard's files lie.
        step: the epoch that they belong to.
    """
    writer = tf.summary.create_file_writer(str(folder / _FOLDER))
    with writer.as_default(step=step):
        for picture in pictures:
            if picture.exists():
                tf.summary.image(picture.stem, tf.io.decode_png(picture.read_bytes(), channels=3)[tf.newaxis])
    writer.close()
