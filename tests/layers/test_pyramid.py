"""The searched block of PyramidNet against plain TensorFlow, and one whose cell is pruned."""

import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.space import TREE_PYRAMID
from vinnas_tf.errors import UserError
from vinnas_tf.layers.pyramid import PyramidBlock

CHANNELS = 6
PARENT = {2: 0, 3: 0, 4: 1, 5: 1, 6: 2, 7: 2, 8: 3, 9: 3, 10: 4, 11: 4, 12: 5, 13: 5}
LEAVES = range(6, 14)


@pytest.fixture(scope="module")
def block() -> PyramidBlock:
    """One that halves images of 16 channels."""
    made = PyramidBlock(12, CHANNELS, space=TREE_PYRAMID.name, reduction=True, variational=False, seed=3)
    made.build((None, 6, 6, 16), (None, 6, 6, 16))
    return made


def images() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(5, 6, 6, 16)).astype("float32")


def normalized(x: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return (x - mean) / tf.sqrt(variance + 1e-3)


def shortcut() -> tf.Tensor:
    return tf.pad(tf.nn.avg_pool2d(images(), 2, 2, "VALID"), [[0, 0]] * 3 + [[0, 4 * CHANNELS - 16]])


def operated(x: tf.Tensor, kernels: list[np.ndarray]) -> list[tf.Tensor]:
    """Each primitive of the space on one edge, in its order."""
    pointwise, *separable = kernels
    activated, outputs = tf.nn.relu(x), [normalized(tf.nn.conv2d(tf.nn.relu(x), pointwise, 1, "SAME"))]
    for depthwise, last in zip(separable[::2], separable[1::2], strict=True):
        y = tf.nn.depthwise_conv2d(activated, depthwise, [1, 1, 1, 1], "SAME")
        outputs.append(normalized(tf.nn.conv2d(y, last, 1, "SAME")))
    return [*outputs, tf.nn.avg_pool2d(x, 3, 1, "SAME"), tf.nn.max_pool2d(x, 3, 1, "SAME"), x]


def test_a_block_computes_what_its_description_says(block: PyramidBlock) -> None:
    mixing = np.random.default_rng(0).normal(size=(12, 7)).astype("float32")  # Of either sign.
    x = tf.nn.relu(normalized(tf.nn.conv2d(normalized(images()), block.narrowing.mean.value, 1, "SAME")))
    nodes = {}
    for root in (0, 1):
        channels = slice(root * CHANNELS // 2, (root + 1) * CHANNELS // 2)
        kernel = tf.concat([convolution.mean.value[..., channels] for convolution in block.grouped], axis=-1)
        nodes[root] = normalized(tf.nn.conv2d(x, kernel, 2, "SAME"))  # TensorFlow's own groups.
    edges = list(PARENT.items())
    assert [(source, target) for target, source in edges] == list(block.cell.edges)
    for place, (target, source) in enumerate(edges):
        operation = block.cell.operations[source]
        kernels = operation.cut(operation.mean.numpy())[target % 2]
        outputs = operated(nodes[source], kernels)
        nodes[target] = tf.add_n([weight * y for weight, y in zip(mixing[place], outputs, strict=True)])
    y = tf.nn.relu(normalized(tf.add_n([nodes[leaf] for leaf in LEAVES])))
    expected = normalized(tf.nn.conv2d(y, block.widening.mean.value, 1, "SAME")) + shortcut()
    given = block(None, images(), mixing)
    assert given.shape == block.compute_output_shape(None, (5, 6, 6, 16)) == (5, 3, 3, 24)
    np.testing.assert_allclose(given, expected, rtol=1e-3, atol=1e-3)


def test_a_block_whose_cell_is_pruned_is_its_shortcut(block: PyramidBlock) -> None:
    np.testing.assert_array_equal(block(None, images(), np.zeros((12, 7), "float32")), shortcut())


def test_it_can_be_made_anew_from_its_config_and_has_even_channels(block: PyramidBlock) -> None:
    again = PyramidBlock.from_config(block.get_config())
    again.build((None, 6, 6, 16), (None, 6, 6, 16))
    mixing = np.ones((12, 7), "float32")
    np.testing.assert_array_equal(again(None, images(), mixing), block(None, images(), mixing))
    with pytest.raises(UserError, match="channels must be a multiple of 2, got 5"):
        PyramidBlock(12, 5, space=TREE_PYRAMID.name)
