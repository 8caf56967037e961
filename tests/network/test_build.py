"""The evaluation network: parameter counts by hand, its forward pass in plain TensorFlow, noise, saving, bad input."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import NASBENCH201
from vinnas_tf.config import SearchConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods import make_method
from vinnas_tf.methods.base import Draw
from vinnas_tf.network.build import build_network, evaluation_network, gaussian_layers, weight_posteriors
from vinnas_tf.search.supergraph import Supergraph
from vinnas_tf.variational import weight_kl

# Between them every primitive but zero, at stride 1 and at stride 2.
FIRST = Genotype(
    2,
    {
        "reduction": (
            Edge(2, 0, "sep_conv_3x3"),
            Edge(2, 1, "conv_7x1_1x7"),
            Edge(3, 0, "dil_conv_5x5"),
            Edge(3, 1, "skip"),
            Edge(3, 2, "avg_pool_3x3"),
        )
    },
)
BOTH = Genotype(
    2,
    {
        "normal": (Edge(2, 0, "skip"), Edge(2, 1, "dil_conv_3x3"), Edge(3, 1, "sep_conv_7x7"), Edge(3, 2, "skip")),
        "reduction": (Edge(2, 0, "max_pool_3x3"), Edge(2, 1, "sep_conv_5x5"), Edge(3, 2, "conv_7x1_1x7")),
    },
)


def randomise(model: keras.Model, seed: int = 0) -> None:
    """Draws batch normalisation's scale, shift and statistics, and biases, as training would leave them."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (generator.normal(size=w.shape) for w in layer.get_weights())
            layer.set_weights([1 + 0.3 * gamma, 0.3 * beta, 0.3 * mean, np.exp(0.3 * variance)])
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(generator.normal(size=layer.bias.shape))


def images(shape: tuple[int, ...], batch: int = 4) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(batch, *shape)).astype("float32")


def test_parameter_count_of_one_cell_by_hand() -> None:
    model = build_network(FIRST, cells="R", channels=3, image_shape=(8, 8, 1), classes=10)
    width = 6
    kernels = (
        9 * 1 * 3  # stem
        + 2 * 3 * width  # preprocessing of both inputs
        + 9 * width + width * width  # sep_conv_3x3
        + 2 * 7 * width * width  # conv_7x1_1x7
        + 25 * width + width * width  # dil_conv_5x5
        + width * width  # strided skip
        + 2 * width * 10  # classifier
    )  # fmt: skip
    # Stem, two preprocessings and the four operations that end in batch normalisation, scale and shift each; biases.
    others = 2 * 3 + 2 * 2 * width + 4 * 2 * width + 10
    trained = {weight.path: weight.shape.num_elements() for weight in model.trainable_weights}
    assert sum(size for path, size in trained.items() if path.endswith("/mean")) == kernels == 999
    assert sum(size for path, size in trained.items() if path.endswith("/log_variance")) == kernels
    assert sum(trained.values()) - 2 * kernels == others == 88


def test_point_weights_have_no_log_variance() -> None:
    model = build_network(FIRST, cells="R", channels=3, image_shape=(8, 8, 1), classes=10, variational=False)
    assert sum(weight.shape.num_elements() for weight in model.trainable_weights) == 999 + 88
    assert not list(gaussian_layers(model))
    assert float(weight_kl(weight_posteriors(model))) == 0


def test_forward_pass_in_plain_tensorflow() -> None:
    """One reduction cell written out by hand, with the layers' weights and nothing else of ours."""
    model = build_network(FIRST, cells="R", channels=3, image_shape=(9, 8, 2), classes=5)
    randomise(model)

    def kernel(name: str) -> np.ndarray:
        return model.get_layer(name).mean.numpy()

    def bn(x: tf.Tensor, name: str) -> tf.Tensor:
        gamma, beta, mean, variance = model.get_layer(name + "_bn").get_weights()
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    def conv(x: tf.Tensor, name: str, strides: tuple[int, int] = (1, 1)) -> tf.Tensor:
        return tf.nn.conv2d(x, kernel(name), strides, "SAME")

    def depthwise(x: tf.Tensor, name: str, stride: int) -> tf.Tensor:
        return tf.nn.depthwise_conv2d(x, kernel(name), [1, stride, stride, 1], "SAME")

    x = images((9, 8, 2))
    stem = bn(conv(x, "stem_conv"), "stem")
    node0 = bn(conv(tf.nn.relu(stem), "cell_0_first_conv"), "cell_0_first")
    node1 = bn(conv(tf.nn.relu(stem), "cell_0_second_conv"), "cell_0_second")

    name = "cell_0_0to2_sep_conv_3x3"
    separable = tf.nn.relu(bn(conv(depthwise(node0, name + "_conv_0", 2), name + "_conv_1"), name))
    name = "cell_0_1to2_conv_7x1_1x7"
    long = tf.nn.relu(bn(conv(conv(node1, name + "_conv_0", (2, 1)), name + "_conv_1", (1, 2)), name))
    node2 = separable + long

    name = "cell_0_0to3_dil_conv_5x5"
    # A 5 x 5 kernel dilated by 2 is a 9 x 9 one with holes.
    holes = np.zeros((9, 9, 6, 1), "float32")
    holes[::2, ::2] = kernel(name + "_conv_0")
    dilated = tf.nn.depthwise_conv2d(node0, holes, [1, 2, 2, 1], "SAME")
    dilated = tf.nn.relu(bn(conv(dilated, name + "_conv_1"), name))
    skip = conv(node1, "cell_0_1to3_skip_conv_0", (2, 2))
    pool = tf.nn.relu(bn(tf.nn.avg_pool2d(node2, 3, 1, "SAME"), "cell_0_2to3_avg_pool_3x3"))
    node3 = dilated + skip + pool

    features = tf.reduce_mean(tf.concat([node2, node3], axis=-1), axis=[1, 2])
    expected = features @ kernel("classifier") + model.get_layer("classifier").bias.numpy()
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)


