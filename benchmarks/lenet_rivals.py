"""What compression by evidence is held against on LeNets: pruning by magnitude, and our own variational pruning.

Both have as many epochs on the same images as training and compression together.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from benchmarks.magnitude_peer import give_back, legacy_keras, pruning_steps, train_peer, twin
from vinnas_tf.config import CompressConfig, TrainConfig
from vinnas_tf.data.batches import training_batches
from vinnas_tf.data.images import Dataset
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense
from vinnas_tf.network.layer_kinds import input_tensors
from vinnas_tf.network.stripping import strip
from vinnas_tf.optimizer import MOMENTUM
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.stage import train_network

# Settings of the variational training; all are this project's choice. A log-variance has ten units to go.
_LEARNING_RATE, _LOG_VARIANCE_RATE, _GAMMA = 1e-3, 10.0, 1.0


def prune_by_magnitude(
    start: keras.Model, kept: Mapping[str, int], images: TrainingImages, config: CompressConfig, folder: Path
) -> keras.Model:
    """Prunes a copy of a trained network by magnitude, and strips it.

    In each layer the share of zeros rises over the epochs of compression until so many weights are left, and the epochs
    of fine-tuning follow. The optimizer is compression's, its rate falls along one cosine.

    Args:
        start: the trained network, of normalised images.
        kept: how many weights are left of each layer, by its name.
        images: those to learn from, and the normalisation.
        config: epochs, batches, rate and seed.
        folder: of the checkpoint.
    """
    tf_keras, tfmot = libraries = legacy_keras()
    keras.utils.set_random_seed(config.seed)
    steps = len(images.learnt_from) // config.batch_size
    epochs, classes = config.epochs + config.fine_tuning_epochs, start.output.shape[-1]
    end, frequency = pruning_steps(0, config.epochs * steps)

    def schedule(layer: keras.layers.Layer) -> Any:
        dense = layer.kernel.shape.num_elements()
        # Of a layer of which nothing is left the library keeps one weight.
        return tfmot.sparsity.keras.PolynomialDecay(
            0.0, 1 - max(kept[layer.name], 1) / dense, 0, end, frequency=frequency
        )

    def batches(first_epoch: int) -> tf.data.Dataset:
        return training_batches(
            images.learnt_from,
            batch_size=config.batch_size,
            normalization=images.normalization,
            augment=(),
            seed=config.seed,
            first_epoch=first_epoch,
            epochs=epochs,
        ).map(lambda x, y: (x, tf.one_hot(y, classes)))

    peer = twin(start, tf_keras, tfmot, schedule)
    rate = tf_keras.optimizers.schedules.CosineDecay(config.learning_rate, epochs * steps)
    peer.compile(
        tf_keras.optimizers.SGD(rate, momentum=MOMENTUM), tf_keras.losses.CategoricalCrossentropy(from_logits=True)
    )
    network = keras.models.clone_model(start)
    give_back(train_peer(peer, libraries, batches, steps, epochs, folder), network)
    return strip(network, images.normalization.layer())


def prune_by_noise(
    plain: keras.Model, images: TrainingImages, dataset: Dataset, config: CompressConfig, folder: Path
) -> keras.Model:
    """Trains a network with Gaussian weights, prunes those of log lambda >= 3, fine-tunes and strips it.

    Args:
        plain: the network whose shape is taken.
        images: those to learn from and to choose by, and the normalisation.
        dataset: what they are of.
        config: epochs, batches and seed.
        folder: where the state is kept.
    """
    epochs = config.dense_epochs + config.epochs
    training = TrainConfig(
        epochs=epochs,
        fine_tuning_epochs=config.fine_tuning_epochs,
        batch_size=config.batch_size,
        learning_rate=_LEARNING_RATE,
        log_variance_rate=_LOG_VARIANCE_RATE,
        gamma_weights=_GAMMA,
        gamma_start_epoch=0,
        gamma_end_epoch=epochs // 2,
        label_smoothing=0.0,
        seed=config.seed,
    )
    network = with_gaussian_weights(plain, config.seed)
    return train_network(network, images, dataset, (), training, folder).network


def with_gaussian_weights(network: keras.Model, seed: int) -> keras.Model:
    """The same layers with Gaussian weights, initialised anew; they keep their names.

    Our convolutions pad their images. What a convolution without padding does not make is cropped off.

    Args:
        network: a chain of Keras's own layers; convolutions have odd kernels, stride 1 and no padding.
        seed: of the initial weights and of the noise.
    """
    tensors: dict[int, keras.KerasTensor] = {}
    for place, layer in enumerate(network.layers):
        if isinstance(layer, keras.layers.InputLayer):
            images = tensors[id(layer.output)] = keras.Input(layer.output.shape[1:], name=layer.name)
            continue
        (read,) = input_tensors(layer)
        x, own = tensors[id(read)], {"name": layer.name, "seed": 1000 * seed + place}
        if isinstance(layer, keras.layers.Conv2D):
            height, width = layer.kernel_size
            x = VariationalConv2D(layer.filters, layer.kernel_size, use_bias=True, **own)(x)
            x = keras.layers.Cropping2D((height // 2, width // 2), name=f"{layer.name}_cropped")(x)
        elif isinstance(layer, keras.layers.Dense):
            x = VariationalDense(layer.units, use_bias=True, **own)(x)
        else:
            x = type(layer).from_config(layer.get_config())(x)
        tensors[id(layer.output)] = x
    return keras.Model(images, x, name=network.name)
