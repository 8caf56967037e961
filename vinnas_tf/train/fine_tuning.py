"""Fine-tuning: what pruning, or a choice of channels, has left is trained on."""

from pathlib import Path

import keras

from vinnas_tf.config import TrainConfig
from vinnas_tf.devices import Devices
from vinnas_tf.train.callbacks import Rows
from vinnas_tf.train.epochs import run_epochs
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.model import TrainModel
from vinnas_tf.train.progress import Progress

_RATE = 0.1  # Of training's first learning rate; it falls along a cosine too.


def fine_tune(
    network: keras.Model,
    images: TrainingImages,
    augment: tuple[str, ...],
    config: TrainConfig,
    folder: Path | None,
    progress: Progress,
    devices: Devices,
) -> Rows:
    """Trains a network on by Adam, without noise, in place; resumes where it was interrupted.

    Weights of kernels that are zero stay zero.

    Args:
        network: of deterministic weights, from normalised images to logits.
        images: those to train on, and those to watch the accuracy on.
        augment: how the former are augmented, any of config.AUGMENTATIONS.
        config: how the network was trained, and `fine_tuning_epochs`.
        folder: where its state is kept; None keeps nothing.
        progress: where words go.
        devices: what it computes on.

    Returns:
        The figures of all epochs.

    Raises:
        DataError: the images do not fill a batch.
        DivergenceError: the loss stopped being finite.
    """
    epochs = config.fine_tuning_epochs
    progress.tell("Fine-tunes what is left, without noise.")
    with devices.placed(network) as tuned:
        with devices.scope():
            model = TrainModel(
                tuned,
                examples=len(images.learnt_from),
                label_smoothing=config.label_smoothing,
                class_weights=images.class_weights(config, network.output.shape[-1]),
                keep_zeros=True,
            )
            steps = len(images.learnt_from) // config.batch_size
            rate = keras.optimizers.schedules.CosineDecay(_RATE * config.learning_rate, epochs * steps)
            model.compile(keras.optimizers.Adam(rate), jit_compile=devices.compiles_steps)
        return run_epochs(
            model,
            images,
            augment,
            config,
            epochs=epochs,
            seed=config.seed + config.epochs,  # Other orders and crops than in training.
            folder=folder,
            progress=progress,
            devices=devices,
        )
