"""The factorised reduction of DARTS (Liu et al. 2019): two strided 1x1 convolutions that together read half the pixels.

Nothing here has a gradient that asks for the shape of what a convolution returned, which would have it computed again.
"""

import tensorflow as tf

from vinnas_tf.kernels.convolution import pointwise_conv, subsample
from vinnas_tf.kernels.sizes import Size, known, sizes


def factorized_phases(x: tf.Tensor) -> tf.Tensor:
    """What it reads of `x` [n, h, w, c]: [2, n, ceil(h / 2), ceil(w / 2), c].

    First every second row and column from the first pixel on, then those from the second pixel of either axis on. Of an
    odd side, the latter end in zeros.
    """
    height, width = sizes(x)[1:3]
    missing = [[0, 0], [0, height % 2], [0, width % 2], [0, 0]]
    even = known(height, width) and not (height % 2 or width % 2)
    moved = x if even else tf.pad(x, missing)
    return tf.stack([subsample(x, 2), subsample(moved, 2, (1, 1))])


def factorized_conv(x: tf.Tensor, kernel: tf.Tensor, groups: Size = 1) -> tf.Tensor:
    """Convolves the phases `x` with a kernel [1, 1, c, c']; returns [n, h', w', c'].

    In each of the `groups` of equal size that the output channels fall into, the first half reads the first phase and
    the second half the second.
    """
    outputs = sizes(kernel)[-1]
    place = tf.range(outputs) % (outputs // groups)
    first = tf.cast(place < outputs // groups // 2, kernel.dtype)
    near, moved = tf.unstack(x)
    return tf.add_n([pointwise_conv(near, kernel * first), pointwise_conv(moved, kernel * (1 - first))])
