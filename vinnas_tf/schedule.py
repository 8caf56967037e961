"""How a learning rate changes from step to step."""

from collections.abc import Sequence

import tensorflow as tf
from keras.optimizers import schedules

from vinnas_tf.config import LINEAR, RESTARTS, STEPS


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
    shape: str, first: float, last: float, steps: int, *, warm_up_steps: int = 0, marks: Sequence[int] = ()
) -> schedules.LearningRateSchedule:
    """A learning rate that falls from `first` to `last`.

    Args:
        shape: one of config.SCHEDULES: along half a period of a cosine (Loshchilov and Hutter 2017, eq. (5), without
            restarts), along a straight line, to a tenth at each of some steps, or along cosines that start over, each
            twice as long as the one before (T_mult = 2 there).
        first: the largest rate.
        last: the rate after the last step, at most `first`; not read where the rate falls in steps.
        steps: of the whole training, the rise included.
        warm_up_steps: first steps, in which the rate rises linearly from 0 to `first`; fewer than `steps`.
        marks: where the rate falls in steps, the first step of each lower rate, counted with the rise; with restarts,
            one number, how many steps the first cosine takes after the rise.
    """
    falling = steps - warm_up_steps
    then: schedules.LearningRateSchedule
    if shape == STEPS:
        # A rate of Keras's holds until its boundary, that step included.
        boundaries = [mark - warm_up_steps - 1 for mark in marks]
        then = schedules.PiecewiseConstantDecay(boundaries, [first / 10**place for place in range(len(marks) + 1)])
    elif shape == RESTARTS:
        (period,) = marks
        then = schedules.CosineDecayRestarts(first, period, t_mul=2.0, m_mul=1.0, alpha=last / first)
    elif shape == LINEAR:
        then = schedules.PolynomialDecay(first, falling, last)
    else:
        then = schedules.CosineDecay(first, falling, alpha=last / first)
    return WarmUp(then, warm_up_steps) if warm_up_steps else then