def test_skeleton_halves_images_and_doubles_channels_at_reductions() -> None:
    model = build_network(BOTH, cells="NRNR", channels=4, image_shape=(13, 12, 3), classes=7)
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert [shapes[f"cell_{position}_output"] for position in range(4)] == [
        (13, 12, 8),
        (7, 6, 16),
        (7, 6, 16),
        (4, 3, 32),
    ]
    # Cell 2's first input is cell 0's output, twice its size: the preprocessing halves it.
    assert shapes["cell_2_first_conv"] == shapes["cell_2_second_conv"] == (7, 6, 8)
    assert model.output_shape == (None, 7)


def test_without_variance_training_equals_evaluation_but_for_batch_statistics() -> None:
    model = build_network(BOTH, cells="NR", channels=4, image_shape=(8, 8, 3), classes=5)
    randomise(model)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # Keras then uses its running statistics in training too.
    x = images((8, 8, 3))
    expected = model(x)
    assert np.abs(model(x, training=True) - expected).max() > 0.01
    for layer in gaussian_layers(model):
        layer.log_variance.assign(np.full(layer.log_variance.shape, -60.0))
    # What is left is the guard under the square root, noise of 1e-4 on each pre-activation.
    np.testing.assert_allclose(model(x, training=True), expected, atol=0.01)


def test_cross_entropy_reaches_every_trained_variable() -> None:
    model = build_network(BOTH, cells="NR", channels=4, image_shape=(8, 8, 3), classes=5, drop_path=0.1)
    x, labels = images((8, 8, 3), batch=16), np.arange(16) % 5
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path


def test_a_cell_of_nasbench201_is_that_of_its_supergraph() -> None:
    """The found network with one-hot supergraph's weights gives its logits: both have batch statistics in training."""
    genotype = Genotype(
        3,
        {
            "normal": (
                *(Edge(1, 0, "conv_3x3"), Edge(2, 0, "avg_pool_3x3"), Edge(2, 1, "conv_1x1")),
                *(Edge(3, 0, "skip"), Edge(3, 1, "conv_3x3"), Edge(3, 2, "conv_1x1")),
            )
        },
        "nasbench201",
    )
    config = SearchConfig(space="nasbench201", method="darts", cells="NRN", states=3, channels=4, seed=1)
    supergraph = Supergraph(make_method(config), 10)
    supergraph.build((None, 8, 8, 3))
    network = build_network(genotype, cells="NRN", channels=4, image_shape=(8, 8, 3), classes=10, variational=False)
    network.get_layer("stem_conv").mean.assign(supergraph.stem.convolutions[0].mean)
    network.get_layer("classifier").set_weights(supergraph.classifier.get_weights())
    for part in ("first", "second", "shortcut"):
        network.get_layer(f"cell_1_{part}_conv").mean.assign(getattr(supergraph.cells[1], part).mean)
    mixing = np.zeros((6, 5), "float32")
    for edge in genotype.cells["normal"]:
        row = NASBENCH201.edges(3).index((edge.source, edge.target))
        mixing[row, NASBENCH201.primitives.index(edge.primitive)] = 1
        if not edge.primitive.startswith("conv"):
            continue
        for position in (0, 2):
            operation = supergraph.cells[position].operations[edge.source]
            # For each edge out of the source, by target, its 1x1 kernel and its 3x3 kernel.
            own = operation.cut(operation.mean.numpy())[edge.target - edge.source - 1]
            kernel = own[0 if edge.primitive == "conv_1x1" else 1]
            layer = network.get_layer(f"cell_{position}_{edge.source}to{edge.target}_{edge.primitive}_conv_0")
            layer.mean.assign(kernel.reshape(layer.mean.shape))
    x = images((8, 8, 3))
    expected = supergraph(x, Draw({"normal": tf.constant(mixing)}, None))
    np.testing.assert_allclose(network(x, training=True), expected, rtol=1e-3, atol=1e-4)
    assert np.std(expected, axis=0).max() > 0.05


