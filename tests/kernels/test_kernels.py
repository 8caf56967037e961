"""Each fast kernel against the plain TensorFlow form; the noise against the normal distribution."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vinnas_tf import kernels
from vinnas_tf.kernels import convolution, pooling

DRAWS = 10**7


@pytest.fixture(params=["CPU", "GPU"])
def forms(request, monkeypatch):
    """The forms for either device; those for a GPU run on a CPU too."""
    for module in (convolution, pooling):
        monkeypatch.setattr(module, "cpu_forms", lambda: request.param == "CPU")


def random_images(*shape: int, seed: int = 0, dtype: str = "float32") -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32), dtype)


def value_and_gradients(function, *inputs):
    """The function's value, and its gradients under a fixed random upstream, inside a tf.function as in training."""
    y = function(*inputs)
    upstream = random_images(*y.shape, seed=99, dtype=y.dtype)

    @tf.function(autograph=False)
    def run(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs)
        return [y, *tape.gradient(y, inputs, upstream)]

    return [x.numpy().astype(np.float32) for x in run(*inputs)]


def assert_equal_in_value_and_gradients(
    fast, plain, *images, kernel=None, any_size=True, known_channels=False, tolerance=1e-4
):
    """`fast` against `plain`, of images and at last a `kernel`; in a graph for `any_size` as well as for theirs."""
    inputs = [x for x in (*images, kernel) if x is not None]

    def of_any_size(*inputs):
        hidden = [[None] * x.shape.rank for x in inputs]
        if kernel is not None:
            hidden[-1][:2] = kernel.shape[:2]
        if known_channels:
            hidden[0][-1] = inputs[0].shape[-1]
        return fast(*map(tf.compat.v1.placeholder_with_default, inputs, hidden))

    plain_values = value_and_gradients(plain, *inputs)
    for form in (fast, of_any_size) if any_size else (fast,):
        for actual, expected in zip(value_and_gradients(form, *inputs), plain_values, strict=True):
            assert actual.shape == expected.shape
            assert np.max(np.abs(actual - expected)) <= tolerance * np.max(np.abs(expected))


