"""Masks of channels: their moments and gradients against integrals, and what they are functions of."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special

from vinnas_tf.layers.channel_mask import bernoulli_mask, concrete_mask

SEED = tf.constant([3, 4])
IMAGES = 200_000
# Drop probability, temperature; mean and variance of what is dropped, gradient of the mean in the logit.
MOMENTS = [
    (0.01, 0.2, 0.010665, 0.008444, 0.010534),
    (0.1, 0.2, 0.104708, 0.075239, 0.092525),
    (0.5, 0.2, 0.5, 0.201515, 0.242427),
    (0.1, 2 / 3, 0.145286, 0.054914, 0.103895),
]


def moments(p: float, temperature: float) -> tuple[float, float, float]:
    """By integration over the uniform number, in its logit, whose density is that of the logistic distribution."""

    def expected(of) -> float:
        def integrand(x: float) -> float:
            dropped = special.expit((special.logit(p) + x) / temperature)
            return of(dropped) * special.expit(x) * special.expit(-x)

        return integrate.quad(integrand, -40, 40, limit=400, points=[-special.logit(p)])[0]

    mean = expected(lambda dropped: dropped)
    return mean, expected(np.square) - mean**2, expected(lambda dropped: dropped * (1 - dropped) / temperature)


@pytest.mark.parametrize(("p", "temperature", "mean", "variance", "slope"), MOMENTS)
def test_moments_and_gradient_are_the_integrals(p, temperature, mean, variance, slope) -> None:
    np.testing.assert_allclose(moments(p, temperature), (mean, variance, slope), rtol=1e-4)
    logit = tf.constant([special.logit(p)], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logit)
        dropped = 1 - concrete_mask(logit, SEED, IMAGES, temperature)
        average = tf.reduce_mean(dropped)
    drawn = dropped.numpy()[:, 0]
    assert abs(drawn.mean() - mean) < 5 * np.sqrt(variance / IMAGES)
    assert abs(drawn.var() - variance) < 5 * np.std((drawn - mean) ** 2) / np.sqrt(IMAGES)
    of_each = drawn * (1 - drawn) / temperature
    assert abs(float(tape.gradient(average, logit)[0]) - slope) < 5 * of_each.std() / np.sqrt(IMAGES)


def test_more_than_half_is_dropped_with_probability_p_whatever_the_temperature() -> None:
    p = np.array([0.02, 0.3, 0.9])
    logit = tf.constant(special.logit(p), tf.float32)
    hard = bernoulli_mask(logit, SEED, IMAGES).numpy()
    assert set(np.unique(hard)) == {0.0, 1.0}
    assert (abs(1 - hard.mean(axis=0) - p) < 5 * np.sqrt(p * (1 - p) / IMAGES)).all()
    for temperature in (0.05, 0.2, 2 / 3, 3.0):
        relaxed = concrete_mask(logit, SEED, IMAGES, temperature).numpy()
        np.testing.assert_array_equal(relaxed > 0.5, hard == 1)


def test_a_mask_is_a_function_of_the_seed_and_differs_by_image_and_channel() -> None:
    logit = tf.zeros(5)
    first = concrete_mask(logit, SEED, 4, 0.2).numpy()
    np.testing.assert_array_equal(first, concrete_mask(logit, SEED, tf.constant(4), 0.2))
    assert not np.array_equal(first, concrete_mask(logit, tf.constant([3, 5]), 4, 0.2))
    assert len(np.unique(first)) == first.size


def test_certain_channels_have_finite_gradients() -> None:
    logit = tf.constant([-40.0, 40.0])
    with tf.GradientTape() as tape:
        tape.watch(logit)
        total = tf.reduce_sum(concrete_mask(logit, SEED, 100, 0.2))
    np.testing.assert_allclose(concrete_mask(logit, SEED, 100, 0.2).numpy().mean(axis=0), [1, 0], atol=1e-6)
    assert np.isfinite(tape.gradient(total, logit)).all()
