"""A plain depthwise layer in the place of a variational one, whose stride and dilation may both be above 1."""

from types import ModuleType
from typing import Any

import keras

from vinnas_tf.kernels.convolution import same_padding
from vinnas_tf.layers.convolution import VariationalDepthwiseConv2D


def plain_depthwise(
    x: Any, layer: keras.layers.DepthwiseConv2D | VariationalDepthwiseConv2D, layers: ModuleType = keras.layers
) -> tuple[Any, dict[str, Any]]:
    """The input and the arguments with which a `DepthwiseConv2D` does what `layer` does to `x`.

    Keras's layer takes no stride beside a dilation. A convolution of equal stride and dilation sees every so many-th
    pixel of the padded image, so those are cut out before it.

    Args:
        x: the layer's input [n, h, w, c], a Keras tensor.
        layer: whose strides and dilation are taken over.
        layers: the module that the layers come from, `keras.layers` or that of Keras 2.
    """
    stride, dilation = layer.strides[0], layer.dilation_rate[0]
    if stride == 1 or dilation == 1:
        padding = getattr(layer, "padding", "same")  # Our own layer has no other.
        return x, {"strides": stride, "dilation_rate": dilation, "padding": padding}
    sides = tuple(
        tuple(same_padding(size, kernel_size, stride, dilation))
        for size, kernel_size in zip(x.shape[1:3], layer.kernel_size, strict=True)
    )
    x = layers.ZeroPadding2D(sides, name=f"{layer.name}_padding")(x)
    x = layers.MaxPooling2D(1, strides=stride, name=f"{layer.name}_subsampling")(x)
    return x, {"strides": 1, "dilation_rate": 1, "padding": "valid"}
