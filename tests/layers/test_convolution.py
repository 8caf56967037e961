"""Variational layers against plain Keras layers and against sampled weights."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.primitives import Convolution
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import WEIGHT_SAMPLING
from vinnas_tf.kernels.noise import VARIANCE_FLOOR
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.layers.sampling import linear_map, sample_linear


def images(batch: int = 3, side: int = 9, channels: int = 4) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(batch, side, side, channels)).astype("float32")


PAIRS = {
    "3x3": (VariationalConv2D(6, (3, 3)), keras.layers.Conv2D(6, 3, padding="same", use_bias=False)),
    "3x3 strided": (
        VariationalConv2D(6, (3, 3), strides=(2, 2)),
        keras.layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False),
    ),
    "1x1 strided": (
        VariationalConv2D(6, (1, 1), strides=(2, 2)),
        keras.layers.Conv2D(6, 1, strides=2, padding="same", use_bias=False),
    ),
    "1x7 strided": (
        VariationalConv2D(6, (1, 7), strides=(1, 2)),
        keras.layers.Conv2D(6, (1, 7), strides=(1, 2), padding="same", use_bias=False),
    ),
    "depthwise 7x7 strided": (
        VariationalDepthwiseConv2D((7, 7), strides=(2, 2)),
        keras.layers.DepthwiseConv2D(7, strides=2, padding="same", use_bias=False),
    ),
    "depthwise 5x5 dilated": (
        VariationalDepthwiseConv2D((5, 5), dilation_rate=2),
        keras.layers.DepthwiseConv2D(5, dilation_rate=2, padding="same", use_bias=False),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_without_variance_it_is_the_plain_convolution(name: str) -> None:
    layer, plain = PAIRS[name]
    x = images()
    expected = plain(x)
    layer.build(x.shape)
    layer.mean.assign(plain.get_weights()[0])
    layer.log_variance.assign(tf.fill(layer.log_variance.shape, -60.0))
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)
    # In training only the guard under the square root, 1e-8, is left of the noise.
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-3, atol=1e-3)


def plain_convolution(x: tf.Tensor, kernel: tf.Tensor, convolution: Convolution, strides: tuple[int, int]) -> tf.Tensor:
    """The convolution in TensorFlow's own operations; a strided dilated one by a kernel with holes."""
    if convolution.factorized:
        # A kernel of 2 x 2 whose first pixel makes one half of the channels, and whose last one the other.
        near, moved = tf.split(kernel, 2, axis=-1)
        empty = tf.zeros_like(kernel)
        first = tf.concat([near, tf.zeros_like(moved)], axis=-1)
        second = tf.concat([tf.zeros_like(near), moved], axis=-1)
        kernel = tf.concat([tf.concat([first, empty], 1), tf.concat([empty, second], 1)], 0)
        return tf.nn.conv2d(x, kernel, strides, "SAME")
    if not convolution.depthwise:
        return tf.nn.conv2d(x, kernel, strides, "SAME")
    if (gap := convolution.dilation) > 1:
        kernel = tf.nn.conv2d_transpose(
            tf.transpose(kernel, [2, 0, 1, 3]),
            tf.ones([1, 1, 1, 1]),
            [kernel.shape[2], *((side - 1) * gap + 1 for side in kernel.shape[:2]), 1],
            gap,
            "VALID",
        )
        kernel = tf.transpose(kernel, [1, 2, 0, 3])
    return tf.nn.depthwise_conv2d(x, kernel, [1, *strides, 1], "SAME")


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize(
    ("convolution", "strides"),
    sorted(
        {
            link
            for space in SPACES.values()
            for name in space.primitives
            for stride in (1, 2)
            for link in space.convolutions(name, stride)
        },
        key=str,
    ),
    ids=str,
)
def test_local_reparametrisation_has_the_gradients_of_its_formula(
    convolution: Convolution, strides: tuple[int, int], side: int
) -> None:
    """Every convolution of all spaces, in input, means and variances, at variances that matter."""
    generator = np.random.default_rng(1)
    x = tf.constant(images(side=side))
    mean = tf.constant(generator.normal(size=convolution.kernel_shape(4)).astype("float32"))
    variance = tf.constant(generator.uniform(0.5, 2.0, size=mean.shape).astype("float32"))
    seed = tf.constant([7, 11])

    def sampled(x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        linear, read = linear_map(x, convolution, strides)
        (y,) = sample_linear([linear], [read], [mean], [variance], [seed])
        return y

    def formula(x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        y = plain_convolution(x, mean, convolution, strides)
        noise = kernels.standard_normal(seed, y.shape)
        return y + tf.sqrt(plain_convolution(x**2, variance, convolution, strides) + VARIANCE_FLOOR) * noise

    results = []
    for function in (sampled, formula):
        with tf.GradientTape() as tape:
            tape.watch([x, mean, variance])
            y = tf.function(function, autograph=False)(x, mean, variance)
            upstream = tf.constant(np.random.default_rng(2).normal(size=y.shape).astype("float32"))
        results.append([y, *tape.gradient(y, [x, mean, variance], upstream)])
    for actual, expected in zip(*results, strict=True):
        assert np.max(np.abs(actual - expected)) <= 1e-4 * np.max(np.abs(expected))


def test_the_backward_pass_is_kept_one_tensor_of_an_outputs_size() -> None:
    """Not mean, variance and noise: of a supergraph's memory most is what its backward pass reads."""
    convolution = Convolution((1, 3))

    kernel = tf.TensorSpec([1, 3, 4, 6])

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 4]), kernel, kernel])
    def step(x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        linear, read = linear_map(x, convolution, (1, 1))
        (y,) = sample_linear([linear], [read], [mean], [variance], [tf.constant([7, 11])])
        forward = set(y.graph.get_operations())
        tf.gradients(tf.reduce_sum(tf.sin(y)), [x, mean, variance])
        backward = [op for op in y.graph.get_operations() if op not in forward]
        kept = {t.ref() for op in backward for t in op.inputs if t.op in forward} - {y.ref()}
        assert [t.deref().shape[-1] for t in kept if t.deref().shape[:1] == [None]].count(6) == 1
        return y

    step.get_concrete_function()


def test_a_dilated_convolution_with_another_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="strides of 1 or of its dilation"):
        VariationalDepthwiseConv2D((3, 3), strides=(2, 2), dilation_rate=3)


