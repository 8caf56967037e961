"""The plain depthwise layer against shifted products, whatever its stride and dilation."""

import itertools

import keras
import numpy as np
import pytest

from vinnas_tf.layers.convolution import VariationalDepthwiseConv2D
from vinnas_tf.network.depthwise import plain_depthwise


def shifted_products(x: np.ndarray, kernel: np.ndarray, stride: int, dilation: int) -> np.ndarray:
    """The definition: the pixel `dilation` times (i, j) from the window's corner, times kernel[i, j], summed."""
    outputs = [-(-size // stride) for size in x.shape[1:3]]
    extent = (len(kernel) - 1) * dilation + 1
    zeros = [max((n - 1) * stride + extent - size, 0) for n, size in zip(outputs, x.shape[1:3], strict=True)]
    padded = np.pad(x, [(0, 0), *((n // 2, n - n // 2 + stride) for n in zeros), (0, 0)])
    y = np.zeros(())
    for i, j in itertools.product(range(len(kernel)), repeat=2):
        seen = padded[:, i * dilation :: stride, j * dilation :: stride]
        y = y + seen[:, : outputs[0], : outputs[1]] * kernel[i, j, :, 0]
    return y


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 2), (3, 3)])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (10, 13)])
def test_it_is_the_layer_that_it_replaces(stride: int, dilation: int, size: tuple[int, int]) -> None:
    entry = keras.Input((*size, 4))
    x, arguments = plain_depthwise(entry, VariationalDepthwiseConv2D(3, strides=stride, dilation_rate=dilation))
    model = keras.Model(entry, keras.layers.DepthwiseConv2D(3, use_bias=False, **arguments)(x))
    generator = np.random.default_rng(0)
    images, kernel = (generator.normal(size=shape).astype("float32") for shape in ((2, *size, 4), (3, 3, 4, 1)))
    model.set_weights([kernel])
    expected = shifted_products(images, kernel, stride, dilation)
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-5)
