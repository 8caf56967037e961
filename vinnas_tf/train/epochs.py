"""The epochs of a training and of fine-tuning: resumed where they stopped, recorded and watched."""

from collections.abc import Sequence
from pathlib import Path

import keras

from vinnas_tf.config import TrainConfig
from vinnas_tf.console import duration
from vinnas_tf.data.batches import training_batches
from vinnas_tf.devices import ONE, Devices
from vinnas_tf.network.pruning import count_parameters, total
from vinnas_tf.run.checkpoint import EpochCheckpoint, warn_of_lost_epochs
from vinnas_tf.run.files import write_metrics
from vinnas_tf.train.callbacks import HeldOutImages, Rows, TrainRecorder
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.model import TrainModel
from vinnas_tf.train.progress import LOGGED, Progress

# A guess, not fitted: evaluating an image relative to a training step's time of one.
_EVALUATION = 0.25


def evaluation_steps(count: int, config: TrainConfig) -> float:
    """Roughly how many steps of training take as long as an evaluation of `count` images."""
    return _EVALUATION * count / config.batch_size


def run_epochs(
    model: TrainModel,
    images: TrainingImages,
    augment: tuple[str, ...],
    config: TrainConfig,
    *,
    epochs: int,
    seed: int,
    folder: Path | None = None,
    steps_after: float = 0.0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: Progress = LOGGED,
    devices: Devices = ONE,
) -> Rows:
    """Trains, or goes on training, in place.

    Args:
        model: the compiled model.
        images: those to train on, and those to watch the accuracy on.
        augment: how images are augmented, any of config.AUGMENTATIONS.
        config: batch size and threshold.
        epochs: how many.
        seed: of the order of images and of their augmentation.
        folder: where metrics.csv, TensorBoard logs and checkpoints are written, and a training goes on from; None
            writes nothing.
        steps_after: what follows the epochs, in the time of a step; for the estimate.
        callbacks: more of them, such as the schedule; they find the figures of held-out images in their logs.
        progress: where the training's words go.
        devices: those that the model was made for.

    Returns:
        The figures of all epochs.

    Raises:
        DataError: the images do not fill a batch.
        DivergenceError: the loss stopped being finite.
    """
    rows: Rows = []
    save, logs, done = None, [], 0
    if folder is not None:
        checkpoint = EpochCheckpoint(model, [model.optimizer], folder / "checkpoints")
        restored = checkpoint.restore()
        warn_of_lost_epochs(folder / "metrics.csv", restored)
        done = restored.epochs
        rows += restored.rows
        logs.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))

        def save(finished: int) -> None:
            write_metrics(folder / "metrics.csv", rows)  # First: the checkpoint declares them done.
            checkpoint.save(finished, rows, {})

        if done:
            write_metrics(folder / "metrics.csv", rows)
    if done == epochs:
        return rows
    batches = training_batches(
        images.learnt_from,
        batch_size=config.batch_size,
        normalization=images.normalization,
        augment=augment,
        seed=seed,
        first_epoch=done,
        epochs=epochs,
    )
    # Of one seed for training and fine-tuning, and for the result, whose figures are to be comparable.
    held_out = [HeldOutImages(images, augment, config.seed)] if len(images.held_out) else []
    steps = len(images.learnt_from) // config.batch_size
    parameters = f"{total(count_parameters(model.network)).params_dense:,} parameters, {steps} steps an epoch."
    progress.tell(f"Resumes after epoch {done}: {parameters}" if done else f"Starts: {parameters}")

    def estimate(seconds: float) -> str:
        watching = evaluation_steps(2 * (len(images.held_out) + images.of_statistics), config) if held_out else 0.0
        after = seconds * steps_after
        whole = seconds * (epochs - done) * (steps + watching) + after
        rest = f", {duration(after)} of it after the last epoch" if after else ""
        return f"Rough estimate, from the first steps: {duration(whole)}{rest}."

    model.fit(
        devices.shared(batches),
        steps_per_epoch=steps,
        initial_epoch=done,
        epochs=epochs,
        shuffle=False,  # The data set shuffles itself.
        verbose=0,
        callbacks=[
            *held_out,
            TrainRecorder(config.log_noise_ratio_threshold, rows, save),
            *logs,
            *callbacks,
            progress.watch(epochs, steps, lambda: rows[-1], estimate),
        ],
    )
    return rows
