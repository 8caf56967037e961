"""The curvature in single variables: of logistic regression, and of a supergraph by differences of its logits."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

import vinnas_tf
from vinnas_tf.architecture.space import SPACES, VINNAS
from vinnas_tf.curvature import gauss_newton_diagonal, measure_curvature, random_signs, with_covariance_of
from vinnas_tf.methods.bayesnas import BayesNas


def whole_basis(images: int, classes: int) -> tf.Tensor:
    """Draws whose products have the mean 1 exactly."""
    count = images * classes
    return tf.constant(np.sqrt(count) * np.eye(count).reshape(count, images, classes), tf.float32)


def test_of_logistic_regression_it_is_the_mean_of_x2_p_1_minus_p() -> None:
    generator = np.random.default_rng(0)
    x, w = generator.normal(size=(12, 3)).astype(np.float32), tf.Variable([0.5, -1.0, 0.3])
    (found,) = gauss_newton_diagonal(
        lambda x: tf.stack([tf.linalg.matvec(x, w), tf.zeros(12)], axis=1), [w], tf.constant(x), whole_basis(12, 2)
    )
    p = special.expit(x @ w.numpy())
    np.testing.assert_allclose(found, (x**2 * (p * (1 - p))[:, None]).mean(axis=0), rtol=1e-4)


def test_directions_have_the_covariance_of_the_softmax() -> None:
    logits = np.array([[0.3, -1.0, 2.0], [0.0, 0.0, 5.0]], np.float32)
    basis = tf.eye(3)[:, tf.newaxis] * tf.ones((1, 2, 1))
    directions = with_covariance_of(tf.constant(logits), basis).numpy()
    for image, p in enumerate(special.softmax(logits, axis=1)):
        own = directions[:, image]
        np.testing.assert_allclose(own.T @ own, np.diag(p) - np.outer(p, p), atol=1e-6)


def by_differences(
    logits: Callable[[], tf.Tensor], variable: tf.Variable, places: list[tuple[int, ...]], step: float
) -> list[float]:
    """The mean over the images of sum p J^2 - (sum p J)^2, J being a central difference of the logits."""
    start, found = variable.numpy(), []
    p = special.softmax(logits().numpy(), axis=1)
    for place in places:
        sides = []
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * step
            variable.assign(moved)
            sides.append(logits().numpy())
        variable.assign(start)
        j = (sides[0] - sides[1]) / (2 * step)
        found.append(float(((p * j**2).sum(axis=1) - (p * j).sum(axis=1) ** 2).mean()))
    return found


@pytest.fixture
def network(monkeypatch):
    """A supergraph of bayesnas in a small space whose switches differ, its images and its logits of them."""
    primitives = ("sep_conv_3x3", "max_pool_3x3", "skip", "zero")
    monkeypatch.setitem(SPACES, "small", dataclasses.replace(VINNAS, name="small", primitives=primitives))
    shape = {"cells": "N", "states": 2, "channels": 4, "epochs": 2, "weight_epochs": 1}
    supergraph = vinnas_tf.make_supergraph(image_shape=(6, 6, 1), classes=3, method="bayesnas", space="small", **shape)
    assert isinstance(supergraph.method, BayesNas)
    generator = np.random.default_rng(1)
    for variable in supergraph.method.switches["normal"].trained:
        variable.assign(generator.uniform(0.5, 1.5, variable.shape) * generator.choice([-1, 1], variable.shape))
    images = tf.constant(generator.normal(size=(8, 6, 6, 1)), tf.float32)
    return supergraph, images, lambda x: supergraph(x, supergraph.method.draw(None))


def test_of_a_supergraph_it_is_that_of_differences_of_its_logits(network) -> None:
    """Batch statistics included; of the switches of both kinds."""
    supergraph, images, logits = network
    switches = supergraph.method.switches["normal"]
    variables = [switches.operations[0].value, switches.identities[0].value]
    measure = tf.function(lambda x: gauss_newton_diagonal(logits, variables, x, whole_basis(8, 3)), autograph=False)
    at_once = tf.function(lambda: logits(images), autograph=False)
    for variable, curvature in zip(variables, measure(images), strict=True):
        places = [*np.ndindex(*variable.shape)]
        expected = by_differences(at_once, variable, places, 1e-3)
        np.testing.assert_allclose([curvature.numpy()[place] for place in places], expected, rtol=0.05)


def test_random_draws_come_as_near_as_they_promise_and_are_a_function_of_the_seed() -> None:
    images = tf.random.stateless_normal((8, 6, 6, 1), [0, 1])
    w = tf.Variable(np.random.default_rng(2).normal(size=(36, 3)).astype(np.float32))

    def logits(x: tf.Tensor) -> tf.Tensor:
        return tf.reshape(x, (-1, 36)) @ w

    def measure(seed: int) -> np.ndarray:
        batches = [images[:4], images[4:]]
        return measure_curvature(logits, [w], batches, classes=3, draws=800, seed=tf.constant([3, seed]))[0]

    exact = np.mean(
        [gauss_newton_diagonal(logits, [w], half, whole_basis(4, 3))[0] for half in (images[:4], images[4:])], 0
    )
    errors = measure(0) / exact - 1
    assert abs(errors.mean()) < 0.02
    assert errors.std() < 1.3 * np.sqrt(2 / 800)
    np.testing.assert_array_equal(measure(0), measure(0))
    assert not np.array_equal(measure(0), measure(1))


def test_signs_are_even() -> None:
    signs = random_signs((4000,), tf.constant([1, 2])).numpy()
    assert set(signs) == {-1.0, 1.0} and abs(signs.mean()) < 0.05
