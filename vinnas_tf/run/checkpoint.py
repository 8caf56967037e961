"""Everything that training changes, saved after an epoch (by the recorders in `callbacks.py`) and brought back."""

from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from vinnas_tf.errors import FileError


class EpochCheckpoint:
    """The state of a model and its optimizers after a number of epochs.

    Keras's own savers leave out the seed generators and optimizers beyond the first; here all variables are listed.
    TensorFlow writes a checkpoint's files first and the pointer to it last, so that a crash leaves the one before.

    Args:
        model: built model.
        optimizers: its optimizers, built.
        folder: where checkpoints lie; the latest two are kept.
    """

    def __init__(self, model: keras.Model, optimizers: Sequence[keras.Optimizer], folder: Path) -> None:
        variables = [*model.variables, *(variable for optimizer in optimizers for variable in optimizer.variables)]
        self._epochs = tf.Variable(0, dtype=tf.int64)
        self._checkpoint = tf.train.Checkpoint(
            epochs=self._epochs, variables=[variable.value for variable in variables]
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(folder), max_to_keep=2)

    def restore(self) -> int:
        """Brings back the latest checkpoint and returns the number of its epochs; 0 where there is none.

        Raises FileError where it is of other variables, as an earlier version of the package may have left it.
        """
        latest = self._manager.latest_checkpoint
        if latest is None:
            return 0
        try:
            self._checkpoint.restore(latest).assert_consumed()
        except (AssertionError, ValueError) as error:
            raise FileError(
                f"{latest} has other variables than this version of vinnas_tf, and can't go on with it: "
                "use another run_dir, or start anew."
            ) from error
        return int(self._epochs)

    def save(self, epochs: int) -> None:
        """Writes the state after `epochs` finished epochs."""
        self._epochs.assign(epochs)
        self._manager.save(checkpoint_number=epochs)
