"""Adam of Gaussian weights against Adam's definition and Keras's own."""

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.optimizer import PosteriorAdam


def test_adam_moves_log_variances_at_their_own_rate() -> None:
    mean = keras.Variable([1.0], name="mean")
    log_variance = keras.Variable([1.0], name="log_variance")
    optimizer = PosteriorAdam(0.01, log_variance_rate=3.0)
    optimizer.build([mean, log_variance])
    optimizer.apply([tf.constant([0.2]), tf.constant([0.2])], [mean, log_variance])
    # Adam's first step is one learning rate against the sign of the gradient.
    np.testing.assert_allclose([mean.numpy()[0], log_variance.numpy()[0]], [0.99, 0.97], rtol=1e-5)


def test_adam_follows_kerass_own_over_many_steps() -> None:
    """With a cosine schedule, and gradients of very different sizes, a zero among them."""
    start = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    gradients = np.random.default_rng(1).normal(size=(30, 4, 5)) * np.logspace(-6, 3, 5)
    gradients[:, 0] = 0
    ends = []
    for kind in (PosteriorAdam, keras.optimizers.Adam):
        variable = keras.Variable(start, name="mean")
        optimizer = kind(keras.optimizers.schedules.CosineDecay(0.1, 30))
        optimizer.build([variable])
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
        ends.append([variable.numpy(), *(state.numpy() for state in optimizer.variables)])
    assert np.abs(ends[0][0] - start)[1:].min() > 0.01
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-12)
