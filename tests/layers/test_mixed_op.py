"""The mixed op against plain TensorFlow operations, primitive by primitive."""

import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.space import SPACES, VINNAS
from vinnas_tf.config import WEIGHT_SAMPLING
from vinnas_tf.errors import UserError
from vinnas_tf.layers import blocks
from vinnas_tf.layers.kernel_layout import kernel_shapes, links
from vinnas_tf.layers.mixed_op import MixedOp

CHANNELS = 4


def batch(side: int = 9) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, side, side, CHANNELS)).astype("float32")


def standardize(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-3)


def kernel_values(layer: MixedOp) -> dict[str, list[np.ndarray]]:
    """The layer's kernels by primitive, cut out of the flat vector by hand: second separable convolutions lie last."""
    flat, start = layer.mean.numpy(), 0
    found: dict[str, list[np.ndarray]] = {name: [] for name in layer.space.primitives}
    again = [name for name in layer.space.primitives if name.startswith("double")]
    for name in [*layer.space.primitives, *again]:
        chain = layer.space.convolutions(name, layer.stride)
        part = len(chain) // 2 if name in again else len(chain)
        for convolution, _ in chain[:part]:
            shape = convolution.kernel_shape(CHANNELS)
            found[name].append(flat[start : start + np.prod(shape)].reshape(shape))
            start += int(np.prod(shape))
    assert start == flat.size
    return found


def separable(x: np.ndarray, kernels: list[np.ndarray], stride: int, dilation: int = 1) -> np.ndarray:
    """A depthwise and a pointwise convolution; a dilated kernel has zeros between its taps, no use of any option."""
    size = dilation * (kernels[0].shape[0] - 1) + 1
    spread = np.zeros((size, size, CHANNELS, 1), "float32")
    spread[::dilation, ::dilation] = kernels[0]
    y = tf.nn.depthwise_conv2d(x, spread, [1, stride, stride, 1], "SAME")
    return tf.nn.conv2d(y, kernels[1], 1, "SAME").numpy()


def reference(name: str, x: np.ndarray, kernels: list[np.ndarray], stride: int) -> np.ndarray:
    """A primitive written out with TensorFlow's own operations (VINNAS, section V-A)."""
    if name == "zero":
        return np.zeros_like(x[:, ::stride, ::stride])
    if name == "skip":
        return tf.nn.conv2d(x, kernels[0], stride, "SAME").numpy() if stride > 1 else x
    if name.startswith("max_pool"):
        y = tf.nn.max_pool2d(x, 3, stride, "SAME")
    elif name.startswith("avg_pool"):
        y = tf.nn.avg_pool2d(x, 3, stride, "SAME")
    elif name.startswith("sep_conv"):
        y = separable(x, kernels, stride)
    elif name.startswith("dil_conv"):
        y = separable(x, kernels, stride, dilation=2)
    else:
        y = tf.nn.conv2d(x, kernels[0], [stride, 1], "SAME")
        y = tf.nn.conv2d(y, kernels[1], [1, stride], "SAME")
    return np.maximum(standardize(np.asarray(y)), 0)


def reference_in_darts(name: str, x: np.ndarray, kernels: list[np.ndarray], stride: int) -> np.ndarray:
    """A primitive of DARTS's space (Liu et al. 2019, section 3.1): ReLU first, normalisation last, pools normalised."""
    active = np.maximum(x, 0)
    if name == "zero" or name == "skip" and stride == 1:
        return reference(name, x, kernels, stride)
    if name == "skip":
        odd = x.shape[1] % 2  # The image moved by a pixel lacks a last row and column, which are zero.
        moved = np.pad(active[:, 1:, 1:], [(0, 0), (0, odd), (0, odd), (0, 0)])
        near, far = np.split(kernels[0][0, 0], 2, axis=-1)
        return standardize(np.concatenate([active[:, ::2, ::2] @ near, moved[:, ::2, ::2] @ far], axis=-1))
    if name.endswith("pool_3x3"):
        pool = tf.nn.max_pool2d if name.startswith("max") else tf.nn.avg_pool2d
        return standardize(pool(x, 3, stride, "SAME").numpy())
    if name.startswith("dil_conv"):
        return standardize(separable(active, kernels, stride, dilation=2))
    between = np.maximum(standardize(separable(active, kernels[:2], stride)), 0)
    return standardize(separable(between, kernels[2:], 1))


REFERENCES = {"vinnas": reference, "darts": reference_in_darts}


