"""How a learning rate changes from step to step."""

import tensorflow as tf
from keras.optimizers import schedules

from vinnas_tf.config import LINEAR


class WarmUp(schedules.LearningRateSchedule):
    """A rate that rises linearly from 0 to that which another schedule starts with, and then follows it.

    Args:
        then: the other schedule, whose first step comes after the last of the rise.
        steps: of the rise, at least 1.
    """

    def __init__(self, then: schedules.LearningRateSchedule, steps: int) -> None:
        self.then = then
        self.steps = steps

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """The rate of a step, counted from 0."""
        step = tf.cast(step, tf.float32)
        return tf.minimum(step / self.steps, 1.0) * self.then(tf.maximum(step - self.steps, 0.0))


def falling_rate(
    shape: str, first: float, last: float, steps: int, *, warm_up_steps: int = 0
) -> schedules.LearningRateSchedule:
    """A learning rate that falls from `first` to `last`.

    Args:
        shape: one of config.SCHEDULES: along half a period of a cosine (Loshchilov and Hutter 2017, eq. (5), without
            restarts), or along a straight line.
        first: the largest rate.
        last: the rate after the last step, at most `first`.
        steps: of the whole training, the rise included.
        warm_up_steps: first steps, in which the rate rises linearly from 0 to `first`; fewer than `steps`.
    """
    falling = steps - warm_up_steps
    then = (
        schedules.PolynomialDecay(first, falling, last)
        if shape == LINEAR
        else schedules.CosineDecay(first, falling, alpha=last / first)
    )
    return WarmUp(then, warm_up_steps) if warm_up_steps else then