@pytest.mark.parametrize(
    "layer",
    [
        VariationalConv2D(2, (3, 3), strides=(2, 2), seed=5),
        VariationalDepthwiseConv2D((3, 3), dilation_rate=2, seed=5),
        VariationalConv2D(2, (3, 3), strides=(2, 2), estimator=WEIGHT_SAMPLING, seed=5),
    ],
    ids=["conv", "dilated depthwise", "conv, weight sampling"],
)
def test_noise_has_the_moments_of_sampled_weights(layer: keras.Layer) -> None:
    """Each output's mean and variance agree with those of a plain convolution whose weights are drawn anew."""
    x = images(batch=1, side=5)
    draws = 4000
    layer.build(x.shape)
    layer.log_variance.assign(np.random.default_rng(1).uniform(-4, -1, layer.log_variance.shape))
    call = tf.function(lambda: layer(x, training=True))
    local = np.stack([call().numpy() for _ in range(draws)])

    generator = np.random.default_rng(2)
    mean, deviation = layer.mean.numpy(), np.exp(0.5 * layer.log_variance.numpy())
    weights = mean + deviation * generator.normal(size=(draws, *mean.shape))
    sampled = []
    for weight in weights.astype("float32"):
        if isinstance(layer, VariationalDepthwiseConv2D):
            y = tf.nn.depthwise_conv2d(x, weight, [1, 1, 1, 1], "SAME", dilations=[2, 2])
        else:
            y = tf.nn.conv2d(x, weight, 2, "SAME")
        sampled.append(y.numpy())
    sampled_array = np.stack(sampled)
    spread = sampled_array.std(axis=0)
    # Six standard errors of a difference of two means, and of a ratio of two variances.
    assert (np.abs(local.mean(axis=0) - sampled_array.mean(axis=0)) < 6 * spread * np.sqrt(2 / draws)).all()
    np.testing.assert_allclose(local.var(axis=0), sampled_array.var(axis=0), rtol=6 * np.sqrt(4 / draws))


