"""Sizes of tensors, which a graph may know or not: one that does not is traced, and optimised, once for all sizes."""

from typing import TypeAlias

import tensorflow as tf

Size: TypeAlias = "int | tf.Tensor"  # A size, or a scalar of the graph that holds it.


def sizes(x: tf.Tensor) -> list[Size]:
    """The sizes of `x`, as integers where they are known."""
    if x.shape.is_fully_defined():
        return x.shape.as_list()
    return [size or dynamic for size, dynamic in zip(x.shape, tf.unstack(tf.shape(x)), strict=True)]


def any_size(x: tf.Tensor | None, *axes: int) -> tf.TensorSpec | None:
    """What a function of tensors of any size knows of `x`: dtype, rank and the sizes of `axes`; None for None."""
    return x if x is None else tf.TensorSpec([n if i in axes else None for i, n in enumerate(x.shape)], x.dtype)


def known(*of: Size) -> bool:
    """Whether all are integers."""
    return not any(map(tf.is_tensor, of))
