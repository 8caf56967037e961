"""Which layers a channel can be followed through, in one table: stripping, masks and backbones read it.

A layer outside of the table, or one with arguments that change what its kind means, is opaque: stripping keeps it
whole, and a backbone may not have it.
"""

from typing import Any

import keras
import numpy as np

from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.layers.select import Select

# Each channel of the output is made from all channels of the input, by a kernel: what masks drop slices of.
CONVOLUTIONS = (keras.layers.Conv2D, VariationalConv2D)
LINEAR = (keras.layers.Dense, VariationalDense)
MIXING = (*CONVOLUTIONS, *LINEAR)
DEPTHWISE = (keras.layers.DepthwiseConv2D, VariationalDepthwiseConv2D)
# The identity at evaluation.
IDENTITIES = (DropPath, keras.layers.Dropout, keras.layers.SpatialDropout2D)
# Each channel on its own, the same for x + c as for x but for an added c: pools leave out what lies beyond the border.
TRANSPARENT = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Cropping2D,
    *IDENTITIES,
)
# Each channel of the output is made from one channel of the input.
ONE_TO_ONE = (
    *DEPTHWISE,
    keras.layers.ReLU,
    keras.layers.BatchNormalization,
    keras.layers.ZeroPadding2D,
    *TRANSPARENT,
)
# Channels stay channels, pixel by pixel: [n, h, w, c] to [n, h * w * c], in which c runs fastest.
FLATTENING = (keras.layers.Flatten,)
KNOWN = (
    keras.layers.InputLayer,
    keras.layers.Add,
    keras.layers.Concatenate,
    Select,
    *MIXING,
    *ONE_TO_ONE,
    *FLATTENING,
)

# Arguments with which a layer is no longer of its kind, unless they have one of these values.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "data_format": (None, "channels_last"),
    "activation": (None, "linear"),
    "groups": (1,),
    "depth_multiplier": (1,),
    "axis": (-1, 3),
    "negative_slope": (0,),
    "threshold": (0,),
    "renorm": (False,),
    "lora_rank": (None,),
    "quantization_config": (None,),
}


def why_opaque(layer: keras.layers.Layer) -> str:
    """Why channels can't be followed through a layer, such as "groups=2"; empty where they can."""
    if not isinstance(layer, KNOWN):
        return f"it is a {type(layer).__name__}"
    config = layer.get_config()
    odd = [f"{name}={config[name]}" for name, plain in _PLAIN.items() if name in config and config[name] not in plain]
    return ", ".join(odd)


def kernel_variable(layer: keras.layers.Layer) -> keras.Variable:
    """The kernel of a convolution or linear layer, or its mean."""
    return layer.mean if hasattr(layer, "mean") else layer.kernel


def kernel_of(layer: keras.layers.Layer) -> np.ndarray:
    """The kernel, float64: [height, width, input channels, output channels], of a depthwise layer [.., channels, 1]."""
    kernel = np.asarray(kernel_variable(layer), np.float64)
    return kernel[None, None] if isinstance(layer, LINEAR) else kernel


def input_tensors(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    """What a layer that is called once in a Functional model is called on; none for the model's own input."""
    if isinstance(layer, keras.layers.InputLayer):
        return []
    return layer.input if isinstance(layer.input, list) else [layer.input]
