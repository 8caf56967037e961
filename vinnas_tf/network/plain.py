"""A network of the library's layers as the same one of Keras's own, an operation a layer."""

import keras

from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.network.depthwise import plain_depthwise
from vinnas_tf.network.layer_kinds import input_tensors
from vinnas_tf.optimizer import LOGARITHMS

_WITH_ACTIVATION = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)


def plain_network(network: keras.Model) -> keras.Model:
    """The same network with the same weights in new layers of the same names, whose kernels are Keras's own layers.

    Gaussian weights become their means. ReLU that is an argument or an `Activation` becomes a layer `ReLU`. Batch
    normalisation stays of its class.

    Args:
        network: a Functional model whose layers are called once each; images to logits.
    """
    tensors: dict[int, keras.KerasTensor] = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.InputLayer):
            tensors[id(layer.output)] = keras.Input(layer.output.shape[1:], name=layer.name)
            continue
        inputs = [tensors[id(tensor)] for tensor in input_tensors(layer)]
        tensors[id(layer.output)] = _plain(layer, inputs if len(inputs) > 1 else inputs[0])
    return keras.Model(tensors[id(network.inputs[0])], tensors[id(network.outputs[0])], name=network.name)


def _plain(layer: keras.layers.Layer, x: keras.KerasTensor | list[keras.KerasTensor]) -> keras.KerasTensor:
    config, relu = layer.get_config(), ""
    if isinstance(layer, VariationalConv2D):
        shape = {name: config[name] for name in ("filters", "kernel_size", "strides", "use_bias")}
        made = keras.layers.Conv2D(**shape, padding="same", name=layer.name)
    elif isinstance(layer, VariationalDepthwiseConv2D):
        x, arguments = plain_depthwise(x, layer)
        made = keras.layers.DepthwiseConv2D(layer.kernel_size, **arguments, use_bias=layer.use_bias, name=layer.name)
    elif isinstance(layer, VariationalDense):
        made = keras.layers.Dense(layer.units, use_bias=layer.use_bias, name=layer.name)
    elif isinstance(layer, keras.layers.Activation) and config["activation"] == "relu":
        made = keras.layers.ReLU(name=layer.name)
    else:
        if isinstance(layer, _WITH_ACTIVATION) and config["activation"] == "relu":
            config["activation"], relu = "linear", f"{layer.name}_relu"
        made = type(layer).from_config(config)
    y = made(x)
    made.set_weights([variable for variable in layer.weights if variable.name not in LOGARITHMS])
    return keras.layers.ReLU(name=relu)(y) if relu else y
