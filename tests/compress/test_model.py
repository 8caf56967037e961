"""The curvature in all weights of a network, against differences of its logits in double precision."""

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from vinnas_tf.compress.kernel_groups import groups_of
from vinnas_tf.compress.model import measure_by
from vinnas_tf.curvature import gauss_newton_diagonal
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.train.images import TrainingImages


def small_network() -> keras.Model:
    """A convolution 2x2 of 4x4 images, and a linear layer."""
    images = keras.Input((4, 4, 2))
    x = keras.layers.ReLU()(keras.layers.Conv2D(3, 2, kernel_initializer=keras.initializers.HeNormal(1))(images))
    x = keras.layers.Flatten()(x)
    return keras.Model(images, keras.layers.Dense(3, kernel_initializer=keras.initializers.HeNormal(2))(x))


def logits_of(images: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    """The network in NumPy, in double precision."""
    kernel, bias, matrix, shift = weights
    patches = np.stack([[images[:, y : y + 2, x : x + 2] for x in range(3)] for y in range(3)])
    z = np.maximum(np.einsum("yxnhwc,hwco->nyxo", patches, kernel) + bias, 0)
    return z.reshape(len(images), -1) @ matrix + shift


def brute_force(images: np.ndarray, weights: list[np.ndarray], which: int) -> np.ndarray:
    """The mean over the images of sum p J^2 - (sum p J)^2 in each weight, J being a difference of the logits."""
    p = special.softmax(logits_of(images, weights), axis=1)
    found = np.zeros(weights[which].shape)
    for place in np.ndindex(found.shape):
        sides = []
        for step in (1e-6, -1e-6):
            moved = [one.copy() for one in weights]
            moved[which][place] += step
            sides.append(logits_of(images, moved))
        j = (sides[0] - sides[1]) / 2e-6
        found[place] = ((p * j**2).sum(axis=1) - (p * j).sum(axis=1) ** 2).mean()
    return found


def test_of_a_convolution_and_a_linear_layer_it_is_that_of_differences() -> None:
    """Places that share a weight count together: their products too."""
    network = small_network()
    images = np.random.default_rng(0).normal(size=(6, 4, 4, 2))
    weights = [one.astype(np.float64) for one in network.get_weights()]
    np.testing.assert_allclose(network(images.astype("float32")), logits_of(images, weights), atol=1e-5)
    whole_basis = tf.constant(np.sqrt(18) * np.eye(18).reshape(18, 6, 3), tf.float32)
    kernels = [of.kernel.value for of in groups_of(network, "input")]
    found = gauss_newton_diagonal(network, kernels, tf.constant(images, tf.float32), whole_basis)
    for curvature, which in zip(found, (0, 2), strict=True):
        np.testing.assert_allclose(curvature, brute_force(images, weights, which), rtol=1e-3, atol=1e-7)


def test_measured_on_images_it_is_near_and_0_of_what_reads_zeros() -> None:
    generator = np.random.default_rng(1)
    pixels = generator.integers(256, size=(200, 4, 4, 2)).astype(np.uint8)
    pixels[..., 1] = 0
    images = ImageSet(pixels, generator.integers(3, size=200).astype(np.int32))
    scaled = Normalization((0.0, 0.0), (0.5, 1.0))
    network = small_network()
    measure = measure_by(network, TrainingImages(images, images, scaled), seed=5)
    convolution, linear = measure(0)
    assert (convolution[:, :, 1] == 0).all() and (convolution[:, :, 0] > 0).all()
    weights = [one.astype(np.float64) for one in network.get_weights()]
    exact = brute_force(np.asarray(scaled.layer()(pixels), np.float64), weights, 2)
    alive = exact > exact.max() * 1e-3
    ratio = linear[alive] / exact[alive]
    assert abs(ratio.mean() - 1) < 0.1 and ratio.std() < 1.3 * np.sqrt(2 / 100)
    assert all(np.array_equal(a, b) for a, b in zip(measure(0), (convolution, linear), strict=True))
    assert not np.array_equal(measure(1)[1], linear)
