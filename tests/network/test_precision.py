"""A copy in another precision: the same weights, float32 variables and logits, close answers; and back, the same."""

from typing import Any

import keras
import numpy as np
import pytest

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.config import FLOAT32, MIXED_BFLOAT16
from vinnas_tf.network.build import build_network, deterministic_network
from vinnas_tf.network.precision import in_precision

GENOTYPE = Genotype(1, {"reduction": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "max_pool_3x3"))})
IMAGES = np.random.default_rng(0).normal(size=(4, 16, 16, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    size: dict[str, Any] = {"cells": "R", "channels": 4, "image_shape": (16, 16, 1), "classes": 3}
    return build_network(GENOTYPE, **size, auxiliary=True, drop_path=0.1, seed=1)


def test_layers_compute_in_it_but_variables_and_logits_are_float32(network) -> None:
    half = in_precision(network, MIXED_BFLOAT16)
    assert {weight.dtype for weight in half.weights} == {"float32"}
    assert {keras.backend.standardize_dtype(logits.dtype) for logits in half(IMAGES)} == {"float32"}
    computes = {
        layer.name: layer.compute_dtype for layer in half.layers if not isinstance(layer, keras.layers.InputLayer)
    }
    last = {layer.name for layer in half.layers if any(layer.output is logits for logits in half.outputs)}
    assert {name for name, dtype in computes.items() if dtype == "float32"} == last
    for ours, theirs in zip(half.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_answers_are_close_and_not_the_same(network) -> None:
    full, half = (np.asarray(one(IMAGES)[0]) for one in (network, in_precision(network, MIXED_BFLOAT16)))
    difference = np.abs(full - half).max() / np.abs(full).max()
    assert 1e-5 < difference < 0.05


def test_what_is_evaluated_is_float32_again(network) -> None:
    plain = deterministic_network(in_precision(network, MIXED_BFLOAT16))
    assert {layer.compute_dtype for layer in plain.layers} == {"float32"}
    np.testing.assert_array_equal(plain(IMAGES), deterministic_network(network)(IMAGES))
    for one in (in_precision(network, FLOAT32), in_precision(in_precision(network, MIXED_BFLOAT16), FLOAT32)):
        np.testing.assert_array_equal(one(IMAGES)[0], network(IMAGES)[0])
