"""Gradients of a loss in variables: the plain one, and one that looks a weight step ahead."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from vinnas_tf import kernels

Objective = Callable[[], tf.Tensor]  # A loss at the variables' present values.
Direction = Callable[[list[tf.Tensor]], list[tf.Tensor]]  # What a step goes along, from the gradient.

_REACH = 0.01  # DARTS, section 2.3: epsilon = 0.01 / |gradient|


def gradients(objective: Objective, variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """The gradient of `objective` in each of `variables`; where devices share a step, that of the sum over them."""
    values = [variable.value for variable in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        loss = objective()
    return kernels.summed(tape.gradient(loss, values))


def hyper_gradient(
    training: Objective,
    validation: Objective,
    weights: Sequence[keras.Variable],
    alphas: Sequence[keras.Variable],
    rate: tf.Tensor | float,
    direction: Direction = list,
) -> list[tf.Tensor]:
    """The gradient in alpha of validation(w - rate * direction(grad_w training(w, alpha)), alpha).

    Liu et al. 2019 (DARTS), eqs. (7) and (8): the product of the mixed second derivative with a vector is a difference
    of two gradients, at weights moved a little along the vector. The weights are moved and put back.

    Args:
        training: the loss that the weight step goes down.
        validation: the loss that the weights are then judged by.
        weights: w.
        alphas: the architecture parameters.
        rate: length of the weight step.
        direction: what the step goes along: the gradient itself, or with something added that alpha does not move, as
            momentum and weight decay are.
    """
    start = [tf.identity(variable.value) for variable in weights]

    def move(along: Sequence[tf.Tensor], length: tf.Tensor | float) -> None:
        for variable, value, towards in zip(weights, start, along, strict=True):
            variable.assign(value + length * towards)

    move(direction(gradients(training, weights)), -rate)
    judged = gradients(validation, [*weights, *alphas])
    ahead, direct = judged[: len(weights)], judged[len(weights) :]
    length = _REACH / tf.maximum(tf.linalg.global_norm(ahead), 1e-12)
    move(ahead, length)
    above = gradients(training, alphas)
    move(ahead, -length)
    below = gradients(training, alphas)
    for variable, value in zip(weights, start, strict=True):
        variable.assign(value)
    return [d - rate * (a - b) / (2 * length) for d, a, b in zip(direct, above, below, strict=True)]
