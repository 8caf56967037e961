"""Sizes of tensors, which a graph may know or not: one that does not is traced, and optimised, once for all sizes."""

from typing import Any, TypeAlias

import tensorflow as tf

from vinnas_tf.kernels.device import plain
from vinnas_tf.kernels.private import without_shape_inference

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
    if plain():
        return function(*(x for x, _ in arguments), **kind)
    specifications = [
        x if x is None else tf.TensorSpec([n if i in axes else None for i, n in enumerate(x.shape)], x.dtype)
        for x, axes in arguments
    ]
    concrete = function.get_concrete_function(*specifications, **kind)
    with without_shape_inference():
        return concrete(*(x for x, _ in arguments), **kind)


def known(*of: Size) -> bool:
    """Whether all are integers."""
    return not any(map(tf.is_tensor, of))
