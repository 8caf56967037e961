"""The epochs of a training and of fine-tuning: resumed where they stopped, recorded and watched."""

from collections.abc import Sequence
from pathlib import Path

import keras

from vinnas_tf.batches import evaluation_batches, training_batches
from vinnas_tf.callbacks import TrainRecorder
from vinnas_tf.checkpoint import EpochCheckpoint
from vinnas_tf.config import DataConfig, TrainConfig
from vinnas_tf.console import TRAIN_TABLE, Watch
from vinnas_tf.files import read_metrics
from vinnas_tf.pruning import count_parameters, total
from vinnas_tf.train_model import TrainModel
from vinnas_tf.training_images import TrainingImages


def run_epochs(
    model: TrainModel,
    images: TrainingImages,
    data: DataConfig,
    config: TrainConfig,
    folder: Path,
    *,
    epochs: int,
    seed: int,
    schedules: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Trains, or goes on training, in place; writes metrics.csv, TensorBoard logs and checkpoints.

    Args:
        model: the compiled model.
        images: those to train on, and those to watch the accuracy on.
        data: how images are augmented.
        config: batch size and threshold.
        folder: where everything is written.
        epochs: how many.
        seed: of the order of images and of their augmentation.
        schedules: callbacks that set the model up for each epoch.

    Raises:
        ConfigError: the images do not fill a batch, or the loss stopped being finite.
    """
    checkpoint = EpochCheckpoint(model, [model.optimizer], folder / "checkpoints")
    done = checkpoint.restore()
    if done == epochs:
        return
    rows = read_metrics(folder / "metrics.csv")[:done]
    batches = training_batches(
        images.learnt_from,
        batch_size=config.batch_size,
        normalization=images.normalization,
        augment=data.augment,
        seed=seed,
        first_epoch=done,
        epochs=epochs,
    )
    watched = evaluation_batches(images.held_out, batch_size=config.batch_size, normalization=images.normalization)
    steps = len(images.learnt_from) // config.batch_size
    parameters = f"{total(count_parameters(model.network)).params_dense:,} parameters, {steps} steps an epoch."
    print(f"Resumes after epoch {done}: {parameters}" if done else f"Starts: {parameters}", flush=True)
    model.fit(
        batches,
        validation_data=watched if len(images.held_out) else None,
        steps_per_epoch=steps,
        initial_epoch=done,
        epochs=epochs,
        shuffle=False,  # The data set shuffles itself.
        verbose=0,
        callbacks=[
            *schedules,
            TrainRecorder(config, folder / "metrics.csv", rows, checkpoint.save),
            keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),
            Watch(TRAIN_TABLE, epochs, steps, lambda: rows[-1]),
        ],
    )
