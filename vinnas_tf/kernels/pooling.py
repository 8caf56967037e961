"""3x3 pooling with "same" padding, images [batch, height, width, channels]."""

from collections.abc import Callable

import tensorflow as tf

from vinnas_tf.kernels.convolution import same_padding, subsample
from vinnas_tf.kernels.device import compiles_kernels, cpu_forms
from vinnas_tf.kernels.sizes import sizes

_ONE_PIXEL = [[0, 0], [1, 1], [1, 1], [0, 0]]


def max_pool(x: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """The largest of each 3x3 neighbourhood."""
    if not cpu_forms():
        return tf.nn.max_pool2d(x, 3, stride, "SAME")
    # The middle of the first window is its second pixel, less the zeros before the image.
    row, column = (1 - same_padding(size, 3, stride)[0] for size in sizes(x)[1:3])
    return subsample(_max_pool(x), stride, (row, column))


def avg_pool(x: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """The mean of each 3x3 neighbourhood, over the pixels that lie inside the image."""
    return tf.nn.avg_pool2d(x, 3, stride, "SAME")


@tf.custom_gradient
def _max_pool(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """TensorFlow's pool with a gradient that is gathered by every pixel, where TensorFlow's own scatters one by one."""
    y = tf.nn.max_pool2d(x, 3, 1, "SAME")
    gradient = _max_pool_gradient if compiles_kernels() else _max_pool_gradient.python_function
    return y, lambda upstream: gradient(x, y, upstream)


@tf.function(jit_compile=True, autograph=False, reduce_retracing=True)
def _max_pool_gradient(x: tf.Tensor, y: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    def window(padded: tf.Tensor, row: int, column: int) -> tf.Tensor:
        return padded[:, row : row - 2 or None, column : column - 2 or None]

    offsets = [(row, column) for row in range(3) for column in range(3)]
    # Which pixel of its neighbourhood an output is: of equal ones the first, as in TensorFlow.
    padded = tf.pad(x, _ONE_PIXEL, constant_values=x.dtype.min)
    chosen = tf.fill(tf.shape(y), 8)
    for index, offset in reversed(list(enumerate(offsets[:-1]))):
        chosen = tf.where(window(padded, *offset) == y, index, chosen)
    chosen, upstream = tf.pad(chosen, _ONE_PIXEL, constant_values=-1), tf.pad(upstream, _ONE_PIXEL)
    gradient = tf.zeros_like(x)
    for index, (row, column) in enumerate(offsets):
        seen_by = 2 - row, 2 - column
        gradient += tf.where(window(chosen, *seen_by) == index, window(upstream, *seen_by), 0)
    return gradient
