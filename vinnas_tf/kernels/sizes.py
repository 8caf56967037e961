"""Sizes of tensors, which a graph may know or not: one that does not is traced, and optimised, once for all sizes."""

from typing import Any, TypeAlias

import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue

Size: TypeAlias = "int | tf.Tensor"  # A size, or a scalar of the graph that holds it.


def sizes(x: tf.Tensor) -> list[Size]:
    """The sizes of `x`, as integers where they are known."""
    if x.shape.is_fully_defined():
        return x.shape.as_list()
    return [size or dynamic for size, dynamic in zip(x.shape, tf.unstack(tf.shape(x)), strict=True)]


def call_for_any_size(
    function: tf.types.experimental.PolymorphicFunction,
    *arguments: tuple[tf.Tensor | None, tuple[int, ...]],
    **kind: Any,
) -> Any:
    """Calls a graph function that is traced once for tensors of any size; the caller knows the shapes of the results.

    Args:
        function: of tensors, and of `kind` by name.
        arguments: its tensors, or None, each with the axes whose sizes it knows.
        kind: what it is traced for anew.
    """
    specifications = [
        x if x is None else tf.TensorSpec([n if i in axes else None for i, n in enumerate(x.shape)], x.dtype)
        for x, axes in arguments
    ]
    concrete = function.get_concrete_function(*specifications, **kind)
    # TensorFlow would look for the shapes of the results in all that the function holds, noise included, at each of
    # hundreds of calls, which takes long. No public name says that it need not.
    with tf.compat.v1.get_default_graph()._attr_scope({"_disable_call_shape_inference": AttrValue(b=True)}):
        return concrete(*(x for x, _ in arguments), **kind)


def known(*of: Size) -> bool:
    """Whether all are integers."""
    return not any(map(tf.is_tensor, of))
