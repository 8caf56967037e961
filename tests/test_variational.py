"""The variational mathematics against numerical integration and hand-worked values."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, optimize, special, stats

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


# Integrated over the best prior variance, for w = 0.7 and -0.3: c, delta, log(1 + c / delta) / 2, KL, dKL / dlog delta.
SEMI_IMPLICIT = [
    (1.0, 0.01, 2.307560, 2.284713, -0.512769),
    (1.0, 0.1, 1.198948, 1.089952, -0.512310),
    (1.0, 1.0, 0.346574, 0.173287, -0.211643),
    (0.5, 2.0, 0.111572, 0.037191, -0.058127),
    (0.95**50, 0.1, 0.285334, 0.259395, -0.221242),
    (0.95**150, 0.1, 0.002273, 0.002066, -0.002249),
]


@pytest.mark.parametrize(("c", "delta", "gaussian", "mixture", "slope"), SEMI_IMPLICIT)
def test_the_semi_implicit_divergence_has_the_integrated_values(c, delta, gaussian, mixture, slope) -> None:
    log_rate = tf.constant(np.log(delta), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(log_rate)
        value = variational.semi_implicit_kl(log_rate, c)
    assert float(variational.ard_kl(log_rate, c)) == pytest.approx(gaussian, abs=2e-6)
    assert float(value) == pytest.approx(mixture, abs=2e-6)
    assert float(tape.gradient(value, log_rate)) == pytest.approx(slope, abs=2e-6)


@pytest.mark.parametrize(("c", "delta", "w"), [(1.0, 0.5, 0.7), (0.5, 2.0, -0.3)])
def test_the_semi_implicit_divergence_is_that_of_the_mixtures(c, delta, w) -> None:
    # Posterior: 0, or N(w, delta w^2) with probability 1 / (1 + delta); prior: the same 0, else N(lambda w, 1 / eta) of
    # the best eta. Samples of the posterior; the log-ratio of the densities beside their equal atoms.
    generator = np.random.default_rng(0)
    keep, shrunk = 1 / (1 + delta), (1 - np.sqrt(c)) * w
    kept = generator.random(2_000_000) < keep
    values = w * (1 + np.sqrt(delta) * generator.normal(size=kept.sum()))
    posterior = stats.norm(w, np.sqrt(delta) * abs(w))

    def divergence(variance: float) -> float:
        ratio = posterior.logpdf(values) - stats.norm.logpdf(values, shrunk, np.sqrt(variance))
        return ratio.sum() / len(kept)

    best = optimize.minimize_scalar(lambda log_variance: divergence(np.exp(log_variance)), (-3.0, 1.0))
    expected = variational.semi_implicit_kl(tf.constant(np.log(delta), tf.float32), c)
    assert best.fun == pytest.approx(float(expected), abs=2e-3)


@pytest.mark.parametrize("log_rate", [-30.0, -10.0, 0.0, 10.0, 30.0])
def test_semi_implicit_values_stay_finite_at_any_rate(log_rate: float) -> None:
    rate = tf.fill([8], log_rate)
    with tf.GradientTape() as tape:
        tape.watch(rate)
        noise = variational.semi_implicit_noise(rate, tf.constant([1, 2]), straight_through=True)
        total = tf.reduce_sum(noise) + tf.reduce_sum(variational.semi_implicit_kl(rate, 1.0))
    assert np.isfinite(total)
    assert np.isfinite(tape.gradient(total, rate)).all()


@pytest.mark.parametrize("delta", [0.25, 4.0])
def test_semi_implicit_noise_has_its_moments_and_its_atom(delta: float) -> None:
    log_rate = tf.fill([400_000], float(np.log(delta)))
    noise = variational.semi_implicit_noise(log_rate, tf.constant([3, 4]), straight_through=False).numpy()
    assert noise.mean() == pytest.approx(1 / (1 + delta), abs=0.01)
    assert noise.var() == pytest.approx(delta * (2 + delta) / (1 + delta) ** 2, rel=0.02)
    assert (noise != 0).mean() == pytest.approx(1 / (1 + delta), abs=0.004)
    kept = noise[noise != 0]
    assert stats.kstest(kept, stats.norm(1, np.sqrt(delta)).cdf).pvalue > 1e-3
    expected = variational.keep_probability(tf.constant(np.log(delta), tf.float32))
    assert float(expected) == pytest.approx(1 / (1 + delta), rel=1e-6)


def test_the_straight_through_gradient_is_exact_for_linear_losses_and_known_for_others() -> None:
    # By enumeration the mean of f(Phi) is p f(1) + (1 - p) f(0): 3 p for both losses, whose slope in p is 3.
    log_rate = tf.fill([300_000], 0.4)
    p = float(special.expit(-0.4))
    of_p = -p * (1 - p)  # dp / d log delta
    slopes = {}
    for through in (True, False):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(log_rate)
            gate = variational.bernoulli_gate(log_rate, tf.constant([5, 6]), straight_through=through)
            losses = {"linear": 3.0 * gate, "curved": 2.0 * gate**2 + gate}
        assert set(np.round(gate.numpy(), 5)) == {0.0, 1.0}
        for name, loss in losses.items():
            slope = tape.gradient(loss, log_rate)
            slopes[name, through] = None if slope is None else float(tf.reduce_mean(slope))
    assert slopes["linear", True] == pytest.approx(3 * of_p, rel=1e-5)
    assert slopes["curved", True] == pytest.approx((1 + 4 * p) * of_p, rel=0.01)  # Where 3 would be right.
    assert slopes["linear", False] is None
    assert slopes["curved", False] is None


# Precision, p, squared norm, channels, N; the divergence over N, and its gradient in the logit of p.
DIVERGENCES = [
    (50, 0.1, 100, 64, 5e5, 0.004458389, -4.7531e-4),
    (150, 0.5, 10, 128, 5e5, 0.000572554, -3.7500e-4),
    (100, 0.01, 40, 256, 1.28e6, 0.001535675, -2.4567e-5),
    (50, 0.9, 1, 64, 5e5, -0.000036611, 2.0812e-5),
]


@pytest.mark.parametrize(("precision", "p", "norm", "channels", "examples", "value", "slope"), DIVERGENCES)
def test_the_divergence_of_masked_kernels_has_the_tabled_values(
    precision, p, norm, channels, examples, value, slope
) -> None:
    logit = tf.constant(special.logit(p), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logit)
        divergence = variational.spike_and_slab_divergence(logit, norm, channels, precision) / examples
    np.testing.assert_allclose(divergence, value, rtol=2e-5)
    np.testing.assert_allclose(tape.gradient(divergence, logit), slope, rtol=1e-4)
    expected = p * (1 - p) * (-precision / 2 * norm + channels * special.logit(p)) / examples
    np.testing.assert_allclose(slope, expected, rtol=1e-4)


@pytest.mark.parametrize("p", [0.1, 0.6])
def test_the_divergence_of_masked_kernels_is_that_of_narrow_mixtures_but_for_a_constant(p: float) -> None:
    """KL(q || N(0, 1/l^2)) by Monte Carlo, q = (1 - p) N(m, s^2) + p N(0, s^2) in 12 dimensions."""
    generator = np.random.default_rng(0)
    size, draws, s, precision = 12, 100_000, 0.05, 4.0
    m = generator.normal(size=size)
    kept = generator.random(draws) >= p
    x = kept[:, None] * m + s * generator.standard_normal((draws, size))
    log_slab = stats.norm(m, s).logpdf(x).sum(axis=1) + np.log(1 - p)
    log_spike = stats.norm(0, s).logpdf(x).sum(axis=1) + np.log(p)
    log_prior = stats.norm(0, precision**-0.5).logpdf(x).sum(axis=1)
    ratio = np.logaddexp(log_slab, log_spike) - log_prior
    constant = size / 2 * (precision * s**2 - np.log(precision * s**2) - 1)
    logit = tf.constant(special.logit(p), tf.float32)
    found = float(variational.spike_and_slab_divergence(logit, float(m @ m), 1.0, precision))
    assert abs(ratio.mean() - constant - found) < 5 * ratio.std() / np.sqrt(draws)


def test_the_divergence_of_masked_kernels_is_finite_where_p_is_0_or_1() -> None:
    logit = tf.constant([-200.0, 200.0])
    with tf.GradientTape() as tape:
        tape.watch(logit)
        divergence = variational.spike_and_slab_divergence(logit, tf.constant([2.0, 2.0]), tf.constant([3.0, 3.0]), 5.0)
    np.testing.assert_allclose(divergence, [5.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(tape.gradient(divergence, logit), [0.0, 0.0], atol=1e-6)
