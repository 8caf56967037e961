"""VINNAS_TF_KERNELS=plain: another arithmetic, the same step; as a program it writes the figures of that step."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.errors import UserError
from vinnas_tf.kernels import device
from vinnas_tf.layers.batch_normalization import BatchNormalization
from vinnas_tf.layers.cell import MixedCell
from vinnas_tf.layers.convolution import VariationalDense
from vinnas_tf.layers.residual_block import ResidualBlock

# An operation of the fast forms alone.
FUSED = "FusedBatchNormV3"


def step() -> tuple[dict[str, np.ndarray], set[str]]:
    """Loss and gradients of a small supergraph with cells of all spaces; the kinds of operations in its graph."""
    generator = np.random.default_rng(0)
    images = tf.constant(generator.normal(size=(6, 9, 8, 3)), tf.float32)
    labels = tf.constant(generator.integers(3, size=6), tf.int32)
    first = MixedCell(2, 4, reduction=True, seed=1)
    second = MixedCell(3, 8, space="nasbench201", seed=2)
    third = MixedCell(1, 4, space="darts", reduction=True, stride_first=2, seed=5)
    block, normalization = ResidualBlock(4, seed=3), BatchNormalization()
    classifier = VariationalDense(3, seed=4)
    mixing = [tf.constant(generator.dirichlet(np.ones(k), size=n), tf.float32) for n, k in ((5, 10), (6, 5), (2, 8))]
    seeds = kernels.split(tf.constant([1, 2]), 5)

    def loss() -> tf.Tensor:
        x = first(images, images, mixing[0], seed=seeds[0])
        x = third(images, second(x, x, mixing[1], seed=seeds[1]), mixing[2], seed=seeds[4])
        x = normalization(block(x, training=True, seed=seeds[2]), training=True)
        logits = classifier(tf.reduce_mean(x, [1, 2]), training=True, seed=seeds[3])
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))

    loss()  # Makes the variables.
    variables = [v.value for part in (first, second, third, block, classifier) for v in part.trainable_variables]

    @tf.function(autograph=False)
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(mixing)
            value = loss()
        return [value, *tape.gradient(value, [*mixing, *variables])]

    graph = gradients.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    figures = {str(place): figure.numpy() for place, figure in enumerate(gradients())}
    return figures, {node.op for node in nodes}


def run(asked: str, path: Path, repository: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "VINNAS_TF_KERNELS": asked, "PYTHONPATH": str(repository)}
    return subprocess.run([sys.executable, __file__, path], env=environment, capture_output=True, text=True)


def test_a_step_in_plain_form_is_that_in_fast_form(tmp_path, repository):
    fast, operations = step()
    assert FUSED in operations
    done = run("plain", tmp_path / "figures.npz", repository)
    assert done.returncode == 0, done.stderr
    assert FUSED not in done.stdout.split()
    plain = np.load(tmp_path / "figures.npz")
    assert plain.keys() == fast.keys()
    np.testing.assert_allclose(plain["0"], fast["0"], rtol=1e-4)
    for name, expected in fast.items():
        np.testing.assert_allclose(plain[name], expected, atol=1e-4 * np.abs(expected).max())


def test_another_value_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("VINNAS_TF_KERNELS", "fast")
    device.plain.cache_clear()
    try:
        with pytest.raises(UserError, match="^VINNAS_TF_KERNELS must be plain or not set, got 'fast'.$"):
            kernels.max_pool(tf.ones([1, 4, 4, 1]))
    finally:
        device.plain.cache_clear()


if __name__ == "__main__":
    figures, operations = step()
    np.savez(sys.argv[1], **figures)  # type: ignore[arg-type]
    print(*operations)
