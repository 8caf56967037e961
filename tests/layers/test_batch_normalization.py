"""The fused layer against Keras's own: outputs, gradients and running statistics."""

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.layers.batch_normalization import BatchNormalization


def test_training_equals_keras_step_by_step() -> None:
    generator = np.random.default_rng(0)
    ours, plain = BatchNormalization(), keras.layers.BatchNormalization()
    for layer in (ours, plain):
        layer.build((None, 5, 4, 3))
        layer.set_weights(list(np.array([[1.5, -0.5, 0.2], [0.1, 0.0, -2.0], [0.3, 0.0, 1.0], [1.0, 2.0, 0.5]])))
    for _ in range(3):
        x = tf.constant(generator.normal(2, 3, size=(6, 5, 4, 3)), tf.float32)
        upstream = tf.constant(generator.normal(size=x.shape), tf.float32)
        gradients, outputs = [], []
        for layer in (ours, plain):
            variables = [layer.gamma.value, layer.beta.value]
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs.append(layer(x, training=True))
            gradients.append(tape.gradient(outputs[-1], [x, *variables], upstream))
        np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-5)
        for mine, expected in zip(*gradients, strict=True):
            np.testing.assert_allclose(mine, expected, atol=1e-5 * float(tf.reduce_max(tf.abs(expected))))
    for mine, expected in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours(x), plain(x), atol=1e-6)
