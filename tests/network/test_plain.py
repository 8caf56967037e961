"""A network in Keras's own layers computes what the library's layers do."""

import keras
import numpy as np

from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.network.plain import plain_network


def test_means_and_biases_are_taken_over_and_relu_becomes_a_layer() -> None:
    images = keras.Input((7, 6, 2), name="images")
    x = VariationalConv2D(4, (3, 1), strides=(2, 1), use_bias=True, seed=0, name="convolution")(images)
    x = VariationalDepthwiseConv2D(3, strides=2, dilation_rate=2, variational=False, seed=1, name="dilated")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.Add(name="sum")([x, keras.layers.Activation("relu", name="active")(x)])
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    network = keras.Model(images, VariationalDense(3, use_bias=True, seed=2, name="classifier")(x))
    generator = np.random.default_rng(0)
    for variable in network.weights:
        if variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(generator.normal(size=variable.shape))
    plain = plain_network(network)
    pictures = generator.normal(size=(3, 7, 6, 2)).astype("float32")
    np.testing.assert_allclose(plain(pictures), network(pictures), atol=1e-6)
    assert {type(layer).__module__.split(".")[0] for layer in plain.layers} == {"keras"}
    assert {"depthwise", "depthwise_relu", "active"} < {layer.name for layer in plain.layers}
    assert isinstance(plain.get_layer("active"), keras.layers.ReLU)
