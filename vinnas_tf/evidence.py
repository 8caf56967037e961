"""The evidence of groups of values with Gaussian priors: how each group is penalised, and what is worth keeping.

Sparse Bayesian learning as BayesNAS has it (Zhou et al. 2019, eqs. (14) to (19)): a value w has the prior N(0, gamma),
one gamma a group, and the likelihood is exp(-E). Laplace's approximation with a diagonal curvature H of E leaves E +
sum of w^2 / (2 gamma) + log(1 + gamma H) / 2 to be minimised. The logarithm is concave in gamma and at most its
tangent, whose slope is alpha / 2 with alpha = H / (1 + gamma H). Under the tangents the best gamma of a group is |w| /
omega, and what is left is E + sum over groups of omega |w|, where omega^2 is the sum of the alphas of its members.

Pure functions of NumPy arrays in double precision. Axis 0 runs over the members of a group, all others over groups.
"""

import numpy as np

# A Gaussian of this variance, 1 / (2 pi e), has no entropy (section 5.3: 0.0585).
LEAST_VARIANCE = 1.0 / (2.0 * np.pi * np.e)
_STEPS_TO_REST = 30


def penalty_weights(curvature: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """omega of each group: the square root of the sum over its members of H / (1 + gamma H).

    Eqs. (17) and (18), in which gamma - C cancels: with C = gamma / (1 + gamma H) it is gamma^2 H / (1 + gamma H).

    Args:
        curvature: H of each value, [members, ...], at least 0; of the mean loss, divided by the variance of the noise.
        gamma: variance of each group's prior, [...]; may be 0 or infinite.
    """
    with np.errstate(divide="ignore"):
        return np.sqrt((1.0 / (1.0 / np.asarray(curvature, np.float64) + gamma)).sum(axis=0))


def variances(values: np.ndarray, omega: np.ndarray) -> np.ndarray:
    """s = |w| / omega of each group (eq. (19)); infinite where only omega is 0.

    Args:
        values: w, [members, ...].
        omega: as `penalty_weights` gives it, [...].
    """
    norm = np.sqrt(np.square(np.asarray(values, np.float64)).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(norm > 0, norm / omega, 0.0)


def settled_variances(values: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """The variances at which eqs. (17) to (19) come to rest, while the values stay as they are.

    At rest gamma^2 sum of H / (1 + gamma H) = |w|^2. The left side grows with gamma, so there is one such gamma, and it
    does not matter where the equations start. A step of them leaves at most half of log gamma's distance from it.

    Args:
        values: w, [members, ...].
        curvature: H of each value, [members, ...].

    Returns:
        gamma of each group, [...]; infinite where only H is 0, and 0 where all values are.
    """
    gamma = variances(values, penalty_weights(curvature, np.zeros(np.shape(values)[1:])))
    for _ in range(_STEPS_TO_REST):
        gamma = variances(values, penalty_weights(curvature, gamma))
    return gamma


def determined_share(curvature: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The share, in [0, 1], of each group's values that the data determine, not the prior: the mean of sH / (1 + sH).

    MacKay 1992, Bayesian interpolation: the number of well-determined parameters. It is 0 where H is, however large s.

    Args:
        curvature: H of each value, [members, ...].
        variance: s of each group, [...].
    """
    curvature = np.asarray(curvature, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(curvature > 0, 1.0 / (1.0 + 1.0 / (curvature * variance)), 0.0).mean(axis=0)