def test_a_cell_without_a_way_through_is_refused() -> None:
    dead = Genotype(3, {"normal": (Edge(1, 0, "conv_3x3"), Edge(3, 2, "skip"))}, "nasbench201")
    with pytest.raises(UserError, match="nothing leads from input to output of the genotype's normal cell"):
        build_network(dead, cells="N", channels=4, image_shape=(8, 8, 3), classes=10)


@pytest.mark.parametrize(("log_ratio", "exact"), [(-4, 2.62575), (-2, 1.54415), (0, 0.42669), (3, 0.02469)])
def test_kl_divergence_sums_over_every_weight(log_ratio: float, exact: float) -> None:
    """Each of the 999 weights adds the divergence that numerical integration gives for its noise ratio."""
    model = build_network(FIRST, cells="R", channels=3, image_shape=(8, 8, 1), classes=10)
    for layer in gaussian_layers(model):
        layer.mean.assign(np.full(layer.mean.shape, 2.0))
        layer.log_variance.assign(np.full(layer.mean.shape, log_ratio + np.log(4.0)))
    assert abs(float(weight_kl(weight_posteriors(model))) / 999 - exact) < 0.0095


def test_saved_and_loaded_network_predicts_the_same(tmp_path: Path) -> None:
    model = build_network(
        BOTH, cells="NR", channels=4, image_shape=(8, 8, 3), classes=5, drop_path=0.2, auxiliary=True, seed=3
    )
    randomise(model)
    model.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    x = images((8, 8, 3))
    for output, expected in zip(loaded(x), model(x), strict=True):
        np.testing.assert_array_equal(output, expected)
    # The seeds are part of the file: training's first noise and first dropped paths are the same.
    for output, expected in zip(loaded(x, training=True), model(x, training=True), strict=True):
        np.testing.assert_array_equal(output, expected)


def test_seed_decides_the_initial_weights() -> None:
    def stem(seed: int) -> np.ndarray:
        model = build_network(FIRST, cells="R", channels=3, image_shape=(8, 8, 1), classes=10, seed=seed)
        return model.get_layer("stem_conv").mean.numpy()

    np.testing.assert_array_equal(stem(1), stem(1))
    assert not np.array_equal(stem(1), stem(2))


def test_drop_path_follows_every_operation_but_the_identity() -> None:
    model = build_network(BOTH, cells="NR", channels=4, image_shape=(8, 8, 3), classes=5, drop_path=0.2)
    dropped = {layer.name.removesuffix("_drop_path") for layer in model.layers if "drop_path" in layer.name}
    assert dropped == {
        "cell_0_1to2_dil_conv_3x3",
        "cell_0_1to3_sep_conv_7x7",
        "cell_1_0to2_max_pool_3x3",
        "cell_1_1to2_sep_conv_5x5",
        "cell_1_2to3_conv_7x1_1x7",
    }


def test_auxiliary_tower_reads_the_last_reduction_and_leaves_without_a_trace() -> None:
    arguments: dict[str, Any] = {"cells": "NRNRN", "channels": 2, "image_shape": (32, 32, 3), "classes": 6}
    plain = build_network(BOTH, **arguments)
    model = build_network(BOTH, auxiliary=True, **arguments)
    x = images((32, 32, 3), batch=2)
    logits, auxiliary = model(x)
    assert logits.shape == auxiliary.shape == (2, 6)
    np.testing.assert_array_equal(model.get_layer("auxiliary_relu_0").input.shape, (None, 8, 8, 16))
    assert model.get_layer("auxiliary_pool").pool_size == (5, 5)  # DARTS, AuxiliaryHeadCIFAR
    # 1x1 convolution to 128, 2x2 convolution to 768, classifier; scales and shifts.
    tower = 16 * 128 + 4 * 128 * 768 + 768 * 6 + 6 + 2 * 128 + 2 * 768
    assert sum(v.shape.num_elements() for v in model.trainable_weights) == tower + sum(
        v.shape.num_elements() for v in plain.trainable_weights
    )
    shipped = evaluation_network(model)
    np.testing.assert_array_equal(shipped(x), logits)
    assert [layer.name for layer in shipped.layers] == [layer.name for layer in plain.layers]


@pytest.mark.parametrize(
    ("genotype", "arguments", "message"),
    [
        (FIRST, {"cells": "NR"}, "cells=NR needs a normal cell and the genotype has none"),
        (BOTH, {"cells": "NXR"}, "cells must be a word of N and R"),
        (BOTH, {"cells": "RRRR"}, "cells=RRRR halves images 4 times, which 8 pixels do not allow"),
        (BOTH, {"channels": 0}, "channels must be at least 1, got 0"),
        (BOTH, {"drop_path": 1.0}, r"drop_path must lie in \[0, 1\), got 1.0"),
        (BOTH, {"cells": "N", "auxiliary": True}, "cells=N has none"),
        (
            BOTH,
            {"cells": "RR", "auxiliary": True},
            "auxiliary tower needs 4 pixels a side .* got 2",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(genotype: Genotype, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build_network(genotype, **{"cells": "NR", "channels": 2, "image_shape": (8, 8, 1), "classes": 3} | arguments)
    assert "\n" not in str(caught.value)
