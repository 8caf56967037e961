"""The proximal step: its closed form, and where it comes to rest beside momentum."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.proximal import ProximalSGD, shrunk


def test_groups_shrink_along_themselves_and_at_most_to_0() -> None:
    values = np.array([[3.0, 0.3, 0.0], [-4.0, -0.4, 0.0]], np.float32)
    moved = shrunk(tf.constant(values), tf.constant([1.0, 0.6, 0.5])).numpy()
    np.testing.assert_allclose(moved, [[2.4, 0.0, 0.0], [-3.2, 0.0, 0.0]], rtol=1e-6)
    # The least of |x - w|^2 / 2 + amount |x|, looked for on a grid around the first group's.
    offsets = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, 101)] * 2), axis=-1)
    candidates = moved[:, 0] + offsets
    objective = 0.5 * ((candidates - values[:, 0]) ** 2).sum(-1) + np.linalg.norm(candidates, axis=-1)
    assert np.unravel_index(objective.argmin(), objective.shape) == (50, 50)


@pytest.mark.parametrize("penalty", [0.2, 1.5])
def test_it_rests_where_loss_and_penalty_together_are_least(penalty: float) -> None:
    """Of h |w - best|^2 / 2 + penalty |w| that is best * max(0, 1 - penalty / (h |best|))."""
    best, h = np.array([0.6, -0.8], np.float32), 1.3
    variable = keras.Variable(np.ones(2, np.float32))
    optimizer = ProximalSGD(
        0.02,
        proximal=lambda length: variable.assign(shrunk(variable.value[:, tf.newaxis], [length * penalty])[:, 0]),
    )
    optimizer.build([variable])
    step = tf.function(lambda: optimizer.apply([h * (variable.value - best)], [variable]), autograph=False)
    for _ in range(150):
        step()
    np.testing.assert_allclose(variable, best * max(0.0, 1 - penalty / h), atol=2e-4)
