"""Figures of a network against scikit-learn and NumPy; batch statistics against the activations themselves."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, recall_score

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.network.build import build_network, deterministic_network
from vinnas_tf.network.evaluation import evaluate, measure, set_batch_statistics, set_best_statistics

GENOTYPE = Genotype(1, {"reduction": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "dil_conv_3x3"))})


def test_accuracy_and_likelihood_equal_scikit_learns() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.full(4, 0.5), size=300)
    labels = generator.integers(4, size=300)
    found = measure(np.log(probabilities), labels)
    assert found.accuracy == pytest.approx(accuracy_score(labels, probabilities.argmax(axis=1)))
    assert found.nll == pytest.approx(log_loss(labels, probabilities, labels=range(4)))
    assert found.images == 300


def test_calibration_error_by_hand() -> None:
    # Two bins: four answers at 0.9 of which three are right, two at 0.6 of which none is.
    confident, unsure = np.log([0.9, 0.1]), np.log([0.4, 0.6])
    found = measure(np.array([confident] * 4 + [unsure] * 2), np.array([0, 0, 0, 1, 0, 0]))
    assert found.ece == pytest.approx((4 * abs(0.75 - 0.9) + 2 * abs(0.0 - 0.6)) / 6)


def test_predictions_that_are_as_often_right_as_they_say_have_no_calibration_error() -> None:
    confidence = np.random.default_rng(0).uniform(0.5, 1, 200_000)
    labels = (np.random.default_rng(1).uniform(size=confidence.size) > confidence).astype(int)
    found = measure(np.log(np.stack([confidence, 1 - confidence], axis=1)), labels)
    assert found.ece < 4 * np.sqrt(15 * 0.25 / confidence.size)


def test_confusion_and_recall_equal_scikit_learns() -> None:
    generator = np.random.default_rng(5)
    probabilities = generator.dirichlet(np.full(6, 0.5), size=200)
    labels = generator.choice([0, 1, 2, 4, 5], size=200)  # No image of class 3, which is predicted nevertheless.
    found = measure(np.log(probabilities), labels)
    predicted = probabilities.argmax(axis=1)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(labels, predicted, labels=range(6)))
    present = [0, 1, 2, 4, 5]
    expected = recall_score(labels, predicted, labels=present, average=None)
    assert found.recall[3] is None
    assert [found.recall[k] for k in present] == pytest.approx(expected)
    assert json.loads(json.dumps(found.figures()))["recall"][3] is None


@pytest.mark.parametrize("images", [40, 400])
@pytest.mark.parametrize("wrong", [0, 1, 10])
def test_the_standard_error_is_the_spread_over_draws_and_at_least_one_image(images: int, wrong: int) -> None:
    labels = np.zeros(images, int)
    log_probabilities = np.log(np.full((images, 2), 0.5) + np.array([0.1, -0.1]))
    log_probabilities[:wrong] = log_probabilities[:wrong, ::-1]
    found = measure(log_probabilities, labels).standard_error
    draws = np.random.default_rng(0).choice(np.arange(images) >= wrong, size=(4000, images)).mean(axis=1)
    assert found == pytest.approx(max(draws.std(), 1 / images), rel=0.05)


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_figures_depend_on_no_order_and_no_size_of_batches(batch: int) -> None:
    generator = np.random.default_rng(3)
    images = generator.normal(size=(23, 8, 8, 1)).astype("float32")
    labels = generator.integers(5, size=23)
    network = build_network(GENOTYPE, cells="R", channels=4, image_shape=(8, 8, 1), classes=5)
    order = generator.permutation(23)
    whole = evaluate(network, tf.data.Dataset.from_tensor_slices((images, labels)).batch(23))
    parts = evaluate(network, tf.data.Dataset.from_tensor_slices((images[order], labels[order])).batch(batch))
    assert whole.images == parts.images == 23
    assert whole.accuracy == parts.accuracy == np.mean(np.argmax(network(images), axis=1) == labels)
    assert whole.recall == parts.recall
    assert (whole.nll, whole.ece) == pytest.approx((parts.nll, parts.ece), rel=1e-4)


def test_batch_statistics_are_those_of_the_network_without_noise() -> None:
    generator = np.random.default_rng(4)
    network = build_network(GENOTYPE, cells="R", channels=4, image_shape=(8, 8, 1), classes=5, drop_path=0.5)
    for layer in network.layers:
        if getattr(layer, "log_variance", None) is not None:
            layer.log_variance.assign(tf.zeros_like(layer.log_variance))  # Loud noise, which must not be seen.
    point = deterministic_network(network)
    images = [generator.normal(size=(size, 8, 8, 1)).astype("float32") for size in (16, 16, 4)]
    set_batch_statistics(point, [(batch, None) for batch in images])
    stem = point.get_layer("stem_conv")
    before = [tf.nn.conv2d(batch, stem.mean.value, 1, "SAME").numpy() for batch in images]
    normalization = point.get_layer("stem_bn")
    means = np.average([batch.mean(axis=(0, 1, 2)) for batch in before], axis=0, weights=(16, 16, 4))
    variances = np.average([batch.var(axis=(0, 1, 2)) for batch in before], axis=0, weights=(16, 16, 4))
    np.testing.assert_allclose(normalization.moving_mean, means, atol=1e-6)
    np.testing.assert_allclose(normalization.moving_variance, variances, rtol=1e-5)
    # What lies deeper has seen the batch's own statistics above it, so a batch is normalised as in training.
    for layer in point.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert layer.momentum == 0.99
            assert np.all(layer.moving_variance.numpy() < 5)


@pytest.mark.parametrize("order", [1, -1])
def test_the_statistics_of_the_highest_likelihood_are_left_in_place(order: int) -> None:
    """Images of the first class are dark, of the second bright; of one candidate all are brighter."""
    labels = np.arange(64) % 2
    images = (labels[:, None, None, None] * 2.0 - 1.0 + np.zeros((64, 8, 8, 1))).astype("float32")
    inputs = keras.Input((8, 8, 1))
    normalized = keras.layers.BatchNormalization()(inputs)
    logits = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(normalized))
    model = keras.Model(inputs, logits)
    model.layers[-1].kernel.assign([[-1.0, 1.0]])
    good, bad = (tf.data.Dataset.from_tensor_slices((images + shift, labels)).batch(16) for shift in (0.0, 0.5))
    chosen, found = set_best_statistics(model, [good, bad][::order], good)
    assert chosen is good
    np.testing.assert_allclose(model.layers[1].moving_mean, [0.0], atol=1e-6)
    np.testing.assert_allclose(model.layers[1].moving_variance, [1.0], atol=1e-6)
    assert found.nll == evaluate(model, good).nll
    assert found.nll == pytest.approx(np.log1p(np.exp(-2 / np.sqrt(1 + 1e-3))), rel=1e-5)
