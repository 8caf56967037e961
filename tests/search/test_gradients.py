"""The gradient that looks a weight step ahead, against the exact one."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.methods import method_from
from vinnas_tf.search.gradients import gradients, hyper_gradient
from vinnas_tf.search.stage import make_model


def test_hyper_gradient_of_quadratic_losses_is_exact() -> None:
    """training = |A w - B a|^2 / 2 and validation = |C w - D a|^2 / 2, whose unrolled gradient NumPy writes down."""
    generator = np.random.default_rng(0)
    (a_matrix, c_matrix), (b_matrix, d_matrix) = generator.normal(size=(2, 5, 4)), generator.normal(size=(2, 5, 3))
    w, alpha, rate = generator.normal(size=4), generator.normal(size=3), 0.05
    weights = [keras.Variable(w[:1].astype("float32")), keras.Variable(w[1:].astype("float32"))]
    alphas = [keras.Variable(alpha.astype("float32"))]

    def loss(of_weights: np.ndarray, of_alphas: np.ndarray) -> tf.Tensor:
        joined = tf.concat([variable.value for variable in weights], 0)
        residual = tf.linalg.matvec(tf.constant(of_weights, tf.float32), joined)
        residual -= tf.linalg.matvec(tf.constant(of_alphas, tf.float32), alphas[0].value)
        return tf.reduce_sum(tf.square(residual)) / 2

    found = hyper_gradient(
        lambda: loss(a_matrix, b_matrix), lambda: loss(c_matrix, d_matrix), weights, alphas, tf.constant(rate)
    )
    ahead = w - rate * a_matrix.T @ (a_matrix @ w - b_matrix @ alpha)
    residual = c_matrix @ ahead - d_matrix @ alpha
    mixed = -a_matrix.T @ b_matrix  # d/d alpha of the training gradient in w
    exact = -d_matrix.T @ residual - rate * mixed.T @ c_matrix.T @ residual
    np.testing.assert_allclose(found[0], exact, rtol=2e-3)
    np.testing.assert_array_equal(np.concatenate([v.numpy() for v in weights]), w.astype("float32"))


PUBLISHED = {"weight_optimizer": "sgd", "weight_decay": 0.1, "weight_clip_norm": 0.5, "final_weight_learning_rate": 0.2}


@pytest.mark.parametrize("further", [{}, PUBLISHED], ids=["adam", "sgd"])
def test_second_order_darts_takes_the_gradient_through_a_weight_step(further: dict[str, Any]) -> None:
    """On a small supergraph, against finite differences in alpha of the validation loss after a weight step.

    Of SGD the step has momentum, after an actual one, and decay.
    """
    settings = {"cells": "N", "states": 1, "channels": 4, "batch_size": 8, "weight_learning_rate": 0.2, "seed": 2}
    model = make_model(method_from({"method": "darts", "darts_order": 2, **settings, **further}), (6, 6, 1), 3, 40)
    graph = model.supergraph
    generator = np.random.default_rng(1)
    batches = [
        (
            tf.constant(generator.normal(size=(8, 6, 6, 1)), tf.float32),
            tf.constant(generator.integers(0, 3, 8), tf.int32),
        )
        for _ in range(2)
    ]
    (alpha,) = graph.architecture_variables
    start = generator.normal(size=alpha.shape).astype("float32")
    moments = [0.0] * len(graph.weight_variables)
    if further:
        model.descend(batches[0], weights=True)
        moments = [moment.numpy() for moment in model.weight_optimizer.momentums]
    decay = further.get("weight_decay", 0.0)
    weights = [variable.numpy() for variable in graph.weight_variables]

    def unrolled(value: np.ndarray) -> float:
        alpha.assign(value)
        training = model._objective(batches[0], True, True)
        steps = gradients(training, graph.weight_variables)
        for variable, before, step, moment in zip(graph.weight_variables, weights, steps, moments, strict=True):
            variable.assign(before - 0.2 * (step + decay * before + 0.9 * moment))
        after = float(model._objective(batches[1], True, True)())
        for variable, before in zip(graph.weight_variables, weights, strict=True):
            variable.assign(before)
        return after

    alpha.assign(start)
    model.architecture_optimizer = keras.optimizers.SGD(1.0)
    model.architecture_optimizer.build([alpha])
    model.descend(batches[1], architecture=True, through=batches[0], logged_as="alpha")
    gradient = start - alpha.numpy()
    alpha.assign(start)
    first_order = np.array(gradients(model._objective(batches[1], False, True), [alpha])[0])
    for variable, before in zip(graph.weight_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, before)
    size = 5e-3
    for _ in range(3):
        direction = generator.normal(size=start.shape).astype("float32")
        slope = (unrolled(start + size * direction) - unrolled(start - size * direction)) / (2 * size)
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=0.05, atol=2e-3)
    # The two orders differ here, or the test would pass without the second.
    assert np.abs(gradient - first_order).max() > 0.1 * np.abs(gradient).max()
