"""The layer that picks channels, alone, saved, and where a network is stripped."""

import keras
import numpy as np
import pytest

from vinnas_tf.layers.select import Select
from vinnas_tf.network.backbones.from_keras import as_plain
from vinnas_tf.network.stripping import strip


def test_it_picks_in_its_order() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    layer = Select([4, 0, 4])
    np.testing.assert_array_equal(layer(x), x[..., [4, 0, 4]])
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    np.testing.assert_array_equal(again(x), layer(x))
    assert layer.compute_output_shape((None, 3, 4, 5)) == (None, 3, 4, 3)


@pytest.mark.parametrize("zeros", [0.0, 0.4])
def test_a_network_that_was_stripped_is_stripped_again(zeros: float) -> None:
    """Picked channels of images, behind a ReLU that holds a constant, and of a flat vector, one of them twice."""
    keras.utils.set_random_seed(0)
    take, layers = keras.ops.take, keras.layers
    images = keras.Input((8, 8, 4))
    x = layers.Conv2D(6, 3, bias_initializer="normal", name="first")(take(images, [3, 0, 1], axis=-1))
    x = layers.ReLU(name="relu")(take(x, [5, 1, 2, 3], axis=3))
    x = layers.Conv2D(5, 1, name="second")(x)
    x = take(layers.Flatten(name="flat")(x), [7, 40, 3, 3, 100, 8], axis=-1)
    network = as_plain(keras.Model(images, layers.Dense(3, name="logits")(x)), (8, 8, 4), 3, "it can't be read")
    generator = np.random.default_rng(1)
    for name in ("first", "second", "logits"):
        kernel = network.get_layer(name).kernel
        kept = generator.random((*[1] * (len(kernel.shape) - 2), *kernel.shape[-2:])) >= zeros
        kernel.assign(np.array(kernel) * kept)
    network.get_layer("first").kernel.assign(np.array(network.get_layer("first").kernel) * (np.arange(6) != 1))
    stripped = strip(network)
    x = generator.normal(size=(5, 8, 8, 4)).astype("float32")
    np.testing.assert_allclose(stripped(x), network(x), atol=1e-5)
    assert {type(layer).__module__.split(".")[0] for layer in stripped.layers} == {"keras"}
    assert stripped.count_params() < network.count_params()
    twice = strip(as_plain(stripped, (8, 8, 4), 3, "it can't be read"))
    np.testing.assert_allclose(twice(x), network(x), atol=1e-5)
    assert twice.count_params() == stripped.count_params()
