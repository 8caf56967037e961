"""A network of one's own, saved by Keras, as a backbone."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vinnas_tf.errors import FileError, require
from vinnas_tf.kernels.private import is_take
from vinnas_tf.layers.select import Select
from vinnas_tf.network.layer_kinds import MIXING, why_opaque
from vinnas_tf.network.plain import plain_network

_log = logging.getLogger(__name__)
_KNOWN = (
    "Conv2D, DepthwiseConv2D, Dense, BatchNormalization, ReLU, max and average pools, global ones, Flatten, Add, "
    "Concatenate, Dropout, ZeroPadding2D and Cropping2D"
)


def from_keras(image_shape: tuple[int, ...], classes: int, seed: int, *, file: Path) -> keras.Model:
    """A Functional or Sequential model from a `.keras` file, with the weights that it was saved with.

    It takes normalised images and returns logits. Activations "relu" of layers become layers of their own. The file is
    read in Keras's safe mode: it can bring data, but no code.

    Args:
        image_shape: [height, width, channels] of the images that it has to fit.
        classes: number of classes that it has to fit.
        seed: not read, as nothing is drawn.
        file: the `.keras` file.

    Raises:
        FileError: the file is missing or can't be loaded, or the model is not one whose channels can be masked.
    """
    network = as_plain(load(file, "a backbone"), image_shape, classes, f"{file} can't be a backbone")
    _log.info("The backbone starts with the weights of %s.", file)
    return network


def as_plain(model: keras.Model, image_shape: tuple[int, ...], classes: int, refusal: str) -> keras.Model:
    """A loaded model as a network whose channels can be followed, as `plain_network` makes it, from images to logits.

    Args:
        model: a Functional or Sequential model.
        image_shape: [height, width, channels] of the images that it has to fit.
        classes: number of classes that it has to fit.
        refusal: what an error starts with, such as "FILE can't be a backbone".

    Raises:
        FileError: the model is not one whose channels can be masked.
    """
    model = called_once(model, refusal)

    def check(right: bool, problem: str) -> None:
        require(right, f"{refusal}: {problem}.", FileError)

    check(
        model.inputs[0].shape[1:] == tuple(image_shape),
        f"it takes {_shape(model.inputs[0])}, the data set has images of {tuple(image_shape)}; sizes must be fixed",
    )
    check(
        model.outputs[0].shape[1:] == (classes,),
        f"it returns {_shape(model.outputs[0])}, the data set has {classes} classes",
    )
    network = plain_network(model)
    opaque = [(layer.name, why) for layer in network.layers if (why := why_opaque(layer))]
    named = "; ".join(f"the layer {name} can't be masked, as {why}" for name, why in opaque)
    check(not opaque, f"{named}; what can be masked is {_KNOWN}")
    check(any(isinstance(layer, MIXING) for layer in network.layers), "it has no Conv2D and no Dense")
    return network


def called_once(model: keras.Model, refusal: str) -> keras.Model:
    """A loaded model as a Functional one in new layers, each called once, with the same weights.

    Layers of a Sequential model know calls besides, such as the one that built them. Channels that `keras.ops.take`
    picks are picked by a layer.

    Args:
        model: a Functional or Sequential model.
        refusal: what an error starts with, such as "FILE can't be a backbone".

    Raises:
        FileError: it is no such model, or not of layers that are called once and compute in float32, to logits.
    """

    def check(right: bool, problem: str) -> None:
        require(right, f"{refusal}: {problem}.", FileError)

    check(
        bool(getattr(model, "inputs", None)),  # Some classes raise where there are none.
        "it is no Functional model, and no Sequential one whose first layer is an Input",
    )
    counts = (len(model.inputs), len(model.outputs))
    check(counts == (1, 1), f"it has {counts[0]} inputs and {counts[1]} outputs, where one of each is needed")
    model = keras.Model(model.inputs, model.outputs, name="backbone")
    for problem in _problems(model):
        check(False, problem)

    def call(operation: keras.Operation, *arguments: Any, **named: Any) -> Any:
        if is_take(operation):
            tensor, channels = arguments
            if np.ndim(channels) == 1 and operation.axis in (-1, len(tensor.shape) - 1):
                return Select(channels, name=operation.name)(tensor)
        return operation(*arguments, **named)

    copy = keras.models.clone_model(model, call_function=call)
    copy.set_weights(model.get_weights())
    return copy


def load(file: Path, purpose: str) -> keras.Model:
    """A model from a `.keras` file, in Keras's safe mode: it can bring data, but no code.

    Raises:
        FileError: the file is missing or can't be loaded; `purpose` says what it would have been, such as "a backbone".
    """
    require(file.is_file(), f"can't read {file}: there is no such file.", FileError)
    # Older formats have no safe mode.
    require(file.suffix == ".keras", f"{file} can't be {purpose}: save the model as a .keras file.", FileError)
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its layers raise.
        cause = str(error).rpartition("Exception encountered: ")[2] or type(error).__name__
        problem = "can't be loaded in Keras's safe mode, in which there are no layers of one's own and no code"
        first = re.split(r"[.:]?\s*\n|\. ", cause)[0]
        raise FileError(f"{file} {problem}: {first}.") from error


def _problems(model: keras.Model) -> Iterator[str]:
    """What is wrong with the graph, the worst first."""
    config = model.get_config()
    calls = {described["name"]: len(described["inbound_nodes"]) for described in config["layers"]}
    last = np.ravel(config["output_layers"])[0]
    for layer in model.operations:
        if is_take(layer):  # As in a stripped network.
            continue
        if not isinstance(layer, keras.layers.Layer):
            yield f"it computes {layer.name} by a function of Keras: use a layer, such as Add or Concatenate"
        if isinstance(layer, keras.Model):
            yield f"the layer {layer.name} is a model in the model: build it of layers alone"
        if calls[layer.name] > 1:
            yield f"the layer {layer.name} is called more than once: give each place a layer of its own"
        if layer.dtype_policy.name != "float32":
            yield f"the layer {layer.name} computes in {layer.dtype_policy.name}, where float32 is needed"
        softmax = isinstance(layer, keras.layers.Softmax) or layer.get_config().get("activation") == "softmax"
        if softmax and layer.name == last:
            yield f"its last layer {layer.name} is a softmax, where logits are needed: leave it out"


def _shape(tensor: keras.KerasTensor) -> str:
    return str(tuple(tensor.shape[1:]))