def test_the_images_of_a_batch_share_sampled_weights_and_nothing_else() -> None:
    """Equal images get equal outputs under weight sampling, independent ones under local reparametrisation."""
    x = np.repeat(images(batch=1), 2, axis=0)
    first, second = VariationalConv2D(6, (3, 3), estimator=WEIGHT_SAMPLING, seed=5)(x, training=True)
    np.testing.assert_array_equal(first, second)
    first, second = VariationalConv2D(6, (3, 3), seed=5)(x, training=True)
    assert (np.asarray(first) != np.asarray(second)).mean() > 0.99


def test_dense_noise_has_the_analytic_variance() -> None:
    layer = VariationalDense(3, seed=1)
    x = np.random.default_rng(0).normal(size=(1, 7)).astype("float32")
    layer.build(x.shape)
    layer.log_variance.assign(np.random.default_rng(1).uniform(-3, 0, (7, 3)))
    call = tf.function(lambda: layer(x, training=True))
    draws = np.concatenate([call().numpy() for _ in range(6000)])
    np.testing.assert_allclose(draws.mean(axis=0), (x @ layer.mean.numpy())[0], atol=0.15)
    np.testing.assert_allclose(draws.var(axis=0), (x**2 @ np.exp(layer.log_variance.numpy()))[0], rtol=0.12)


def test_evaluation_uses_the_mean_alone_and_training_draws_anew() -> None:
    layer = VariationalConv2D(4, (3, 3), seed=1)
    x = images()
    np.testing.assert_array_equal(layer(x), layer(x, training=False))
    assert not np.array_equal(layer(x, training=True), layer(x, training=True))
    seed = tf.constant([3, 4])
    np.testing.assert_array_equal(layer(x, training=True, seed=seed), layer(x, training=True, seed=seed))


def test_initial_weights_are_glorot_uniform_with_small_variance() -> None:
    layer = VariationalConv2D(64, (3, 3), seed=1)
    layer.build((None, 8, 8, 32))
    limit = np.sqrt(6 / (9 * 32 + 9 * 64))
    mean = layer.mean.numpy()
    assert np.abs(mean).max() <= limit
    np.testing.assert_allclose(mean.var(), limit**2 / 3, rtol=0.05)
    assert (layer.log_variance.numpy() == -10).all()


def test_replicas_of_a_layer_draw_noise_of_their_own():
    """In a process of its own, since TensorFlow splits a CPU into two devices at its start only."""
    program = """
import vinnas_tf, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
from vinnas_tf.layers.convolution import VariationalConv2D
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = VariationalConv2D(1, (1, 1), seed=3)
    layer.build((None, 10, 10, 1))
    layer.mean.assign(tf.zeros_like(layer.mean))
noise = strategy.run(tf.function(lambda: layer(tf.ones([1000, 10, 10, 1]), training=True)))
first, second = (np.ravel(part) for part in strategy.experimental_local_results(noise))
print(np.corrcoef(first, second)[0, 1], first.std())
"""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    correlation, deviation = map(float, output.split())
    assert abs(correlation) < 5 / np.sqrt(1e5)
    assert deviation == pytest.approx(np.exp(-5.0), rel=0.02)  # The square root of the first variance, exp(-10).
