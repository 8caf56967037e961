"""The epochs of a training and of fine-tuning: resumed where they stopped, recorded and watched."""

from collections.abc import Sequence
from pathlib import Path

import keras

from vinnas_tf.config import DataConfig, TrainConfig
from vinnas_tf.console import TRAIN_TABLE, Watch, duration
from vinnas_tf.data.batches import training_batches
from vinnas_tf.network.pruning import count_parameters, total
from vinnas_tf.run.checkpoint import EpochCheckpoint
from vinnas_tf.run.files import read_metrics
from vinnas_tf.train.callbacks import HeldOutImages, TrainRecorder
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.model import TrainModel

# A guess, not fitted: evaluating an image relative to a training step's time of one.
_EVALUATION = 0.25


def evaluation_steps(count: int, config: TrainConfig) -> float:
    """Roughly how many steps of training take as long as an evaluation of `count` images."""
    return _EVALUATION * count / config.batch_size


def run_epochs(
    model: TrainModel,
    images: TrainingImages,
    data: DataConfig,
    config: TrainConfig,
    folder: Path,
    *,
    epochs: int,
    seed: int,
    steps_after: float = 0.0,
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
        steps_after: what follows the epochs, in the time of a step; for the estimate.
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
    # Of one seed for training and fine-tuning, and for the result, whose figures are to be comparable.
    held_out = [HeldOutImages(images, data.augment, config.seed)] if len(images.held_out) else []
    steps = len(images.learnt_from) // config.batch_size
    parameters = f"{total(count_parameters(model.network)).params_dense:,} parameters, {steps} steps an epoch."
    print(f"Resumes after epoch {done}: {parameters}" if done else f"Starts: {parameters}", flush=True)

    def estimate(seconds: float) -> str:
        watching = evaluation_steps(2 * (len(images.held_out) + images.of_statistics), config) if held_out else 0.0
        after = seconds * steps_after
        whole = seconds * (epochs - done) * (steps + watching) + after
        rest = f", {duration(after)} of it after the last epoch" if after else ""
        return f"Rough estimate, from the first steps: {duration(whole)}{rest}."

    model.fit(
        batches,
        steps_per_epoch=steps,
        initial_epoch=done,
        epochs=epochs,
        shuffle=False,  # The data set shuffles itself.
        verbose=0,
        callbacks=[
            *schedules,
            *held_out,
            TrainRecorder(config, folder / "metrics.csv", rows, checkpoint.save),
            keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),
            Watch(TRAIN_TABLE, epochs, steps, lambda: rows[-1], ahead=estimate),
        ],
    )
