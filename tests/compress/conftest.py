"""A problem that compresses in seconds: which pixels matter is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.compress.source import Given
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.train.images import TrainingImages


@pytest.fixture(scope="session")
def given() -> Given:
    """A trained network of images 3x4 of four classes, of which the first row matters and the last is black."""
    generator = np.random.default_rng(0)
    labels = generator.integers(4, size=800).astype(np.int32)
    pixels = generator.normal(100, 40, size=(800, 3, 4))
    pixels[:, 0] += 90 * np.eye(4)[labels]
    pixels[:, 2] = 0
    every = ImageSet(np.clip(pixels, 0, 255).astype(np.uint8)[..., None], labels)
    images = TrainingImages(every.take(np.arange(640)), every.take(np.arange(640, 800)), Normalization((0.0,), (0.5,)))
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3, 4, 1), name="images")
    x = keras.layers.Dense(12, name="hidden")(keras.layers.Flatten(name="flat")(inputs))
    network = keras.Model(inputs, keras.layers.Dense(4, name="logits")(keras.layers.ReLU(name="relu")(x)))
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    optimizer.build(network.trainable_variables)
    x, y = (np.asarray(images.normalization.layer()(images.learnt_from.images)), images.learnt_from.labels)

    @tf.function(autograph=False)
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, network(x)))
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    for _ in range(100):
        step()
    return Given(network, images)
