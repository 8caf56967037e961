"""PGNAS: what it learns of channels that carry nothing, what its terms are, and what it refuses."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from vinnas_tf.errors import UserError
from vinnas_tf.methods import method_from
from vinnas_tf.methods.pgnas import Pgnas
from vinnas_tf.search.backbone import MaskedBackbone
from vinnas_tf.search.model import SearchModel

EXAMPLES = 2000


def two_halves(_: tuple[int, ...] = (1, 2, 1), classes: int = 2) -> keras.Model:
    """A linear classifier of two channels: the left pixel of an image, and the right one."""
    keras.utils.set_random_seed(0)
    x = keras.Input((1, 2, 1), name="images")
    crops = {"left": ((0, 0), (0, 1)), "right": ((0, 0), (1, 0))}
    halves = [
        keras.layers.Conv2D(1, 1, use_bias=False, trainable=False, kernel_initializer="ones", name=side)(
            keras.layers.Cropping2D(crop, name=f"{side}_half")(x)
        )
        for side, crop in crops.items()
    ]
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.Concatenate(name="both")(halves))
    return keras.Model(x, keras.layers.Dense(classes, name="classifier")(pooled), name="halves")


def model_of(**settings: Any) -> SearchModel:
    method = method_from({"method": "pgnas", "label_smoothing": 0.0, "alpha_learning_rate": 0.05, **settings})
    assert isinstance(method, Pgnas)
    model = SearchModel(MaskedBackbone(method, two_halves()), method, EXAMPLES)
    model.build((None, 1, 2, 1))
    model.compile(*method.optimizers(1000))
    for name, value in method.schedule(0).items():
        model.scheduled[name].assign(value)
    return model


@pytest.fixture(scope="module")
def signal_and_noise() -> Callable[[int], tuple[tf.Tensor, tf.Tensor]]:
    def batch(seed: int) -> tuple[tf.Tensor, tf.Tensor]:
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 2, 64)
        left = 2.0 * labels - 1 + 0.5 * generator.standard_normal(64)
        pixels = np.stack([left, generator.standard_normal(64)], axis=-1)[:, None, :, None]
        return tf.constant(pixels, tf.float32), tf.constant(labels, tf.int32)

    return batch


def test_a_channel_of_noise_is_dropped_and_one_with_the_signal_is_kept(signal_and_noise) -> None:
    model = model_of(prior_precision=10.0)
    step = tf.function(lambda *batch: model.descend(batch, weights=True, architecture=True), autograph=False)
    for number in range(500):
        step(*signal_and_noise(number))
    found = model.supergraph.found()
    p = dict(zip([group.name for group in found.groups], found.p, strict=True))
    assert p["classifier < left"] < 0.02
    assert p["classifier < right"] > 0.5


def test_both_kinds_of_variables_go_down_the_divergence_over_n(signal_and_noise) -> None:
    """Gradients of the term alone, which the log holds too, against its formula in NumPy."""
    model = model_of(prior_precision=30.0, weight_optimizer="sgd", weight_learning_rate=1.0)
    network: MaskedBackbone = model.supergraph
    kernel = network.network.get_layer("classifier").kernel
    p, norms = 0.1, np.square(kernel.numpy()).sum(axis=1)
    logit = special.logit(p)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p))
    value = float(model.method.values(model.method.draw(None), network)["kl"])
    # The two frozen convolutions have one channel and a kernel of one, each.
    np.testing.assert_allclose(value, (0.9 * 15 * norms - entropy).sum() + 2 * (0.9 * 15 - entropy), rtol=1e-5)
    with tf.GradientTape() as tape:
        variables = [kernel.value, network.architecture["channels/logit"].value]
        tape.watch(variables)
        loss = model.method.values(model.method.draw(None), network)["kl"]
    of_kernel, of_logit = tape.gradient(loss, variables)
    np.testing.assert_allclose(of_kernel, 0.9 * 30 * kernel.numpy(), rtol=1e-5)
    np.testing.assert_allclose(of_logit[2:], p * (1 - p) * (logit - 15 * norms), rtol=1e-4)
    model.descend(signal_and_noise(0), weights=True, architecture=True)
    logged = {metric.name: float(metric.result()) for metric in model.metrics}
    assert logged["kl_weighted"] == pytest.approx(value / EXAMPLES)


def test_in_training_each_image_has_a_relaxed_mask_and_in_evaluation_a_hard_one(signal_and_noise) -> None:
    model = model_of(initial_drop_probability=0.5)
    network: MaskedBackbone = model.supergraph
    images, _ = signal_and_noise(0)
    same = tf.repeat(images[:1], 64, axis=0)
    relaxed = network(same, model.method.draw(tf.constant([1, 2]))).numpy()
    assert len(np.unique(relaxed[:, 0])) > 60
    hard = network(same, model.method.evaluation_draw(), statistics=lambda x: (x, x)).numpy()
    # Each half can be dropped by its own convolution or by the classifier; either way four answers are left.
    assert len(np.unique(hard[:, 0].round(5))) == 4
    again = network(same, model.method.evaluation_draw(), statistics=lambda x: (x, x)).numpy()
    np.testing.assert_array_equal(hard, again)
    other = network(same, model.method.evaluation_draw(1), statistics=lambda x: (x, x)).numpy()
    assert not np.array_equal(hard, other)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"prior_precision": -1.0}, "prior_precision must be positive, got -1.0"),
        ({"initial_drop_probability": 1.0}, r"initial_drop_probability must lie in \(0, 1\), got 1"),
        ({"initial_drop_probability": 0.0}, r"initial_drop_probability must lie in \(0, 1\), got 0"),
        ({"candidates": 0}, "candidates must be at least 1, got 0"),
        ({"fine_tuning_epochs": -1}, "fine_tuning_epochs must not be negative, got -1"),
        ({"candidate_rates": "best"}, "candidate_rates must be learnt, equal or permuted, got 'best'"),
        ({"cells": "NRN"}, "cells is not read by method=pgnas"),
        ({"space": "darts"}, "space is not read by method=pgnas"),
        ({"drop_probability": 0.2}, "drop_probability is not read by method=pgnas, only by pgnas_random"),
        ({"method": "pgnas_random", "drop_probability": 1.5}, r"drop_probability must lie in \(0, 1\), got 1.5"),
        ({"method": "pgnas_random", "candidate_rates": "equal"}, "candidate_rates is not read by method=pgnas_random"),
        ({"method": "pgnas_random", "alpha_learning_rate": 0.1}, "alpha_learning_rate is not read by"),
        ({"method": "darts", "temperature": 0.5}, "temperature is not read by method=darts, only by pgnas"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        method_from({"method": "pgnas", **settings})
