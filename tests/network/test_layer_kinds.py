"""What the table of layers claims, held to what the layers do."""

from typing import Any

import keras
import numpy as np
import pytest

from vinnas_tf.network.layer_kinds import FLATTENING, IDENTITIES, ONE_TO_ONE, TRANSPARENT, why_opaque

ARGUMENTS: dict[str, dict[str, Any]] = {
    "DepthwiseConv2D": {"kernel_size": 3},
    "VariationalDepthwiseConv2D": {"kernel_size": 3, "variational": False},
    "Dropout": {"rate": 0.5},
    "SpatialDropout2D": {"rate": 0.5},
    "DropPath": {"rate": 0.5},
    "MaxPooling2D": {"pool_size": 3, "strides": 2, "padding": "same"},
    "AveragePooling2D": {"pool_size": 3, "strides": 2, "padding": "same"},
    "Cropping2D": {"cropping": ((1, 0), (0, 2))},
    "ReLU": {"max_value": 0.5},
}


def made(kind: type[keras.layers.Layer]) -> keras.layers.Layer:
    return kind(**ARGUMENTS.get(kind.__name__, {}))


def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")


@pytest.mark.parametrize("kind", ONE_TO_ONE)
def test_a_channel_is_made_of_one_channel(kind: type[keras.layers.Layer]) -> None:
    layer, x = made(kind), images()
    assert not why_opaque(layer)
    y, other = layer(x).numpy(), x.copy()
    other[..., 1] += 2 * images()[..., 0]
    moved = np.abs(layer(other).numpy() - y).reshape(-1, 3).max(axis=0)
    assert (moved[0], moved[2]) == (0, 0)
    assert moved[1] > 0.1


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_what_is_added_to_a_channel_comes_through(kind: type[keras.layers.Layer]) -> None:
    layer, x = made(kind), images()
    added = np.array([0.5, -2.0, 8.0], np.float32)
    np.testing.assert_allclose(layer(x + added), layer(x) + added, atol=1e-5)
    if issubclass(kind, IDENTITIES):
        np.testing.assert_array_equal(layer(x), x)


@pytest.mark.parametrize("kind", FLATTENING)
def test_flattened_channels_run_fastest(kind: type[keras.layers.Layer]) -> None:
    np.testing.assert_array_equal(np.reshape(kind()(images()), (2, 6, 5, 3)), images())


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (keras.layers.Conv2D(4, 3, groups=2), "groups=2"),
        (
            keras.layers.Conv2D(4, 3, activation="relu", data_format="channels_first"),
            "data_format=channels_first, activation=relu",
        ),
        (keras.layers.Dense(4, activation="relu"), "activation=relu"),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), "depth_multiplier=2"),
        (keras.layers.BatchNormalization(axis=1), "axis=1"),
        (keras.layers.Concatenate(axis=1), "axis=1"),
        (keras.layers.ReLU(negative_slope=0.1), "negative_slope=0.1"),
        (keras.layers.SeparableConv2D(4, 3), "it is a SeparableConv2D"),
        (keras.layers.Conv2DTranspose(4, 3), "it is a Conv2DTranspose"),
        (keras.layers.Conv2D(4, 3, dilation_rate=2, padding="valid"), ""),
        (keras.layers.BatchNormalization(scale=False, center=False), ""),
    ],
)
def test_why_a_layer_is_opaque(layer: keras.layers.Layer, why: str) -> None:
    assert why_opaque(layer) == why
