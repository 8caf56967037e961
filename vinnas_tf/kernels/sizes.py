"""Sizes of tensors, in a graph that may know them or not."""

from typing import TypeAlias

import tensorflow as tf

Size: TypeAlias = "int | tf.Tensor"  # A size, or a scalar of the graph that holds it.


def sizes(x: tf.Tensor) -> list[Size]:
    """The sizes of `x`, as integers where they are known."""
    if x.shape.is_fully_defined():
        return x.shape.as_list()
    return [size or dynamic for size, dynamic in zip(x.shape, tf.unstack(tf.shape(x)), strict=True)]


def known(*of: Size) -> bool:
    """Whether all are integers."""
    return not any(map(tf.is_tensor, of))
