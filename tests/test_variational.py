"""The variational mathematics against numerical integration and hand-worked values."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special

from vinnas_tf import variational


def exact_kl(log_lambda: float) -> float:
    """KL(N(1, lambda) || log-uniform) by integration, up to the constant that makes it vanish at lambda = inf.

    E log|w| for w ~ N(1, s^2), integrated; -entropy of q + E log|w|, minus its limit for s -> inf.
    """
    s = np.exp(0.5 * log_lambda)

    # The integrand log|1 + s e| phi(e) has an integrable singularity at e = -1/s.
    def integrand(e: float) -> float:
        return np.log(abs(1 + s * e)) * np.exp(-0.5 * e * e) / np.sqrt(2 * np.pi)

    pole = -1 / s
    points = sorted(p for p in (pole, 0.0) if -12 < p < 12)
    pieces = [-12.0, *points, 12.0]
    mean_log = sum(integrate.quad(integrand, a, b, limit=400)[0] for a, b in zip(pieces, pieces[1:], strict=False))
    # lambda -> inf: E log|s e| = log s + E log|e|, and E log|e| = -(gamma + log 2) / 2.
    limit = -0.5 * (np.euler_gamma + np.log(2))
    return mean_log - np.log(s) - limit


@pytest.mark.parametrize("log_lambda", np.linspace(-10, 10, 21))
def test_kl_equals_the_integral(log_lambda: float) -> None:
    mean = 0.3
    log_variance = log_lambda + np.log(mean**2)
    value = variational.kl_divergence(tf.constant(mean), tf.constant(log_variance, tf.float32))
    assert abs(float(value) - exact_kl(log_lambda)) < 0.0095


def test_kl_equals_the_printed_form() -> None:
    log_lambda = np.linspace(-12, 12, 97)
    k1, k2, k3 = 0.63576, 1.8732, 1.48695
    printed = k1 * special.expit(k2 + k3 * log_lambda) - 0.5 * np.log1p(np.exp(-log_lambda)) - k1
    ours = variational.kl_divergence(tf.ones(97), tf.constant(log_lambda, tf.float32))
    np.testing.assert_allclose(ours, -printed, rtol=1e-5, atol=1e-6)


def test_kl_is_positive_and_falls_with_noise() -> None:
    value = variational.kl_divergence(tf.ones(200), tf.linspace(-15.0, 15.0, 200)).numpy()
    assert (value >= 0).all()
    assert (np.diff(value) <= 1e-6).all()
    assert value[-1] < 1e-5


def test_kl_gradient_is_finite_at_zero_mean_and_right_elsewhere() -> None:
    mean = tf.constant([0.0, 1e-4, -0.2, 3.0])
    log_variance = tf.constant([-10.0, -10.0, -2.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch([mean, log_variance])
        total = tf.reduce_sum(variational.kl_divergence(mean, log_variance))
    by_mean, by_log_variance = (g.numpy() for g in tape.gradient(total, [mean, log_variance]))
    assert by_mean[0] == 0.0
    assert np.isfinite(by_log_variance).all()

    def kl(m: np.ndarray, v: np.ndarray) -> np.ndarray:  # float64, for finite differences
        r = m**2 * np.exp(-v)
        return 0.5 * np.log1p(r) + 0.63576 * (1 - 1 / (1 + np.exp(-1.8732) * r**1.48695))

    m, v, h = mean.numpy().astype(float), log_variance.numpy().astype(float), 1e-6
    np.testing.assert_allclose(by_mean[1:], ((kl(m + h, v) - kl(m - h, v)) / (2 * h))[1:], rtol=1e-3)
    np.testing.assert_allclose(by_log_variance, (kl(m, v + h) - kl(m, v - h)) / (2 * h), rtol=1e-3, atol=1e-6)


def test_the_kl_of_all_weights_is_the_sum_of_those_of_each() -> None:
    generator = np.random.default_rng(0)
    shapes = [(7,), (3, 3, 2, 4), (2, 5)]
    posteriors = [tuple(tf.constant(generator.normal(size=shape), tf.float32) for _ in range(2)) for shape in shapes]
    parts = [variational.kl_divergence(mean, log_variance).numpy().sum() for mean, log_variance in posteriors]
    np.testing.assert_allclose(variational.weight_kl(posteriors), sum(parts), rtol=1e-6)
    assert float(variational.weight_kl([])) == 0


def test_log_noise_ratio() -> None:
    ratio = variational.log_noise_ratio(tf.constant([0.5, -2.0, 0.0]), tf.constant([-3.0, 1.0, -10.0])).numpy()
    np.testing.assert_allclose(ratio[:2], [-3 - np.log(0.25), 1 - np.log(4)], rtol=1e-6)
    assert ratio[2] == np.inf  # a mean of exactly 0 is always pruned


def test_zero_is_clipped_to_the_mean_of_the_others() -> None:
    alpha = np.array([[1.0, 3.0, 5.0, 2.0], [1.0, 3.0, -9.0, 2.0]], np.float32)
    clipped = variational.clip_zero(tf.constant(alpha), 2).numpy()
    np.testing.assert_allclose(clipped, [[1, 3, 2, 2], [1, 3, -9, 2]])


def test_entropy_of_known_distributions() -> None:
    p = tf.constant([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0]])
    np.testing.assert_allclose(variational.entropy(p), [np.log(4), 0, np.log(2)], atol=1e-7)
