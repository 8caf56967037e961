"""The supergraph's stems against plain TensorFlow."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.stem import STEMS
from vinnas_tf.layers.stem import SearchStem


def conv(x: np.ndarray, layer: keras.Layer, stride: int) -> np.ndarray:
    return tf.nn.conv2d(x, layer.mean.numpy(), stride, "SAME").numpy()


def normalized(x: np.ndarray, scale: float, shift: float) -> np.ndarray:
    return scale * (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-3) + shift


def images(shape: tuple[int, ...] = (5, 13, 12, 3)) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def moved(stem: str) -> SearchStem:
    """A stem whose scales and shifts, where it has any, are no longer ones and zeros."""
    layer = SearchStem(4, stem=stem, seed=1)
    layer.build((None, 13, 12, 3))
    for scale, shift in zip(layer.scales, layer.shifts, strict=True):
        scale.assign(tf.fill(scale.shape, 1.5))
        shift.assign(tf.fill(shift.shape, 0.5))
    return layer


def test_the_plain_stem_has_no_scale_and_gives_one_image_twice() -> None:
    layer = moved("plain")
    first, second = layer(images())
    np.testing.assert_allclose(first, normalized(conv(images(), layer.convolutions[0], 1), 1, 0), atol=1e-4)
    np.testing.assert_array_equal(first, second)
    assert [variable.name for variable in layer.trainable_variables] == ["mean", "log_variance"]


def test_the_stem_for_cifar_is_three_times_as_wide() -> None:
    layer = moved("cifar")
    first, second = layer(images())
    assert first.shape == (5, 13, 12, 12)
    expected = normalized(conv(images(), layer.convolutions[0], 1), 1.5, 0.5)
    np.testing.assert_allclose(first, expected, atol=1e-4)
    np.testing.assert_array_equal(first, second)


def test_the_stem_for_imagenet_halves_thrice_and_gives_its_last_two_images() -> None:
    layer = moved("imagenet")
    first, second = layer(images())
    x = normalized(conv(images(), layer.convolutions[0], 2), 1.5, 0.5)
    assert x.shape[-1] == 2
    x = normalized(conv(np.maximum(x, 0), layer.convolutions[1], 2), 1.5, 0.5)
    np.testing.assert_allclose(first, x, atol=1e-4)
    x = normalized(conv(np.maximum(x, 0), layer.convolutions[2], 2), 1.5, 0.5)
    assert x.shape == (5, 2, 2, 4)
    np.testing.assert_allclose(second, x, atol=2e-4)


@pytest.mark.parametrize("stem", STEMS)
def test_shapes_noise_and_config(stem: str) -> None:
    layer = moved(stem)
    outputs = layer(images(), training=True, seed=tf.constant([1, 2]))
    assert [tuple(y.shape) for y in outputs] == list(layer.compute_output_shape((5, 13, 12, 3)))
    for y, again, mean in zip(
        outputs, layer(images(), training=True, seed=tf.constant([1, 2])), layer(images()), strict=True
    ):
        np.testing.assert_array_equal(y, again)
        assert np.abs(y - mean).max() > 1e-3
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    twin.set_weights(layer.get_weights())
    for y, expected in zip(twin(images()), layer(images()), strict=True):
        np.testing.assert_array_equal(y, expected)


def test_its_statistics_are_measured_and_reused_in_the_order_of_its_normalisations() -> None:
    layer, measured = moved("imagenet"), kernels.BatchStatistics()
    expected = layer(images(), statistics=measured)
    statistics = kernels.PopulationStatistics(measured.kept())
    for y, whole in zip(layer(images()[:1], statistics=statistics), expected, strict=True):
        np.testing.assert_allclose(y, whole[:1], atol=1e-4)


def test_scales_and_shifts_are_trained() -> None:
    layer = moved("cifar")
    with tf.GradientTape() as tape:
        first, _ = layer(images())
        loss = tf.reduce_sum(first**2)
    gradients = tape.gradient(loss, [layer.scales[0].value, layer.shifts[0].value])
    count = first[..., 0].shape.num_elements()
    # Of sum (scale * z + shift)^2 with z of mean 0 and variance near 1.
    np.testing.assert_allclose(gradients[0], 2 * 1.5 * count, rtol=0.01)
    np.testing.assert_allclose(gradients[1], 2 * 0.5 * count, rtol=0.01)
