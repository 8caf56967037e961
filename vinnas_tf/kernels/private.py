"""What the package takes from TensorFlow and Keras that is no part of their public interfaces; nothing else does.

A new version may move any of it. Each function has a test in `tests/kernels/test_private.py` that then fails, and says
what relies on the function and what to use instead.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import keras
import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue


def without_shape_inference() -> AbstractContextManager[None]:
    """In its context, calls of functions in the graph at hand get results of unknown shapes.

    TensorFlow would look for the shapes in all that the function holds, noise included, at each of hundreds of calls,
    which takes long. No public name says that it need not.
    """
    attributes = {"_disable_call_shape_inference": AttrValue(b=True)}
    return tf.compat.v1.get_default_graph()._attr_scope(attributes)


def called_not_inlined(function: Callable) -> tf.types.experimental.PolymorphicFunction:
    """A decorator: the graph function of `function`, optimised once and not anew at each of its calls.

    The argument is public, the name of the attribute is not.
    """
    return tf.function(function, autograph=False, experimental_attributes={"_noinline": True})


def layers_within(layer: keras.Layer) -> list[keras.Layer]:
    """All layers that `layer` holds, and that those hold, in an order that depends on nothing but how it is written.

    Of Keras's classes only a model tells what it holds, and that one level deep.
    """
    return layer._flatten_layers(include_self=False)


def place_among(optimizer: keras.Optimizer, variable: tf.Variable) -> int:
    """The place of `variable` among those that `optimizer` was built for."""
    return optimizer._get_variable_index(variable)


def moves_alone(optimizer: keras.Optimizer) -> None:
    """Has an optimizer update each replica's variables by the gradients that this replica gives it, as they are.

    Keras would sum them over the replicas, behind the clipping of their norm: it clipped parts of a gradient, then.
    """

    def update(gradients: list[tf.Tensor], variables: list[keras.Variable], rate: tf.Tensor) -> None:
        for gradient, variable in zip(gradients, variables, strict=True):
            optimizer.update_step(gradient, variable.value, rate)

    optimizer._backend_update_step = update


class BuiltModel(keras.Model):
    """A model that is built before it is fitted.

    Several devices given, Keras would take a batch first and build the model by the mean of its parts, which parts of
    unequal sizes do not have.
    """

    def _maybe_symbolic_build(self, *_: object, **__: object) -> None:
        pass


def adam_state(optimizer: keras.optimizers.Adam, variable: tf.Variable) -> tuple[keras.Variable, keras.Variable]:
    """The first and the second moment of `variable`."""
    index = place_among(optimizer, variable)
    return optimizer._momentums[index], optimizer._velocities[index]


def with_constants(function: tf.types.experimental.ConcreteFunction) -> tf.types.experimental.ConcreteFunction:
    """The same function with the values of variables and captured tensors as constants of its graph."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(function)


def is_take(operation: keras.Operation) -> bool:
    """Whether an operation of a Functional model is `keras.ops.take`."""
    from keras.src.ops.numpy import Take

    return isinstance(operation, Take)
