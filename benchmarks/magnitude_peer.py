"""A network's twin in legacy Keras, which TensorFlow Model Optimization can prune by magnitude, and its training."""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf

from vinnas_tf.errors import SettingError
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.network.depthwise import plain_depthwise

_UPDATE_STEPS = 100  # Between two moves of the mask, at most: the library's own default.


def legacy_keras() -> tuple[ModuleType, ModuleType]:
    """(tf_keras, tensorflow_model_optimization); importing the latter must not turn this process to legacy Keras."""
    before = os.environ.get("TF_USE_LEGACY_KERAS")
    try:
        import tensorflow_model_optimization as tfmot
        import tf_keras
    except ImportError as error:
        raise SettingError(f"{error.name} is not installed: pip install '.[benchmark]'.") from error
    finally:
        if before is None:
            os.environ.pop("TF_USE_LEGACY_KERAS", None)
        else:
            os.environ["TF_USE_LEGACY_KERAS"] = before
    return tf_keras, tfmot


def twin(
    network: keras.Model, tf_keras: ModuleType, tfmot: ModuleType, schedule: Callable[[keras.layers.Layer], Any]
) -> Any:
    """The same network, with the same weights, in legacy Keras; layers keep their names.

    Every kernel is wrapped for pruning by what `schedule` gives for its layer.
    """

    class Depthwise(tf_keras.layers.DepthwiseConv2D, tfmot.sparsity.keras.PrunableLayer):  # type: ignore[name-defined]
        """The library leaves depthwise kernels alone unless a layer names them."""

        def get_prunable_weights(self) -> list:
            return [self.depthwise_kernel]

    def pruned(plain: Any) -> Any:
        by = schedule(network.get_layer(plain.name))
        return tfmot.sparsity.keras.prune_low_magnitude(plain, pruning_schedule=by)

    def apply(layer: keras.layers.Layer, inputs: list) -> Any:
        layers = tf_keras.layers
        config = {"name": layer.name}
        if isinstance(layer, VariationalConv2D):
            shape = {"strides": layer.strides, "padding": "same", "use_bias": False}
            return pruned(layers.Conv2D(layer.filters, layer.kernel_size, **shape, **config))(*inputs)
        if isinstance(layer, keras.layers.Conv2D):
            shape = {"strides": layer.strides, "padding": layer.padding, "use_bias": layer.use_bias}
            return pruned(layers.Conv2D(layer.filters, layer.kernel_size, **shape, **config))(*inputs)
        if isinstance(layer, (VariationalDense, keras.layers.Dense)):
            return pruned(layers.Dense(layer.units, **config))(*inputs)
        if isinstance(layer, VariationalDepthwiseConv2D):
            x, shape = plain_depthwise(inputs[0], layer, layers)
            return pruned(Depthwise(layer.kernel_size, use_bias=False, **shape, **config))(x)
        if isinstance(layer, keras.layers.BatchNormalization):
            return layers.BatchNormalization(**config)(*inputs)
        plain = getattr(layers, type(layer).__name__)
        kept = ("pool_size", "strides", "padding")
        arguments = {name: value for name, value in layer.get_config().items() if name in kept}
        return plain(**arguments, **config)(inputs if len(inputs) > 1 else inputs[0])

    tensors: dict[int, Any] = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.InputLayer):
            tensors[id(layer.output)] = tf_keras.Input(layer.output.shape[1:])
            images = tensors[id(layer.output)]
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        tensors[id(layer.output)] = apply(layer, [tensors[id(tensor)] for tensor in inputs])
    peer = tf_keras.Model(images, tensors[id(network.output)])
    for layer in peer.layers:
        inner = getattr(layer, "layer", layer)
        if inner.weights:
            inner.set_weights([variable.numpy() for variable in network.get_layer(inner.name).weights])
    return peer


def give_back(source: Any, network: keras.Model) -> None:
    """Copies the twin's weights, its pruning wrappers stripped, into the network that it was made from."""
    for layer in network.layers:
        variables = layer.weights
        if variables:
            values = source.get_layer(layer.name).get_weights()
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value.reshape(variable.shape))


def pruning_steps(start: int, end: int) -> tuple[int, int]:
    """(last step, steps between two moves of the mask) of a schedule that ends at its last sparsity.

    The library moves a mask every `frequency`-th step after the first and at no other: unless it does at the last one,
    less is pruned than it was told.

    Args:
        start: step from which zeros are made.
        end: step by which all are made.
    """
    frequency = max(1, min(_UPDATE_STEPS, (end - start) // 10))
    return end - (end - start) % frequency, frequency


def train_peer(
    peer: Any,
    libraries: tuple[ModuleType, ModuleType],
    batches: Callable[[int], tf.data.Dataset],
    steps: int,
    epochs: int,
    folder: Path,
) -> Any:
    """Trains a compiled twin, or goes on doing so; returns it without its pruning wrappers.

    Args:
        peer: what `twin` made.
        libraries: as `legacy_keras` gives them.
        batches: of all epochs from a first one on, counted from 0.
        steps: of an epoch.
        epochs: in all.
        folder: of the checkpoint, which is written after each epoch.
    """
    tf_keras, tfmot = libraries
    peer.optimizer.build(peer.trainable_variables)
    done = tf.Variable(0)
    checkpoint = tf.train.Checkpoint(model=peer, optimizer=peer.optimizer, epochs=done)
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1)
    checkpoint.restore(manager.latest_checkpoint)

    def save(epoch: int, _: Any) -> None:
        done.assign(epoch + 1)
        manager.save()

    peer.fit(
        batches(int(done)),
        steps_per_epoch=steps,
        initial_epoch=int(done),
        epochs=epochs,
        verbose=2,
        callbacks=[
            tfmot.sparsity.keras.UpdatePruningStep(),
            tf_keras.callbacks.LambdaCallback(on_epoch_end=save),
        ],
    )
    return tfmot.sparsity.keras.strip_pruning(peer)
