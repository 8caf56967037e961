"""LeNets: the networks on which compression is usually compared (LeCun et al. 1998, with ReLU)."""

import keras
import numpy as np

from vinnas_tf.errors import require

_LEAST_SIDE = 16  # Of which convolutions and pools leave one pixel.


def lenet_300_100(image_shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    """Linear layers to 300 and 100 units, each with a ReLU, and to the logits.

    For images of 28 x 28 x 1 and ten classes it has 266,610 parameters.

    Args:
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        seed: of the initial weights.
    """
    parts = _Parts(seed)
    images = keras.Input(image_shape, name="images")
    x = keras.layers.Flatten(name="flat")(images)
    for units in (300, 100):
        x = parts.linear(x, units, f"linear_{units}")
    return keras.Model(images, parts.logits(x, classes), name="backbone")


def lenet_5(image_shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    """Convolutions 5x5 to 20 and 50 channels, each with a ReLU and a max pool; linear layers to 500 and to the logits.

    These are the sizes of Caffe's example, which compression is compared on; there, no ReLU follows the convolutions.
    Nothing is padded. For images of 28 x 28 x 1 and ten classes it has 431,080 parameters.

    Args:
        image_shape: [height, width, channels] of the images, of at least 16 pixels a side.
        classes: number of classes.
        seed: of the initial weights.

    Raises:
        SettingError: the images are too small.
    """
    side = min(image_shape[:2])
    require(
        side >= _LEAST_SIDE,
        f"lenet_5 needs images of at least {_LEAST_SIDE} pixels a side, got {side}: use image_size=28.",
    )
    parts = _Parts(seed)
    images = x = keras.Input(image_shape, name="images")
    for place, channels in enumerate((20, 50)):
        x = parts.convolution(x, channels, f"conv_{place}")
        x = keras.layers.MaxPooling2D(name=f"pool_{place}")(x)
    x = parts.linear(keras.layers.Flatten(name="flat")(x), 500, "linear_500")
    return keras.Model(images, parts.logits(x, classes), name="backbone")


class _Parts:
    """Makes layers with biases; kernels before a ReLU have variance 2 / inputs (He et al. 2015, eq. (10)).

    Args:
        seed: of the initial weights.
    """

    def __init__(self, seed: int) -> None:
        self.seeds = np.random.default_rng(seed)

    def convolution(self, x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
        """A convolution 5x5 without padding, and a ReLU."""
        x = keras.layers.Conv2D(channels, 5, kernel_initializer=keras.initializers.HeNormal(self._seed()), name=name)(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def linear(self, x: keras.KerasTensor, units: int, name: str) -> keras.KerasTensor:
        """A linear layer and a ReLU."""
        x = keras.layers.Dense(units, kernel_initializer=keras.initializers.HeNormal(self._seed()), name=name)(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def logits(self, x: keras.KerasTensor, classes: int) -> keras.KerasTensor:
        """A linear layer."""
        initializer = keras.initializers.GlorotUniform(self._seed())
        return keras.layers.Dense(classes, kernel_initializer=initializer, name="classifier")(x)

    def _seed(self) -> int:
        return int(self.seeds.integers(2**31))