@pytest.mark.parametrize(("stride", "side"), [(1, 9), (2, 8), (2, 9)])
@pytest.mark.parametrize(
    ("space", "name"), [(space, name) for space in REFERENCES for name in SPACES[space].primitives]
)
def test_each_primitive_is_what_its_name_says(space: str, name: str, stride: int, side: int) -> None:
    layer = MixedOp(space=space, stride=stride, seed=1)
    x = batch(side)
    primitives = SPACES[space].primitives
    mixing = np.eye(len(primitives), dtype="float32")[[primitives.index(name)]]
    expected = REFERENCES[space](name, x, (layer(x, mixing), kernel_values(layer)[name])[1], stride)
    np.testing.assert_allclose(layer(x, mixing), expected, rtol=1e-3, atol=5e-4 if space == "darts" else 2e-4)


@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_a_negative_mixing_weight_turns_what_is_normalised_and_not_activated(space: str) -> None:
    """Where ReLU comes first, the promise of `nonnegative` weights saves nothing, and breaking it changes nothing."""
    layer = MixedOp(space=space, nonnegative=True, seed=1)
    x, count = batch(), len(SPACES[space].primitives)
    mixing = np.random.default_rng(1).normal(size=(1, count)).astype("float32")
    np.testing.assert_allclose(layer(x, -mixing), -layer(x, mixing).numpy(), rtol=1e-4, atol=1e-5)


def test_the_noise_of_a_second_block_follows_the_seed_and_reaches_its_own_weights() -> None:
    layer = MixedOp(space="darts", edges=2, seed=1)
    x, mixing = batch(), np.full((2, 8), 0.125, "float32")
    seeds = [tf.constant([1, 2]), tf.constant([1, 3])]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, mixing, seed=seeds[0]) ** 3)
    gradient = tape.gradient(loss, [layer.mean.value, layer.log_variance.value])
    assert all((np.asarray(values) != 0).all() for values in gradient)
    np.testing.assert_array_equal(layer(x, mixing, seed=seeds[0]), layer(x, mixing, seed=seeds[0]))
    assert np.abs(layer(x, mixing, seed=seeds[0]) - layer(x, mixing, seed=seeds[1])).max() > 1e-3
    # Only the second blocks are noisy: still every draw differs.
    second = sum(2 * (size * CHANNELS + CHANNELS**2) for size in (9, 25))
    log_variance = np.full(layer.log_variance.shape, -60.0, "float32")
    log_variance[-second:] = -4.0
    layer.log_variance.assign(log_variance)
    only = np.eye(8, dtype="float32")[[SPACES["darts"].primitives.index("double_sep_conv_3x3")] * 2]
    assert np.abs(layer(x, only, seed=seeds[0]) - layer(x, only, seed=seeds[1])).max() > 0.1
    others = np.eye(8, dtype="float32")[[SPACES["darts"].primitives.index("dil_conv_3x3")] * 2]
    np.testing.assert_allclose(layer(x, others, seed=seeds[0]), layer(x, others), atol=0.02)


def test_a_factorised_skip_of_an_odd_number_of_channels_is_refused() -> None:
    with pytest.raises(UserError, match="a factorised reduction has an even number of channels, got 3"):
        MixedOp(space="darts", stride=2).build((None, 8, 8, 3))


def test_a_mixture_is_the_weighted_sum() -> None:
    layer = MixedOp(seed=1)
    x = batch()
    mixing = np.random.default_rng(1).dirichlet(np.ones(10)).astype("float32")
    single = [layer(x, row[np.newaxis]).numpy() for row in np.eye(10, dtype="float32")]
    expected = sum(weight * y for weight, y in zip(mixing, single, strict=True))
    np.testing.assert_allclose(layer(x, mixing[np.newaxis]), expected, rtol=1e-4, atol=1e-5)


def test_noise_follows_the_seed_and_vanishes_with_the_variance() -> None:
    layer = MixedOp(seed=1)
    x, mixing = batch(), np.full((1, 10), 0.1, "float32")
    mean = layer(x, mixing)
    first = layer(x, mixing, seed=tf.constant([1, 2]))
    np.testing.assert_array_equal(first, layer(x, mixing, seed=tf.constant([1, 2])))
    assert np.abs(first - layer(x, mixing, seed=tf.constant([1, 3]))).max() > 1e-3
    layer.log_variance.assign(tf.fill(layer.log_variance.shape, -60.0))
    np.testing.assert_allclose(layer(x, mixing, seed=tf.constant([1, 2])), mean, atol=0.02)


