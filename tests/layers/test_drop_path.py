"""Drop path: whole examples fall, the expectation stays, and evaluation sees nothing of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.layers.drop_path import DropPath

RATE = 0.3


def test_examples_fall_whole_and_the_expectation_stays() -> None:
    x = np.random.default_rng(0).uniform(1, 2, size=(20000, 2, 1, 3)).astype("float32")
    y = DropPath(RATE, seed=1)(x, training=True).numpy()
    dropped = (y == 0).all(axis=(1, 2, 3))
    np.testing.assert_allclose(y[~dropped], x[~dropped] / (1 - RATE), rtol=1e-6)
    # Four standard errors of a proportion of 20,000.
    assert abs(dropped.mean() - RATE) < 4 * np.sqrt(RATE * (1 - RATE) / len(x))
    np.testing.assert_allclose(y.mean(), x.mean(), rtol=0.02)


def test_evaluation_is_the_identity() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3, 3, 2)).astype("float32")
    np.testing.assert_array_equal(DropPath(RATE)(x, training=False), x)
    np.testing.assert_array_equal(DropPath(RATE)(x), x)


def test_the_rate_can_rise_in_training_without_a_new_graph() -> None:
    entry = keras.Input((4,))
    layer = DropPath(0.5, seed=3)
    model = keras.Model(entry, layer(entry))
    x = np.ones((400, 4), "float32")
    step = tf.function(lambda: model(x, training=True))
    layer.rate.assign(0.0)
    np.testing.assert_array_equal(step(), x)
    layer.rate.assign(0.9)
    assert 0.8 < (step().numpy() == 0).mean() < 0.97


def test_config_rebuilds_the_layer_with_the_same_draws() -> None:
    layer = DropPath(RATE, seed=7)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    x = np.ones((50, 2, 2, 1), "float32")
    np.testing.assert_array_equal(twin(x, training=True), layer(x, training=True))


def test_a_rate_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rate must lie in \[0, 1\), got 1"):
        DropPath(1.0)
