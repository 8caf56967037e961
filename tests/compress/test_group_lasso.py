"""The group lasso: its weights and what it prunes, against loops over groups."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from vinnas_tf.compress.group_lasso import GroupLasso
from vinnas_tf.errors import DivergenceError

PENALTY = 0.01


def make(kind: str = "input") -> tuple[keras.Model, GroupLasso]:
    images = keras.Input((5, 5, 10))
    x = keras.layers.Conv2D(4, 3, name="first")(images)
    network = keras.Model(images, keras.layers.Conv2D(2, 3, name="second")(x))
    return network, GroupLasso(network, kind, PENALTY, network.add_weight)


def at_rest(h: np.ndarray, w: np.ndarray) -> float:
    """gamma of a group, solved for."""

    def excess(log_gamma: float) -> float:
        gamma = np.exp(log_gamma)
        return np.log(gamma**2 * (h / (1 + gamma * h)).sum() / (w**2).sum())

    return float(np.exp(optimize.brentq(excess, -60, 60, xtol=1e-13)))


def curvatures(lasso: GroupLasso, seed: int, spread: float = 3.0) -> list[np.ndarray]:
    """Of each weight, over some orders of magnitude around what decides."""
    generator = np.random.default_rng(seed)
    found = []
    for of in lasso.groups:
        level = 10 ** generator.uniform(-spread, spread, of.shape)
        found.append(PENALTY * level * generator.uniform(0.5, 2, of.kernel.shape))
    return found


@pytest.mark.parametrize("kind", ["input", "output", "filter", "position"])
def test_an_update_weighs_groups_and_takes_those_that_are_hardly_determined(kind: str) -> None:
    _, lasso = make(kind)
    curvature = curvatures(lasso, seed=1)
    before = [np.array(kernel) for kernel in lasso.kernels]
    lasso.update(curvature, 0.05, prune=True)
    pruned = 0
    for of, omega, mask, one, kernel in zip(lasso.groups, lasso.omegas, lasso.masks, curvature, before, strict=True):
        values, scaled = of.members_first(kernel.astype(np.float64)), of.members_first(one / PENALTY)
        gamma = np.array([at_rest(h, w) for h, w in zip(scaled.T, values.T, strict=True)])
        np.testing.assert_allclose(
            np.array(omega).ravel(), [np.sqrt((h / (1 + g * h)).sum()) for h, g in zip(scaled.T, gamma, strict=True)],
            rtol=1e-5,
        )  # fmt: skip
        share = (gamma * scaled / (1 + gamma * scaled)).mean(axis=0)
        # Of those below the bar a fifth of the layer's groups at most, the least determined first.
        going = [group for group in np.argsort(share)[: int(np.ceil(share.size / 5))] if share[group] < 0.05]
        np.testing.assert_array_equal(np.flatnonzero(np.array(mask).ravel() == 0), np.sort(going))
        pruned += len(going)
        kept = np.broadcast_to(np.array(mask), kernel.shape)
        np.testing.assert_array_equal(np.array(of.kernel), kernel * kept)
    assert pruned > 0
    assert lasso.count()[0] == sum(
        int(np.broadcast_to(m, k.shape).sum()) for m, k in zip(lasso.masks, before, strict=True)
    )
    assert lasso.count()[1] == 9 * 10 * 4 + 9 * 4 * 2


def test_at_rest_the_penalty_counts_the_weights_that_the_data_determine() -> None:
    """For gamma^2 sum of H / (1 + gamma H) = |w|^2, and omega |w| = |w|^2 / gamma."""
    _, lasso = make()
    curvature = curvatures(lasso, seed=2)
    lasso.update(curvature, 0.05, prune=False)
    count = 0.0
    for of, one in zip(lasso.groups, curvature, strict=True):
        for w, h in zip(of.members_first(np.array(of.kernel)).T, of.members_first(one / PENALTY).T, strict=True):
            gamma = at_rest(h, w.astype(np.float64))
            count += (gamma * h / (1 + gamma * h)).sum()
    assert lasso.value == pytest.approx(PENALTY * count, rel=1e-4)
    assert 10 < count < 400


def test_masks_never_grow_and_what_is_pruned_stays_0() -> None:
    network, lasso = make()
    last = lasso.count_groups()
    for seed in range(6):
        lasso.update(curvatures(lasso, seed), 0.2, prune=seed > 0)
        pairs = list(zip(lasso.masks, lasso.kernels, strict=True))
        for kernel in lasso.kernels:
            kernel.assign(np.random.default_rng(seed).normal(size=kernel.shape))
        lasso.shrink(tf.constant(1e-3))
        assert all((np.array(kernel)[np.broadcast_to(mask, kernel.shape) == 0] == 0).all() for mask, kernel in pairs)
        assert lasso.count_groups() <= last
        last = lasso.count_groups()
    assert last < 14
    assert [variable.name for variable in network.non_trainable_variables].count("mask") == 2


def test_groups_that_are_zeros_or_read_zeros_go_at_once() -> None:
    _, lasso = make()
    curvature = [np.full(kernel.shape, 1.0) for kernel in lasso.kernels]
    curvature[0][:, :, :5] = 0.0
    kernel = np.array(lasso.kernels[0])
    kernel[:, :, 5:7] = 0.0
    lasso.kernels[0].assign(kernel)
    lasso.update(curvature, 0.05, prune=True)
    assert np.array(lasso.masks[0]).ravel().tolist() == [0] * 7 + [1] * 3


def test_a_step_shrinks_each_group_by_its_weight() -> None:
    _, lasso = make("filter")
    generator = np.random.default_rng(3)
    for omega in lasso.omegas:
        omega.assign(generator.uniform(0, 30, omega.shape))
    before = [np.array(kernel) for kernel in lasso.kernels]
    penalty = sum(
        PENALTY * (np.array(omega)[0, 0] * np.sqrt((kernel**2).sum(axis=(0, 1)))).sum()
        for omega, kernel in zip(lasso.omegas, before, strict=True)
    )
    assert lasso.value == pytest.approx(penalty, rel=1e-5)
    lasso.shrink(tf.constant(0.5))
    for omega, kernel, moved in zip(lasso.omegas, before, lasso.kernels, strict=True):
        for place in np.ndindex(kernel.shape[2:]):
            w = kernel[:, :, *place]
            factor = max(0.0, 1 - 0.5 * PENALTY * np.array(omega)[0, 0][place] / np.linalg.norm(w))
            np.testing.assert_allclose(np.array(moved)[:, :, *place], factor * w, rtol=1e-4, atol=1e-7)


def test_a_curvature_that_is_not_finite_is_refused() -> None:
    _, lasso = make()
    curvature = curvatures(lasso, 0)
    curvature[1][0, 0, 0, 0] = np.nan
    with pytest.raises(DivergenceError, match="not finite: compress in a new run_dir with a smaller learning_rate"):
        lasso.update(curvature, 0.05, prune=True)