def test_weight_sampling_is_the_point_op_with_one_draw_of_its_weights() -> None:
    layer, points = MixedOp(seed=1, estimator=WEIGHT_SAMPLING), MixedOp(variational=False)
    x, mixing, seed = batch(), np.full((1, 10), 0.1, "float32"), kernels.split(tf.constant([5, 6]), 1)[0]
    layer.build(x.shape)
    points.build(x.shape)
    layer.log_variance.assign(np.random.default_rng(1).uniform(-6, -2, layer.log_variance.shape))
    deviation = np.exp(0.5 * layer.log_variance.numpy())
    noise = kernels.standard_normal(seed, layer.mean.shape).numpy()
    points.mean.assign(layer.mean.numpy() + deviation * noise)
    target = np.random.default_rng(2).normal(size=x.shape)
    with tf.GradientTape() as tape:
        sampled = layer(x, mixing, seed=seed)
        loss = tf.reduce_sum(target * sampled)
    gradients = tape.gradient(loss, [layer.mean.value, layer.log_variance.value])
    with tf.GradientTape() as tape:
        plain = points(x, mixing)
        loss = tf.reduce_sum(target * plain)
    of_weights = tape.gradient(loss, points.mean.value).numpy()
    np.testing.assert_allclose(sampled, plain, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(gradients[0], of_weights, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(gradients[1], of_weights * 0.5 * deviation * noise, rtol=1e-3, atol=1e-2)
    assert np.abs(sampled - layer(x, mixing)).max() > 0.01


def test_frozen_weights_get_no_gradient_and_strengths_the_same_one() -> None:
    layer = MixedOp(seed=1)
    x, mixing = batch(), tf.constant(np.random.default_rng(1).dirichlet(np.ones(10), 1).astype("float32"))
    target = np.random.default_rng(2).normal(size=(6, 9, 9, CHANNELS)).astype("float32")
    layer.build((None, 9, 9, CHANNELS))
    gradients = []
    for freeze in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(mixing)
            loss = tf.reduce_sum(target * layer(x, mixing, seed=tf.constant([1, 2]), freeze_weights=freeze))
        gradients.append(tape.gradient(loss, [mixing, layer.mean.value, layer.log_variance.value]))
    np.testing.assert_allclose(gradients[0][0], gradients[1][0], rtol=1e-4, atol=1e-3)
    assert np.abs(gradients[0][1]).max() > 0
    assert np.abs(gradients[0][2]).max() > 0
    assert all(g is None or not np.any(g) for g in gradients[1][1:])


def side_by_side(flat: list[np.ndarray], space: str, stride: int) -> np.ndarray:
    """One flat vector out of those of edges: depthwise kernels lie along inputs, full ones along outputs."""
    start, pieces = 0, []
    for convolution in links(SPACES[space], stride):
        shape = convolution.kernel_shape(CHANNELS)
        own = [np.asarray(edge)[start : start + np.prod(shape)].reshape(shape) for edge in flat]
        pieces.append(np.concatenate(own, axis=2 if convolution.depthwise else 3).ravel())
        start += int(np.prod(shape))
    return np.concatenate(pieces)


@pytest.mark.parametrize("grouped_gradients", [True, False])
@pytest.mark.parametrize(
    ("space", "stride"), [("vinnas", 1), ("vinnas", 2), ("nasbench201", 1), ("darts", 1), ("darts", 2)]
)
def test_edges_side_by_side_are_the_edges_one_by_one(
    space: str, stride: int, grouped_gradients: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not grouped_gradients:  # As where TensorFlow has none: a graph then has to know all sizes.
        for module in ("vinnas_tf.kernels", "vinnas_tf.kernels.convolution"):
            monkeypatch.setattr(f"{module}.convolves_groups", lambda _: False)
        for name in ("_outputs", "_next_outputs"):
            function = tf.function(getattr(blocks, name).python_function, autograph=False)
            monkeypatch.setattr(blocks, name, function)
    edges, count = 3, len(SPACES[space].primitives)
    together = MixedOp(edges=edges, stride=stride, space=space, variational=False)
    single = [MixedOp(stride=stride, space=space, variational=False, seed=edge) for edge in range(edges)]
    x = tf.constant(batch(side=8))
    for layer in (together, *single):
        layer.build(x.shape)
    together.mean.assign(side_by_side([layer.mean for layer in single], space, stride))
    for own, layer in zip(together.cut(together.mean.numpy()), single, strict=True):
        np.testing.assert_array_equal(np.concatenate([kernel.ravel() for kernel in own]), layer.mean)
    mixing = tf.constant(np.random.default_rng(1).dirichlet(np.ones(count), edges).astype("float32"))

    def one_by_one(x: tf.Tensor, mixing: tf.Tensor) -> tf.Tensor:
        return tf.concat([layer(x, mixing[edge : edge + 1]) for edge, layer in enumerate(single)], -1)

    results = []
    for function, layers in ((together, [together]), (one_by_one, single)):
        with tf.GradientTape() as tape:
            tape.watch([x, mixing])
            y = function(x, mixing)
            upstream = tf.constant(np.random.default_rng(2).normal(size=y.shape).astype("float32"))
        results.append([y, *tape.gradient(y, [x, mixing, *(layer.mean.value for layer in layers)], upstream)])
    results[1][3:] = [side_by_side(results[1][3:], space, stride)]
    for actual, expected in zip(*results, strict=True):
        assert np.max(np.abs(actual - expected)) <= 1e-4 * np.max(np.abs(expected))


def test_edges_side_by_side_have_noise_of_their_own() -> None:
    """Edges of equal weights and mixing weights differ by noise alone: a state adds no draw twice."""
    layer, edge = MixedOp(edges=2, seed=1), MixedOp(seed=1)
    x, mixing = batch(side=16), np.full((2, 10), 0.1, "float32")
    layer.build(x.shape)
    edge.build(x.shape)
    for part in ("mean", "log_variance"):
        start = np.full(edge.mean.shape, -3.0) if part == "log_variance" else edge.mean
        getattr(layer, part).assign(side_by_side([start, start], "vinnas", 1))
    mean = layer(x, mixing).numpy()
    np.testing.assert_allclose(mean[..., :CHANNELS], mean[..., CHANNELS:], atol=1e-5)
    # A difference of two draws: a draw less the mean has a part in common, for noise scales what is normalised.
    draws = [layer(x, mixing, seed=tf.constant([1, word])).numpy() for word in (2, 3)]
    noise = draws[0] - draws[1]
    first, second = noise[..., :CHANNELS].ravel(), noise[..., CHANNELS:].ravel()
    assert np.std(first) > 0.01
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_nodes_of_all_sizes_share_a_function_so_that_a_large_supergraph_starts_as_fast_as_a_small_one() -> None:
    if not kernels.convolves_groups(tf.float32):
        pytest.skip("without gradients of groups each size is a function")
    layers = [MixedOp(edges=edges) for edges in (1, 2, 3)]
    sides = (5, 8, 9)
    for layer, side, channels in zip(layers, sides, (6, 3, 4), strict=True):
        layer.build((None, side, side, channels))

    @tf.function(autograph=False)
    def step(*images: tf.Tensor) -> list[tf.Tensor]:
        weights = [variable.value for layer in layers for variable in (layer.mean, layer.log_variance)]
        with tf.GradientTape() as tape:
            seed = tf.constant([1, 2])
            y = [layer(x, tf.fill([layer.edges, 10], 0.1), seed=seed) for layer, x in zip(layers, images, strict=True)]
        return tape.gradient(y, weights)

    images = [tf.ones((2, side, side, layer.channels)) for layer, side in zip(layers, sides, strict=True)]
    functions = step.get_concrete_function(*images).graph.as_graph_def().library.function
    names = [function.signature.name for function in functions]
    for direction in ("forward", "backward"):
        assert sum(f"{direction}__outputs_" in name for name in names) == 1
        assert sum(f"{direction}__mix_" in name for name in names) == len({6, 12})  # One for each number of channels.
    assert [gradient.shape for gradient in step(*images)] == [
        variable.shape for layer in layers for variable in (layer.mean, layer.log_variance)
    ]


def test_gradients_equal_finite_differences() -> None:
    layer = MixedOp(seed=1)
    x, mixing = batch(side=5), np.full((1, 10), 0.1, "float32")
    target = np.random.default_rng(2).normal(size=(6, 5, 5, CHANNELS))
    layer.build((None, 5, 5, CHANNELS))
    layer.log_variance.assign(tf.fill(layer.log_variance.shape, -2.0))
    seed = tf.constant([5, 6])

    def loss() -> tf.Tensor:
        y = layer(x, mixing, seed=seed)
        return tf.reduce_sum(tf.constant(target, tf.float32) * y)

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, [layer.mean.value, layer.log_variance.value])
    generator = np.random.default_rng(4)
    for variable, gradient in zip((layer.mean, layer.log_variance), gradients, strict=True):
        start = variable.numpy()
        direction = generator.normal(size=start.shape).astype("float32")
        step = 1e-2 / np.sqrt(start.size)
        variable.assign(start + step * direction)
        above = float(loss())
        variable.assign(start - step * direction)
        below = float(loss())
        variable.assign(start)
        analytic = float(np.sum(np.asarray(gradient) * direction))
        np.testing.assert_allclose((above - below) / (2 * step), analytic, rtol=0.05, atol=0.05)


def test_kernel_count_of_an_edge() -> None:
    # Six depthwise-and-pointwise kernels less one, and a pair of 1-D ones; the strided skip adds a 1x1.
    sizes = [9, 25, 49, 9, 25]
    by_hand = sum(s * CHANNELS + CHANNELS**2 for s in sizes) + 2 * 7 * CHANNELS**2
    assert sum(int(np.prod(s)) for s in kernel_shapes(links(VINNAS, 1), CHANNELS)) == by_hand
    assert sum(int(np.prod(s)) for s in kernel_shapes(links(VINNAS, 2), CHANNELS)) == by_hand + CHANNELS**2
