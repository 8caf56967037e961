"""The candidate operations of a search space, as one ordered table of plain data.

A primitive is a chain of convolutions, or a pool, or nothing. The mixed op of the supergraph and the layers of a
retrained network are both made from this description, so they cannot drift apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vinnas_tf.errors import require

# Makes a Keras layer from channels, stride and `name=`: images [n, h, w, channels] to [n, ceil(h / stride), ceil(w /
# stride), channels].
LayerFactory = Callable[..., Any]


@dataclass(frozen=True)
class Convolution:
    """One convolution with "same" padding; depthwise ones keep their channels apart (multiplier 1)."""

    kernel_size: tuple[int, int]
    depthwise: bool = False
    dilation: int = 1

    def kernel_shape(self, channels: int) -> tuple[int, int, int, int]:
        """Shape of the kernel between equal numbers of input and output channels, in Keras's layout."""
        return (*self.kernel_size, channels, 1 if self.depthwise else channels)


@dataclass(frozen=True)
class Primitive:
    """A candidate operation: `convolutions` in a chain, or a 3x3 `pool` ("max" or "average"), or a `layer`, or nothing.

    Where batch normalisation and ReLU stand is a matter of the search space.
    """

    convolutions: tuple[Convolution, ...] = ()
    pool: str = ""
    layer: LayerFactory | None = None

    @property
    def parameter_free(self) -> bool:
        """Whether it has no weights at stride 1."""
        return not self.convolutions and self.layer is None


def _separable(size: int, dilation: int = 1) -> Primitive:
    return Primitive((Convolution((size, size), depthwise=True, dilation=dilation), Convolution((1, 1))))


# Of all search spaces: the ten of VINNAS, section V-A, and two more of NAS-Bench-201.
PRIMITIVES: dict[str, Primitive] = {
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _separable(3, dilation=2),
    "dil_conv_5x5": _separable(5, dilation=2),
    "conv_7x1_1x7": Primitive((Convolution((7, 1)), Convolution((1, 7)))),
    "max_pool_3x3": Primitive(pool="max"),
    "avg_pool_3x3": Primitive(pool="average"),
    "skip": Primitive(),
    "zero": Primitive(),
    "conv_1x1": Primitive((Convolution((1, 1)),)),
    "conv_3x3": Primitive((Convolution((3, 3)),)),
}


# A skip cannot change the size of an image: at stride 2 it is a strided 1x1 convolution (VINNAS, as in DARTS).
STRIDED_SKIP = Convolution((1, 1))


def convolutions(name: str, stride: int) -> tuple[tuple[Convolution, tuple[int, int]], ...]:
    """The chain of convolutions of the primitive `name`, each with its strides, that shrinks an image by `stride`.

    The first convolution takes the stride; a pair of one-dimensional ones takes it each along its own axis.
    """
    if name == "skip" and stride > 1:
        return ((STRIDED_SKIP, (stride, stride)),)
    chain = []
    for position, convolution in enumerate(PRIMITIVES[name].convolutions):
        height, width = convolution.kernel_size
        if height != width:
            chain.append((convolution, (stride, 1) if height > width else (1, stride)))
        else:
            chain.append((convolution, (stride, stride) if position == 0 else (1, 1)))
    return tuple(chain)


def learns(name: str, stride: int) -> bool:
    """Whether the primitive `name` has weights at this stride; a registered layer is taken to have some."""
    return bool(convolutions(name, stride)) or PRIMITIVES[name].layer is not None


def register_primitive(name: str, layer: LayerFactory) -> None:
    """Makes a candidate operation known to search spaces: a Keras layer of one's own.

    Its weights are deterministic, in search and training. Pruning leaves them alone, and stripping, which cannot see
    through the layer, keeps it as it is, with all its channels. A class of one's own must be registered for
    serialization, or the trained network can't be loaded.

    Args:
        name: of the primitive.
        layer: called with channels, stride and `name=`; returns a layer from images [n, h, w, channels] to images [n,
            ceil(h / stride), ceil(w / stride), channels].

    Raises:
        SettingError: the name is taken.

    Example:
        >>> import keras
        >>> def gelu(channels, stride, name=None):
        ...     return keras.layers.Conv2D(channels, 1, stride, activation="gelu", name=name)
        >>> register_primitive("gelu_1x1", gelu)
        >>> PRIMITIVES.pop("gelu_1x1").parameter_free
        False
    """
    require(name not in PRIMITIVES, f"the primitive {name} is registered already: choose another name.")
    PRIMITIVES[name] = Primitive(layer=layer)
