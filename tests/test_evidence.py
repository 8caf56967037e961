"""The evidence of groups: printed and derived values, exact arithmetic, and a numerical maximum."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import optimize, stats

from vinnas_tf.evidence import LEAST_VARIANCE, determined_share, penalty_weights, settled_variances, variances


def one(value: float) -> np.ndarray:
    """A value of the only group, which has one member."""
    return np.array([[value]])


# gamma, H and w, then C of eq. (17), omega of (18) and s of (19).
TABLE = [
    (1.0, 1.0, 1.0, 0.5, 0.7071068, 1.414214),
    (0.1, 10.0, 0.3, 0.05, 2.236068, 0.1341641),
    (1 / 3, 2.0, 0.9, 0.2, 1.095445, 0.8215838),
    (1e-8, 1000.0, 1e-3, 1e-8, 31.62262, 3.16229e-5),
]


@pytest.mark.parametrize(("gamma", "curvature", "value", "posterior", "omega", "variance"), TABLE)
def test_a_group_of_one(gamma, curvature, value, posterior, omega, variance) -> None:
    assert 1 / (1 / gamma + curvature) == pytest.approx(posterior, rel=1e-4)
    weight = penalty_weights(one(curvature), np.array([gamma]))
    np.testing.assert_allclose(weight, [omega], rtol=1e-6)
    np.testing.assert_allclose(variances(one(value), weight), [variance], rtol=2e-6)


def test_a_group_of_three() -> None:
    omega = penalty_weights(np.array([[1.0], [10.0], [100.0]]), np.array([0.2]))
    np.testing.assert_allclose(omega, [2.988072], rtol=1e-6)
    np.testing.assert_allclose(variances(np.array([[0.1], [-0.3], [0.2]]), omega), [0.1252198], rtol=1e-6)


@pytest.mark.parametrize(
    ("curvature", "value", "fixed"),
    [(1.0, 1.0, 1.618034), (10.0, 0.3, 0.15), (2.0, 0.9, 1.159336), (1000.0, 1e-3, 3.21267e-5)],
)
def test_repeated_at_one_value_it_comes_to_its_fixed_point(curvature, value, fixed) -> None:
    gamma = np.array([1.0])
    for _ in range(500):
        gamma = variances(one(value), penalty_weights(one(curvature), gamma))
    np.testing.assert_allclose(gamma, [fixed], rtol=1e-5)
    np.testing.assert_allclose(settled_variances(one(value), one(curvature)), gamma, rtol=1e-6)


def test_of_groups_it_comes_to_the_root_of_the_equation_at_rest() -> None:
    """gamma^2 sum of H / (1 + gamma H) = |w|^2, over ten orders of magnitude, solved by bisection."""
    generator = np.random.default_rng(0)
    curvature, values = 10 ** generator.uniform(-6, 4, (5, 30)), generator.normal(size=(5, 30))
    curvature[0, 0] = 0.0
    found = settled_variances(values, curvature)

    def excess(log_gamma: float, h: np.ndarray, w: np.ndarray) -> float:
        gamma = np.exp(log_gamma)
        return np.log(gamma**2 * (h / (1 + gamma * h)).sum() / (w @ w))

    for group in range(30):
        root = optimize.brentq(excess, -40, 40, args=(curvature[:, group], values[:, group]), xtol=1e-13)
        assert found[group] == pytest.approx(np.exp(root), rel=1e-6)
    dead = settled_variances(np.array([[0.5, 0.0]]), np.array([[0.0, 2.0]]))
    assert dead.tolist() == [np.inf, 0.0]


def test_it_loses_no_digits_where_the_printed_difference_cancels() -> None:
    generator = np.random.default_rng(0)
    gammas, curvatures = 10 ** generator.uniform(-12, 2, 200), 10 ** generator.uniform(-8, 6, 200)
    ours = penalty_weights(curvatures[np.newaxis], gammas)
    for gamma, curvature, omega in zip(gammas, curvatures, ours, strict=True):
        exact_gamma, exact_curvature = Fraction(gamma), Fraction(curvature)
        posterior = 1 / (1 / exact_gamma + exact_curvature)
        square = (exact_gamma - posterior) / exact_gamma**2
        assert Fraction(omega) ** 2 == pytest.approx(square, rel=1e-14)
    posteriors = 1 / (1 / gammas + curvatures)
    printed = np.sqrt(np.maximum(gammas - posteriors, 0)) / gammas
    assert np.abs(printed / ours - 1).max() > 0.1


@pytest.mark.parametrize(("best", "curvature", "gamma"), [(1, 4, 0.75), (0.5, 10, 0.15), (0.3, 10, 0), (0.5, 3, 0)])
def test_with_the_value_moving_it_comes_to_the_greatest_evidence(best: float, curvature: float, gamma: float) -> None:
    """Of the model y = x w + noise of variance 1, with x^2 = H and the least squares at `best`."""
    x = np.array([1.0, 2.0, -1.0])
    x *= np.sqrt(curvature) / np.linalg.norm(x)
    y = best * x + np.array([2.0, -1.0, 0.0])  # What is added is orthogonal to x.

    def negative(variance: float) -> float:
        return -stats.multivariate_normal.logpdf(y, cov=np.eye(3) + variance * np.outer(x, x))

    numerical = optimize.minimize_scalar(negative, bounds=(0, 10), options={"xatol": 1e-9}, method="bounded").x
    assert numerical == pytest.approx(gamma, abs=1e-5)
    ours = np.array([1.0])
    for _ in range(500):
        omega = penalty_weights(one(curvature), ours)
        moved = max(best - omega[0] / curvature, 0.0)
        ours = variances(one(moved), omega)
    assert ours[0] == pytest.approx(gamma, abs=1e-5)


def test_what_the_loss_does_not_depend_on_is_not_determined_and_nothing_is_divided_by_0() -> None:
    curvature = np.array([[0.0, 0.0, 4.0, 1e-30]])
    omega = penalty_weights(curvature, np.array([1.0, np.inf, 0.0, 1.0]))
    np.testing.assert_allclose(omega, [0.0, 0.0, 2.0, 1e-15])
    variance = variances(np.array([[0.5, 0.0, 0.0, 1.0]]), omega)
    assert variance.tolist() == [np.inf, 0.0, 0.0, pytest.approx(1e15)]
    share = determined_share(curvature, variance)
    np.testing.assert_allclose(share, [0.0, 0.0, 0.0, 0.0], atol=1e-14)
    of_two = determined_share(np.array([[3.0], [1.0]]), np.array([2.0]))
    assert of_two[0] == pytest.approx((6 / 7 + 2 / 3) / 2)


def test_the_least_variance_is_that_of_a_gaussian_without_entropy() -> None:
    assert LEAST_VARIANCE == pytest.approx(0.05854983)
    assert stats.norm(scale=np.sqrt(LEAST_VARIANCE)).entropy() == pytest.approx(0, abs=1e-12)


def least_penalised(x: np.ndarray, y: np.ndarray, noise: float, omega: np.ndarray) -> np.ndarray:
    """The least of |y - x w|^2 / (2 noise) + omega |w|, by coordinate descent."""
    w, squares = np.zeros(len(omega)), (x**2).sum(axis=0)
    for _ in range(20):
        for place, column in enumerate(x.T):
            pull = column @ (y - x @ w) + squares[place] * w[place]
            w[place] = np.sign(pull) * max(abs(pull) - noise * omega[place], 0) / squares[place]
    return w


def test_a_linear_model_keeps_the_inputs_that_matter_and_no_others() -> None:
    """Three that matter and seven that do not, 100 points, noise of 0.5; by the entropy with each of 20 seeds."""
    expected = [True] * 3 + [False] * 7
    by_entropy, by_gamma_alone = 0, 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        x = generator.normal(size=(100, 10))
        true = np.array([1.0, -0.7, 0.5] + [0.0] * 7)
        y = x @ true + 0.5 * generator.normal(size=100)
        curvature, gamma = (x**2).sum(axis=0)[np.newaxis] / 0.25, np.ones(10)
        for _ in range(12):
            omega = penalty_weights(curvature, gamma)
            gamma = variances(least_penalised(x, y, 0.25, omega)[np.newaxis], omega)
        by_entropy += (gamma > LEAST_VARIANCE).tolist() == expected
        by_gamma_alone += (gamma > 0).tolist() == expected
    assert (by_entropy, by_gamma_alone) == (20, 1)
