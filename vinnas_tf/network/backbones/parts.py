"""The parts that backbones are made of, as calls on Keras tensors: Keras's own layers, named by their place."""

import contextlib
import re
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from vinnas_tf.errors import SettingError, require
from vinnas_tf.layers.batch_normalization import BatchNormalization
from vinnas_tf.network.parts import moved_by_a_pixel

# Of the published programs, in Keras's terms.
_MOMENTUM, _EPSILON = 0.9, 1e-5
_POOLS = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}


class Parts:
    """Makes the parts of one backbone, with "same" padding throughout.

    Kernels of convolutions start normal with variance 2 / inputs (He et al. 2015, eq. (10)), as ReLU asks.

    Args:
        image_shape: [height, width, channels] of the images.
        seed: of the initial weights, drawn part by part.
    """

    def __init__(self, image_shape: tuple[int, ...], seed: int) -> None:
        self.seeds = np.random.default_rng(seed)
        self.images = keras.Input(image_shape, name="images")

    def convolution(
        self, x: keras.KerasTensor, channels: int, size: int, name: str, *, stride: int = 1, dilation: int = 1
    ) -> keras.KerasTensor:
        """A square convolution without bias."""
        _require_pixels(x, stride)
        return keras.layers.Conv2D(
            channels,
            size,
            strides=stride,
            dilation_rate=dilation,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.HeNormal(self._seed()),
            name=name,
        )(x)

    def depthwise(self, x: keras.KerasTensor, size: int, name: str, *, stride: int = 1) -> keras.KerasTensor:
        """A square depthwise convolution without bias, of multiplier 1."""
        _require_pixels(x, stride)
        # An output has size^2 inputs; Keras's HeNormal would take all channels for its inputs.
        scale = keras.initializers.RandomNormal(stddev=(2 / size**2) ** 0.5, seed=self._seed())
        return keras.layers.DepthwiseConv2D(
            size, strides=stride, padding="same", use_bias=False, depthwise_initializer=scale, name=name
        )(x)

    def normalized(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """Batch normalisation."""
        return BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=f"{name}_bn")(x)

    def activated(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        """ReLU."""
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def normalized_convolution(
        self, x: keras.KerasTensor, channels: int, size: int, name: str, *, stride: int = 1, dilation: int = 1
    ) -> keras.KerasTensor:
        """A convolution and batch normalisation."""
        x = self.convolution(x, channels, size, f"{name}_conv", stride=stride, dilation=dilation)
        return self.normalized(x, name)

    def pooled(self, x: keras.KerasTensor, kind: str, size: int, name: str, *, stride: int) -> keras.KerasTensor:
        """A "max" or "average" pool."""
        _require_pixels(x, stride)
        return _POOLS[kind](size, strides=stride, padding="same", name=f"{name}_pool")(x)

    def halves(self, x: keras.KerasTensor, channels: int, name: str, *, stride: int) -> keras.KerasTensor:
        """Two normalised 1x1 convolutions to half of `channels`, joined; one reads the image moved by a pixel.

        Each half is normalised before they are joined, which is the same as behind it and lets stripping fold it.
        """
        _require_pixels(x, stride)
        sides = (x, moved_by_a_pixel(x, stride, name))
        parts = [
            self.normalized_convolution(side, channels // 2, 1, f"{name}_{place}", stride=stride)
            for place, side in enumerate(sides)
        ]
        return keras.layers.Concatenate(name=f"{name}_halves")(parts)

    def network(self, x: keras.KerasTensor, classes: int) -> keras.Model:
        """The network whose last images are `x`: they are averaged, and a linear layer makes logits of them."""
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        initializer = keras.initializers.GlorotUniform(self._seed())
        logits = keras.layers.Dense(classes, kernel_initializer=initializer, name="classifier")(x)
        return keras.Model(self.images, logits, name="backbone")

    def _seed(self) -> int:
        return int(self.seeds.integers(2**31))


def require_multiple(width: int, multiple: int, backbone: str) -> None:
    """Raises SettingError unless a width can be shared out."""
    require(
        width % multiple == 0,
        f"backbone_width must be a multiple of {multiple} for backbone={backbone}, got {width}.",
    )


@contextlib.contextmanager
def naming_backbone_settings() -> Iterator[None]:
    """Around checks that the training has too: settings get the names that they have for backbones in errors."""
    try:
        yield
    except SettingError as error:
        raise SettingError(re.sub(r"\b(cells|stem)\b(?==| must)", r"backbone_\1", str(error))) from error


def stages(blocks: Sequence[int]) -> list[tuple[int, int, int]]:
    """(stage, block, stride) of the blocks of stages, each of which halves its images but the first."""
    return [
        (stage, block, 2 if stage and not block else 1) for stage, count in enumerate(blocks) for block in range(count)
    ]


def _require_pixels(x: keras.KerasTensor, stride: int) -> None:
    require(
        stride == 1 or min(x.shape[1:3]) > 1,
        "the backbone halves its images until a single pixel is left: use larger images with image_size, or fewer "
        "stages or reductions.",
    )
