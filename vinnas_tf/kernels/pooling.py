"""3x3 pooling with "same" padding and stride 1 or 2, images [batch, height, width, channels]."""

import tensorflow as tf


def max_pool(x: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """The largest of each 3x3 neighbourhood."""
    return tf.nn.max_pool2d(x, 3, stride, "SAME")


def avg_pool(x: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """The mean of each 3x3 neighbourhood, over the pixels that lie inside the image."""
    return tf.nn.avg_pool2d(x, 3, stride, "SAME")
