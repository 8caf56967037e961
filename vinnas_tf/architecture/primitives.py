"""The candidate operations of a search space, as one ordered table of plain data.

A primitive is a chain of convolutions, once or several times, or a pool, or nothing. The mixed op of the supergraph and
the layers of a retrained network are both made from this description, so they cannot drift apart.
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
    """One convolution with "same" padding.

    Attributes:
        kernel_size: height and width.
        depthwise: whether channels are kept apart (multiplier 1).
        dilation: of both axes.
        factorized: of a 1x1 convolution of stride 2, whether the second half of its output channels reads the image
            moved by a pixel along both axes: the factorised reduction of DARTS (Liu et al. 2019). An even number of
            output channels; of an odd side, zeros are read beyond the border.
    """

    kernel_size: tuple[int, int]
    depthwise: bool = False
    dilation: int = 1
    factorized: bool = False

    def kernel_shape(self, channels: int) -> tuple[int, int, int, int]:
        """Shape of the kernel between equal numbers of input and output channels, in Keras's layout."""
        return (*self.kernel_size, channels, 1 if self.depthwise else channels)


# The convolutions that stand between two places of normalisation, each with its strides.
Block = tuple[tuple[Convolution, tuple[int, int]], ...]


@dataclass(frozen=True)
class Primitive:
    """A candidate operation: `convolutions` in a chain, or a 3x3 `pool` ("max" or "average"), or a `layer`, or nothing.

    Where batch normalisation and ReLU stand, in each repetition of the chain, is a matter of the search space.
    """

    convolutions: tuple[Convolution, ...] = ()
    pool: str = ""
    layer: LayerFactory | None = None
    repetitions: int = 1

    @property
    def parameter_free(self) -> bool:
        """Whether it has no weights at stride 1."""
        return not self.convolutions and self.layer is None

    def blocks(self, stride: int) -> tuple[Block, ...]:
        """The repetitions of the chain; together they shrink an image by `stride`.

        The first convolution of all takes the stride; a pair of one-dimensional ones takes it each along its own axis.
        """
        if not self.convolutions:
            return ()
        strides = [stride] + [1] * (self.repetitions - 1)
        return tuple(self._block(of_block) for of_block in strides)

    def _block(self, stride: int) -> Block:
        chain = []
        for position, convolution in enumerate(self.convolutions):
            height, width = convolution.kernel_size
            if height != width:
                chain.append((convolution, (stride, 1) if height > width else (1, stride)))
            else:
                chain.append((convolution, (stride, stride) if position == 0 else (1, 1)))
        return tuple(chain)


def _separable(size: int, dilation: int = 1, repetitions: int = 1) -> Primitive:
    chain = (Convolution((size, size), depthwise=True, dilation=dilation), Convolution((1, 1)))
    return Primitive(chain, repetitions=repetitions)


# Of all search spaces: the ten of VINNAS, section V-A, two more of NAS-Bench-201 and two more of DARTS.
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
    "double_sep_conv_3x3": _separable(3, repetitions=2),
    "double_sep_conv_5x5": _separable(5, repetitions=2),
}


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
