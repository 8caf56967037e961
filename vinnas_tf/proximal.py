"""Gradient descent under a penalty that has no gradient where it matters: a proximal step after each other one."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from vinnas_tf.optimizer import PosteriorSGD


class ProximalSGD(PosteriorSGD):
    """Stochastic gradient descent with momentum, and after each step a proximal one.

    A gradient moves a variable by rate / (1 - momentum) times itself in the end, since the moment holds on to it. So
    the proximal step is that long: only then do the two come to rest where loss and penalty together are least. (As
    long as one rate, the penalty would count a tenth, at a momentum of 0.9.)

    Args:
        learning_rate: rate of the gradient's step.
        proximal: called after each step with the length of the proximal one; it assigns the variables.
        **kwargs: of `PosteriorSGD`.
    """

    def __init__(self, learning_rate: object, *, proximal: Callable[[tf.Tensor], None], **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self._proximal = proximal

    def apply(self, grads: list[tf.Tensor], trainable_variables: list[keras.Variable] | None = None) -> None:
        """One step of both kinds."""
        super().apply(grads, trainable_variables)
        self._proximal(tf.convert_to_tensor(self.learning_rate) / (1.0 - self.momentum))


def lengths(values: tf.Tensor, members: Sequence[int]) -> tf.Tensor:
    """|w| of each group, of the shape of `values` with 1 for the lengths of the axes of members."""
    return tf.sqrt(tf.reduce_sum(values * values, axis=tf.constant(members, tf.int32), keepdims=True))


def shrunk(values: tf.Tensor, amount: tf.Tensor, members: Sequence[int] = (0,)) -> tf.Tensor:
    """The proximal point of amount * |w| for groups of values: w * max(0, 1 - amount / |w|).

    Args:
        values: w, such as [members, ...].
        amount: of each group, of the shape of `values` with 1 for the lengths of the axes of members, or none at all
            where these stand in front.
        members: the axes of `values` that run over the members of a group; none where each value is a group.
    """
    return values * tf.maximum(1.0 - tf.math.divide_no_nan(amount, lengths(values, members)), 0.0)
