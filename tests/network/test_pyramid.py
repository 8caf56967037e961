"""PyramidNet around found cells: published parameter counts, its logits in plain TensorFlow, what stripping leaves."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.primitives import PRIMITIVES, Primitive
from vinnas_tf.architecture.space import SPACES, TREE_PYRAMID
from vinnas_tf.errors import UserError
from vinnas_tf.network.build import build_network
from vinnas_tf.network.stripping import strip

STAGES = "N" * 18 + "R" + "N" * 17 + "R" + "N" * 17  # The N = 18 blocks a stage of the paper.
PLAIN = (Edge(2, 0, "skip"), Edge(6, 2, "skip"))
# TreeCell-A (Cai et al. 2018, figure 7). One of its nodes splits the channels: half of them are averaged, the others go
# through a convolution.
TREE_CELL_A = (
    Edge(2, 0, "conv_1x1"), Edge(3, 0, "max_pool_3x3"), Edge(4, 1, "sep_conv_5x5"), Edge(5, 1, "sep_conv_3x3"),
    Edge(6, 2, "halves"), Edge(8, 3, "sep_conv_3x3"), Edge(9, 3, "sep_conv_5x5"),
    Edge(10, 4, "sep_conv_5x5"), Edge(10, 4, "avg_pool_3x3"), Edge(11, 4, "avg_pool_3x3"),
    Edge(12, 5, "avg_pool_3x3"), Edge(13, 5, "sep_conv_3x3"),
)  # fmt: skip
# Two operations on an edge, a leaf that is the root itself twice, and a branch that ends before a leaf.
CELL = (
    Edge(2, 0, "skip"), Edge(2, 0, "sep_conv_3x3"), Edge(6, 2, "max_pool_3x3"), Edge(6, 2, "conv_1x1"),
    Edge(4, 1, "skip"), Edge(10, 4, "skip"), Edge(11, 4, "skip"), Edge(5, 1, "sep_conv_5x5"),
)  # fmt: skip


def halves(channels: int, stride: int, name: str) -> keras.Model:
    """The node of TreeCell-A that splits its channels."""
    image = keras.Input((None, None, channels))
    first, second = image[..., : channels // 2], image[..., channels // 2 :]
    first = keras.layers.AveragePooling2D(3, stride, padding="same")(first)
    second = keras.layers.ReLU()(keras.layers.BatchNormalization()(second))
    second = keras.layers.SeparableConv2D(channels // 2, 7, stride, padding="same", use_bias=False)(second)
    return keras.Model(image, keras.layers.Concatenate()([first, second]), name=name)


def genotype(*cells: tuple[Edge, ...], space: str = TREE_PYRAMID.name) -> Genotype:
    return Genotype(12, {f"block_{position}": cell for position, cell in enumerate(cells)}, space)


def network(found: Genotype, cells: str, widening: int, side: int = 8, seed: int = 0) -> keras.Model:
    shape: dict[str, Any] = {"image_shape": (side, side, 3), "classes": 10}
    return build_network(found, cells=cells, channels=widening, variational=False, seed=seed, **shape)


def counted(model: keras.Model) -> int:
    return sum(variable.shape.num_elements() for variable in model.trainable_variables)


def formula(blocks: int, widening: int, cell: Callable[[int], int]) -> int:
    """The count from PyramidNet's description, with a cell of so many parameters at a width."""
    parameters, before = 27 * 16 + 2 * 16, 16
    for block in range(1, blocks + 1):
        width = round(16 + widening * block / blocks) // 2 * 2
        parameters += 2 * before + before * width + cell(width) + 2 * width + 4 * width**2 + 2 * 4 * width
        before = 4 * width
    return parameters + 2 * before + 10 * before + 10


def grouped(width: int) -> int:
    return 9 * width**2 // 2 + 2 * width