def plain_depthwise(x, kernel, stride, dilation):
    """Shifted products, summed: no convolution operation at all."""
    height, width = x.shape[1:3]
    out = [-(-size // stride) for size in (height, width)]
    extents = [(size - 1) * dilation + 1 for size in kernel.shape[:2]]
    totals = [max((o - 1) * stride + e - s, 0) for o, e, s in zip(out, extents, (height, width), strict=True)]
    padded = tf.pad(x, [[0, 0], *[[t // 2, t - t // 2 + stride] for t in totals], [0, 0]])
    y = 0.0
    for i, j in itertools.product(*map(range, kernel.shape[:2])):
        rows, columns = (
            slice(o * dilation, o * dilation + (size - 1) * stride + 1, stride)
            for o, size in zip((i, j), out, strict=True)
        )
        y += padded[:, rows, columns] * kernel[i, j, :, 0]
    return y


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("kernel_size", "dilation"), [(3, 1), (4, 1), (5, 1), (7, 1), (3, 2), (5, 2)])
@pytest.mark.usefixtures("forms")
def test_depthwise_conv_equals_shifted_products(size, stride, kernel_size, dilation):
    def fast(x, kernel):
        if stride == dilation > 1:
            x = kernels.one_phase(x, (kernel_size, kernel_size), stride)
            return kernels.depthwise_conv(x, kernel, padding="VALID")
        if dilation > 1:
            phases, join = kernels.phases(x, dilation)
            return join(kernels.depthwise_conv(phases, kernel))
        return kernels.depthwise_conv(x, kernel, stride)

    x, kernel = random_images(3, *size, 5), random_images(kernel_size, kernel_size, 5, 1, seed=1)
    assert_equal_in_value_and_gradients(fast, lambda x, k: plain_depthwise(x, k, stride, dilation), x, kernel=kernel)


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_phases_turn_dilation_into_a_plain_convolution_and_back(size):
    x = random_images(2, *size, 3)
    phases, join = kernels.phases(x, 2)
    np.testing.assert_array_equal(phases[:2, :3, :3], x[:, ::2, ::2][:, :3, :3])
    np.testing.assert_array_equal(join(phases), x)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.usefixtures("forms")
def test_pointwise_conv_equals_conv2d(stride):
    x, kernel = random_images(3, 7, 8, 6), random_images(1, 1, 6, 4, seed=1)
    assert_equal_in_value_and_gradients(
        lambda x, k: kernels.pointwise_conv(kernels.one_phase(x, (1, 1), stride), k),
        lambda x, k: tf.nn.conv2d(x, k, stride, "SAME"),
        x,
        kernel=kernel,
    )


def test_pointwise_conv_takes_images_of_which_only_the_channels_are_known():
    def fast(x, kernel):
        return kernels.pointwise_conv(tf.compat.v1.placeholder_with_default(x, [None, None, None, 6]), kernel)

    x, kernel = random_images(3, 7, 8, 6), random_images(1, 1, 6, 4, seed=1)
    plain = lambda x, k: tf.nn.conv2d(x, k, 1, "SAME")  # noqa: E731
    assert_equal_in_value_and_gradients(fast, plain, x, kernel=kernel, any_size=kernels.convolves_groups(x.dtype))


@pytest.mark.parametrize("stride", [1, 2, (2, 1), (1, 2)])
@pytest.mark.parametrize("kernel_size", [(7, 1), (1, 7), (3, 3)])
def test_conv_equals_conv2d(kernel_size, stride):
    x, kernel = random_images(3, 8, 9, 4), random_images(*kernel_size, 4, 6, seed=1)
    assert_equal_in_value_and_gradients(
        lambda x, k: kernels.conv(x, k, stride), lambda x, k: tf.nn.conv2d(x, k, stride, "SAME"), x, kernel=kernel
    )


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (6, 5)])
@pytest.mark.usefixtures("forms")
def test_a_factorised_reduction_reads_one_image_and_one_moved_by_a_pixel(size, groups):
    def plain(x, kernel):
        rows, columns = (-(-side // 2) for side in size)
        near = x[:, ::2, ::2]
        far = tf.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]])[:, 1::2, 1::2][:, :rows, :columns]
        halves = tf.split(kernel[0, 0], 2 * groups, axis=-1)
        return tf.concat([(far if place % 2 else near) @ half for place, half in enumerate(halves)], -1)

    assert_equal_in_value_and_gradients(
        lambda x, kernel: kernels.factorized_conv(kernels.factorized_phases(x), kernel, groups),
        plain,
        random_images(2, *size, 3),
        kernel=random_images(1, 1, 3, 4 * groups, seed=1),
        known_channels=True,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])  # oneDNN has the gradients of groups in the first.
@pytest.mark.parametrize(("kernel_size", "stride"), [((1, 1), 1), ((1, 7), 1), ((1, 7), (1, 2)), ((3, 3), 1)])
def test_groups_are_convolved_each_on_its_own(kernel_size, stride, dtype):
    x = random_images(3, 8, 6, 12, dtype=dtype)
    kernel = random_images(*kernel_size, 4, 3 * 4, seed=1, dtype=dtype)

    def fast(x, kernel):
        return kernels.pointwise_conv(x, kernel) if kernel_size == (1, 1) else kernels.conv(x, kernel, stride)

    def plain(x, kernel):
        parts = [(x[..., first : first + 4], kernel[..., first : first + 4]) for first in (0, 4, 8)]
        return tf.concat([tf.nn.conv2d(part, own, stride, "SAME") for part, own in parts], -1)

    assert_equal_in_value_and_gradients(fast, plain, x, kernel=kernel, any_size=kernels.convolves_groups(x.dtype))


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("pool", ["max", "avg"])
@pytest.mark.usefixtures("forms")
def test_pools_equal_tensorflow(pool, stride, size):
    fast, plain = {
        "max": (kernels.max_pool, tf.nn.max_pool2d),
        "avg": (kernels.avg_pool, tf.nn.avg_pool2d),
    }[pool]
    assert_equal_in_value_and_gradients(
        lambda x: fast(x, stride), lambda x: plain(x, 3, stride, "SAME"), random_images(3, *size, 5)
    )


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
@pytest.mark.parametrize("stride", [1, 2])
def test_max_pool_sends_the_gradient_of_a_tie_to_one_pixel_as_tensorflow_does(size, stride):
    x = tf.constant(np.random.default_rng(0).integers(0, 3, (2, *size, 3)).astype(np.float32))
    assert_equal_in_value_and_gradients(
        lambda x: kernels.max_pool(x, stride), lambda x: tf.nn.max_pool2d(x, 3, stride, "SAME"), x
    )


@pytest.mark.parametrize("shape", [(4, 8, 8, 16), (3, 5, 7, 6)])
@pytest.mark.parametrize(
    ("fast", "activation"), [(kernels.normalize, tf.identity), (kernels.normalize_relu, tf.nn.relu)]
)
def test_normalisation_equals_its_formula(fast, activation, shape):
    def plain(x, weight):
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        return weight * activation((x - mean) / tf.sqrt(variance + 1e-3))

    x = random_images(*shape) * 3.0 + 2.0
    weight = tf.linspace(0.1, 0.9, shape[-1])
    assert_equal_in_value_and_gradients(fast, plain, x, weight, known_channels=True)
    assert_equal_in_value_and_gradients(fast, lambda x: plain(x, 1.0), x, known_channels=True)


@pytest.mark.parametrize(
    ("fast", "activation"), [(kernels.normalize, tf.identity), (kernels.normalize_relu, tf.nn.relu)]
)
def test_normalisation_by_given_statistics_is_that_of_keras(fast, activation):
    mean, variance = (np.random.default_rng(seed).uniform(0.1, 2.0, 6).astype("float32") for seed in range(2))
    layer = keras.layers.BatchNormalization(center=False, scale=False)
    layer.build((None, None, None, 6))
    layer.set_weights([mean, variance])
    assert_equal_in_value_and_gradients(
        lambda x, weight: fast(x, weight, lambda _: (tf.constant(mean), tf.constant(variance))),
        lambda x, weight: weight * activation(layer(x, training=False)),
        random_images(3, 5, 7, 6),
        tf.linspace(0.1, 0.9, 6),
        known_channels=True,
    )


def test_pooled_statistics_are_those_of_all_images_in_the_order_of_the_calls():
    first, second = random_images(6, 5, 7, 3).numpy() * 2.0 + 1.0, random_images(6, 2, 2, 4, seed=1).numpy()
    second[3:] += 5.0  # So that the variance of the two batches' means counts.
    kept = []
    for batch in (slice(3), slice(3, 6)):
        statistics = kernels.BatchStatistics()
        for x in (first, second):
            mean, variance = statistics(tf.constant(x[batch]))
            np.testing.assert_allclose(mean, x[batch].mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(variance, x[batch].var((0, 1, 2)), rtol=1e-4)
        kept.append(statistics.kept())
    population = kernels.PopulationStatistics(kernels.pool_statistics(tf.stack(kept)))
    for x in (first, second):
        mean, variance = population(tf.constant(x[:1]))
        np.testing.assert_allclose(mean, x.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance, x.var((0, 1, 2)), rtol=1e-4)


def test_normalisation_of_unknown_channels_which_would_corrupt_memory_is_refused():
    with pytest.raises(ValueError, match=r"channels must be known, got images \(None, 8, 8, None\)"):
        tf.function(kernels.normalize).get_concrete_function(tf.TensorSpec([None, 8, 8, None]))


@pytest.mark.parametrize("shape", [(4, 8, 8, 16), (3, 5, 7, 2), (11,)])
def test_add_noise_is_the_reparametrisation_with_the_noise_of_its_seed(shape):
    seed = tf.constant([5, -7])
    noise = kernels.standard_normal(seed, shape)
    mean, variance = random_images(*shape), tf.square(random_images(*shape, seed=1)) + 1e-3
    assert_equal_in_value_and_gradients(
        lambda m, v: kernels.add_noise(m, v, seed), lambda m, v: m + tf.sqrt(v + 1e-8) * noise, mean, variance
    )


def test_tensors_side_by_side_each_get_the_noise_of_their_own_seed():
    shapes = [(4, 8, 8, 6), (4, 4, 8, 6), (4, 8, 8, 6), (4, 8, 8, 6)]
    seeds = kernels.split(tf.constant([5, -7]), 4)
    noise = [kernels.standard_normal(seed, shape) for seed, shape in zip(seeds, shapes, strict=True)]
    means = [random_images(*shape, seed=i) for i, shape in enumerate(shapes)]
    variances = [tf.square(random_images(*shape, seed=10 + i)) + 1e-3 for i, shape in enumerate(shapes)]

    def joined(tensors):
        # Weighted, so that the gradient of one taken for that of another shows.
        return tf.concat([tf.reshape((1.0 + i) * y, [-1]) for i, y in enumerate(tensors)], 0)

    assert_equal_in_value_and_gradients(
        lambda *x: joined(map(kernels.add_noise, x[:4], x[4:], seeds)),
        lambda *x: joined([m + tf.sqrt(v + 1e-8) * n for m, v, n in zip(x[:4], x[4:], noise, strict=True)]),
        *means,
        *variances,
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_its_dtype_and_draws_the_same_noise(dtype):
    seed, shape = tf.constant([5, -7]), (2, 4, 4, 8)
    mean = tf.zeros(shape, dtype)
    y, _, _ = value_and_gradients(lambda m, v: kernels.add_noise(m, v, seed), mean, tf.ones(shape, dtype))
    assert kernels.add_noise(mean, tf.ones(shape, dtype), seed).dtype == dtype
    np.testing.assert_allclose(y, kernels.standard_normal(seed, shape), rtol=2.0**-7)


def test_add_noise_takes_a_batch_of_unknown_size_inside_an_edge_function_and_a_conditional_step():
    @tf.function(
        autograph=False,
        experimental_attributes={"_noinline": True},
        input_signature=[tf.TensorSpec([None, 4, 4, 2]), tf.TensorSpec([2], tf.int32)],
    )
    def edge(x, seed):
        return kernels.add_noise(x, tf.square(x), seed)

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = edge(x, tf.constant([1, 2]))
        return tape.gradient(y, x)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, 4, 4, 2]), tf.TensorSpec([], tf.bool)])
    def step(x, differentiate):
        return tf.cond(differentiate, lambda: gradient(x), lambda: x)

    for batch in (2, 3):
        noise = kernels.standard_normal(tf.constant([1, 2]), (batch, 4, 4, 2))
        x = tf.abs(random_images(batch, 4, 4, 2)) + 0.1
        np.testing.assert_allclose(step(x, True), 1.0 + noise, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(step(x, False), x)


def draw(*seed: int, count: int = DRAWS) -> np.ndarray:
    return kernels.standard_normal(kernels.fold_in(tf.constant(seed, tf.int32), 0), (count,)).numpy()


def test_noise_is_standard_normal():
    """Moments to the fourth, tails and the Kolmogorov-Smirnov distance of 10^7 draws, each within 4 standard errors."""
    z = draw(20, 26).astype(np.float64)
    for power, expected, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs(np.mean(z**power) - expected) < 4 * np.sqrt(variance / DRAWS)
    for threshold in (3, 4, 5):
        expected = 2 * stats.norm.sf(threshold) * DRAWS
        assert abs(np.sum(np.abs(z) > threshold) - expected) < 4 * np.sqrt(expected) + 1
    assert stats.kstest(z, "norm").pvalue > 1e-3


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """The largest cross-correlation of two streams or of their squares at any shift, in standard errors."""
    largest = 0.0
    for transform in (lambda z: z, lambda z: (z * z - 1) / np.sqrt(2)):
        spectrum = np.fft.rfft(transform(a)) * np.conj(np.fft.rfft(transform(b)))
        largest = max(largest, np.max(np.abs(np.fft.irfft(spectrum, len(a)))) / np.sqrt(len(a)))
    return largest


def test_streams_of_neighbouring_seeds_are_independent_at_every_shift():
    """Seeds that differ in one bit of either word, or as consecutive streams and steps of a run do."""
    count = 2**18
    run = tf.constant([0, 0])
    steps = [kernels.fold_in(run, step) for step in (0, 1)]
    folded = [seed for step in steps for seed in (kernels.fold_in(step, 1), *kernels.split(step, 2))]
    words = [(0, 0), (1, 0), (0, 1), (-1, 0), (0, -(2**31)), (-(2**31), 0), (2**16, 0), (0, 2**16)]
    streams = [draw(*seed, count=count) for seed in words]
    streams += [kernels.standard_normal(seed, (count,)).numpy() for seed in folded]
    for a, b in itertools.combinations(streams, 2):
        assert correlation(a, b) < 6.5  # of 2^19 normal values the largest stays below 6.5 but for 4e-5 of times


def test_a_stream_is_uncorrelated_with_itself_at_every_shift():
    z = draw(3, 4, count=2**20)
    spectrum = np.abs(np.fft.rfft(z)) ** 2
    assert np.max(np.abs(np.fft.irfft(spectrum)[1:])) / np.sqrt(len(z)) < 6.5


def test_split_gives_different_seeds_whose_first_ones_stay_when_more_are_asked_for():
    few, many = ([tuple(seed.numpy()) for seed in kernels.split(tf.constant([1, 2]), count)] for count in (3, 50))
    assert many[:3] == few
    assert len(set(many)) == 50
    assert not set(many) & {tuple(seed.numpy()) for seed in kernels.split(tf.constant([1, 3]), 50)}


def test_fold_in_depends_on_seed_and_word_alone():
    seeds = {tuple(kernels.fold_in(tf.constant(s), w).numpy()) for s in ([0, 0], [0, 1], [1, 0]) for w in range(20)}
    assert len(seeds) == 60
    np.testing.assert_array_equal(kernels.fold_in(tf.constant([1, 2]), 3), kernels.fold_in(tf.constant([1, 2]), 3))


def test_a_network_without_normalisation_has_no_statistics():
    assert kernels.BatchStatistics().kept().shape == (2, 0)
