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


def shrunk(values: tf.Tensor, amount: tf.Tensor, members: int | Sequence[int] = 0) -> tf.Tensor:
    """The proximal point of amount * |w| for groups of values: w * max(0, 1 - amount / |w|).

    Args:
        values: w, such as [members, ...].
        amount: of each group, of the shape of `values` without the axes of members, or with 1 for their lengths.
        members: the axes of `values` that run over the members of a group.
    """
    length = tf.norm(values, axis=members, keepdims=True)
    return values * tf.maximum(1.0 - tf.math.divide_no_nan(amount, length), 0.0)