def tree_cell_a(width: int) -> int:
    def separable(size: int, channels: int = width) -> int:
        return size**2 * channels + channels**2 + 2 * channels

    pointwise = width**2 + 2 * width
    return 2 * grouped(width) + pointwise + 3 * separable(3) + 3 * separable(5) + separable(7, width // 2)


def test_a_plain_pyramid_has_its_published_count() -> None:
    assert counted(network(genotype(*[PLAIN] * 54), STAGES, 84, side=32)) == formula(54, 84, grouped) == 2_740_368


def test_tree_cell_a_has_its_published_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """5.7 and 14.3 million, as Cai et al. 2018 print them; the network is held to the formula where it is small."""
    monkeypatch.setitem(PRIMITIVES, "halves", Primitive(layer=halves))
    wider = dataclasses.replace(TREE_PYRAMID, name="wider", primitives=(*TREE_PYRAMID.primitives, "halves"))
    monkeypatch.setitem(SPACES, "wider", wider)
    assert formula(54, 84, tree_cell_a) == 5_724_330
    assert formula(54, 150, tree_cell_a) == 14_273_454
    small = genotype(*[TREE_CELL_A] * 3, space="wider")
    assert counted(network(small, "NRN", 13)) == formula(3, 13, tree_cell_a)


def randomise(model: keras.Model, seed: int = 0) -> None:
    """Draws batch normalisation's scale, shift and statistics, as training would leave them."""
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (generator.normal(size=w.shape) for w in layer.get_weights())
            layer.set_weights([1 + 0.3 * gamma, 0.3 * beta, 0.3 * mean, np.exp(0.3 * variance)])


def in_plain_tensorflow(model: keras.Model, found: Genotype, cells: str, x: tf.Tensor) -> tf.Tensor:
    """The logits of `model`, from its weights alone: widths and wiring are those of the description."""

    def kernel(name: str) -> tf.Tensor:
        return tf.convert_to_tensor(model.get_layer(name).mean)

    def normalize(x: tf.Tensor, name: str) -> tf.Tensor:
        gamma, beta, mean, variance = model.get_layer(name).get_weights()
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, model.get_layer(name).epsilon)

    def convolve(x: tf.Tensor, name: str, stride: int = 1) -> tf.Tensor:
        return tf.nn.conv2d(x, kernel(name), stride, "SAME")

    def operate(x: tf.Tensor, primitive: str, name: str) -> tf.Tensor:
        if primitive == "skip":
            return x
        if primitive == "max_pool_3x3":
            return tf.nn.max_pool2d(x, 3, 1, "SAME")
        x = tf.nn.relu(normalize(x, f"{name}_bn"))
        if primitive == "conv_1x1":
            return convolve(x, f"{name}_conv_0")
        x = tf.nn.depthwise_conv2d(x, kernel(f"{name}_conv_0"), [1, 1, 1, 1], "SAME")
        return convolve(x, f"{name}_conv_1")

    x = normalize(convolve(x, "stem_conv"), "stem_bn")
    for position, letter in enumerate(cells):
        name, stride = f"cell_{position}", 2 if letter == "R" else 1
        shortcut = tf.nn.avg_pool2d(x, 2, 2, "SAME") if letter == "R" else x
        if not found.cells[f"block_{position}"]:
            x = shortcut
            continue
        y = convolve(normalize(x, f"{name}_first_bn"), f"{name}_first_conv")
        nodes: dict[int, tf.Tensor] = {}
        for root in (0, 1):
            z = tf.nn.relu(normalize(y, f"{name}_root_{root}_bn"))
            weights = tf.concat([kernel(f"{name}_root_{root}_conv_{group}") for group in (0, 1)], axis=-1)
            nodes[root] = tf.nn.conv2d(z, weights, stride, "SAME")  # TensorFlow's own groups.
        for edge in sorted(found.cells[f"block_{position}"], key=lambda edge: edge.target):
            if edge.target not in (5,):  # It ends before a leaf.
                term = operate(
                    nodes[edge.source], edge.primitive, f"{name}_{edge.source}to{edge.target}_{edge.primitive}"
                )
                nodes[edge.target] = nodes.get(edge.target, 0) + term
        y = tf.add_n([value for node, value in nodes.items() if node >= 6])
        y = normalize(convolve(tf.nn.relu(normalize(y, f"{name}_last_bn")), f"{name}_last_conv"), f"{name}_block_bn")
        x = y + tf.pad(shortcut, [[0, 0]] * 3 + [[0, y.shape[-1] - shortcut.shape[-1]]])
    x = tf.reduce_mean(tf.nn.relu(normalize(x, "last_bn")), axis=[1, 2])
    classifier = model.get_layer("classifier")
    return x @ tf.convert_to_tensor(classifier.mean) + tf.convert_to_tensor(classifier.bias)


def test_its_logits_are_those_of_the_description_and_stripping_changes_none() -> None:
    found, cells = genotype(CELL, (), CELL, CELL), "NNRN"
    model = network(found, cells, 9)  # Widths of 18, 20, 22 and 24: one is rounded to an even number.
    randomise(model)
    images = np.random.default_rng(1).normal(size=(4, 8, 8, 3)).astype("float32")
    logits = model(images, training=False)
    np.testing.assert_allclose(logits, in_plain_tensorflow(model, found, cells, images), rtol=1e-4, atol=1e-4)
    assert not [layer.name for layer in model.layers if "cell_0_1to5" in layer.name]

    generator = np.random.default_rng(2)
    for layer in model.layers:
        if layer.name.endswith(("conv", "conv_0", "conv_1")):
            kernel = np.array(layer.mean) * (generator.uniform(size=layer.mean.shape) > 0.5)
            kernel[..., generator.permutation(kernel.shape[-1])[: kernel.shape[-1] // 3]] = 0
            layer.mean.assign(kernel)
    stripped = strip(model)
    np.testing.assert_allclose(stripped(images), model(images, training=False), rtol=1e-3, atol=1e-4)
    assert counted(stripped) < counted(model)


@pytest.mark.parametrize(
    ("cells", "stem", "message"),
    [
        ("NN", "plain", "cells=NN has 2 cells, each with an architecture of its own, and the genotype has 3"),
        ("NRN", "imagenet", "space=tree_pyramid has stem=plain alone, got stem=imagenet: leave stem out"),
    ],
)
def test_what_does_not_fit_the_skeleton_is_refused(cells: str, stem: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_network(genotype(CELL, CELL, PLAIN), cells=cells, channels=8, image_shape=(8, 8, 3), classes=2, stem=stem)


def test_a_pyramid_of_shortcuts_alone_is_refused() -> None:
    with pytest.raises(UserError, match="nothing leads from input to output of any cell of the genotype"):
        network(genotype((), PLAIN[:1]), "NN", 8)
