"""A network under masks: groups, masks against zero kernel slices and stripping, and statistics against Keras."""

import keras
import numpy as np
import pytest

from vinnas_tf import kernels
from vinnas_tf.errors import UserError
from vinnas_tf.network.masks import MaskedNetwork
from vinnas_tf.network.pruning import count_parameters, total
from vinnas_tf.network.stripping import strip

layers = keras.layers


def images(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 6, 6, 2)).astype("float32")


def make_network() -> keras.Model:
    """Residual sums, a concatenation behind per-channel layers, a depthwise convolution, and one within another."""
    keras.utils.set_random_seed(1)
    x = keras.Input((6, 6, 2), name="images")
    a = layers.Conv2D(4, 3, padding="same", use_bias=False, name="a")(x)
    a = layers.BatchNormalization(name="a_norm")(a)
    b = layers.Conv2D(3, 1, padding="same", name="b")(layers.ReLU(name="a_relu")(a))
    inner = layers.Concatenate(name="inner")([a, b])
    pooled = layers.MaxPooling2D(3, strides=1, padding="same", name="pool")(layers.ReLU(name="inner_relu")(inner))
    c = layers.Concatenate(name="outer")([pooled, x])
    c = layers.BatchNormalization(name="outer_norm", scale=False)(c)
    c = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(c)
    d = layers.Conv2D(4, 1, use_bias=False, name="d")(layers.ReLU(name="outer_relu")(c))
    d = layers.BatchNormalization(name="d_norm")(d)
    y = layers.GlobalAveragePooling2D(name="mean")(layers.Add(name="sum")([a, d]))
    network = keras.Model(x, layers.Dense(3, name="classifier")(layers.Dropout(0.3, name="dropout")(y)), name="net")
    generator = np.random.default_rng(2)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return network


@pytest.fixture(scope="module")
def masked() -> MaskedNetwork:
    return MaskedNetwork(make_network())


def random_mask(masked: MaskedNetwork, seed: int, keep: float = 0.6) -> np.ndarray:
    return np.random.default_rng(seed).random(masked.channels) < keep


def test_each_convolution_and_the_classifier_has_a_group_for_each_source(masked: MaskedNetwork) -> None:
    found = [(group.layer, group.source, group.start, group.channels) for group in masked.groups]
    assert found == [
        ("a", "images", 0, 2),
        ("b", "a", 0, 4),
        ("d", "a", 0, 4),
        ("d", "b", 4, 3),
        ("d", "images", 7, 2),
        ("classifier", "sum", 0, 4),
    ]
    assert masked.channels == 19 and masked.sizes.tolist() == [2, 4, 4, 3, 2, 4]
    expected = [np.square(masked.network.get_layer(name).kernel.numpy()) for name in ("a", "b", "classifier")]
    norms = masked.squared_norms().numpy()
    np.testing.assert_allclose(norms[[0, 1, 5]], [kernel.sum() for kernel in expected], rtol=1e-5)
    kernel = np.square(masked.network.get_layer("d").kernel.numpy())[0, 0]
    np.testing.assert_allclose(norms[2:5], [kernel[:4].sum(), kernel[4:7].sum(), kernel[7:].sum()], rtol=1e-5)
    assert masked.weights_of_channel.tolist() == [36] * 2 + [3] * 4 + [4] * 9 + [3] * 4


def test_masks_of_ones_change_no_bit(masked: MaskedNetwork) -> None:
    expected = masked.network(images(), training=False)
    for shape in ((masked.channels,), (5, masked.channels)):
        np.testing.assert_array_equal(masked(images(), np.ones(shape, "float32"), training=False), expected)


def test_training_normalises_by_the_batch_as_keras_does_and_moves_no_statistic() -> None:
    network = make_network()
    network.get_layer("dropout").rate = 0.0
    masked = MaskedNetwork(network)
    before = [weight.copy() for weight in network.get_weights()]
    found = masked(images(), np.ones(masked.channels, "float32"), training=True)
    for weight, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    np.testing.assert_allclose(found, network(images(), training=True), rtol=1e-4, atol=1e-5)


def test_a_mask_is_zero_kernel_slices_and_stripping_takes_them_out(masked: MaskedNetwork) -> None:
    sizes = set()
    for seed in range(4):
        mask = random_mask(masked, seed)
        found = masked(images(), mask.astype("float32"), training=False)
        dropped = masked.dropped(mask)
        np.testing.assert_allclose(dropped(images(), training=False), found, atol=1e-6)
        stripped = strip(dropped)
        np.testing.assert_allclose(stripped(images()), found, atol=1e-5)
        sizes.add(total(count_parameters(stripped)).params_dense)
    assert max(sizes) < total(count_parameters(strip(masked.network))).params_dense


def test_each_image_has_a_mask_of_its_own(masked: MaskedNetwork) -> None:
    masks = np.stack([random_mask(masked, seed) for seed in range(5)]).astype("float32")
    together = masked(images(), masks, training=False).numpy()
    for place in range(5):
        alone = masked(images()[place : place + 1], masks[place], training=False)
        np.testing.assert_allclose(together[place], alone[0], atol=1e-6)


def test_a_network_is_cut_where_nothing_of_the_images_reaches_the_logits(masked: MaskedNetwork) -> None:
    cut = 0
    for seed in range(60):
        mask = random_mask(masked, seed, keep=0.3)
        logits = masked(images(), mask.astype("float32"), training=False).numpy()
        assert masked.connects(mask) == bool(np.ptp(logits, axis=0).max() > 0)
        cut += not masked.connects(mask)
    assert 5 < cut < 55
    # The sum is alive while one of its writers is.
    mask = np.ones(masked.channels, bool)
    mask[:2] = False
    assert masked.connects(mask)
    mask[13:15] = False
    assert not masked.connects(mask)


def test_statistics_that_were_measured_are_those_of_the_layers_afterwards() -> None:
    masked = MaskedNetwork(make_network())
    mask = random_mask(masked, 0).astype("float32")
    collected = kernels.BatchStatistics()
    masked(images(), mask, statistics=collected, training=False)
    given = masked(images(2), mask, statistics=kernels.PopulationStatistics(collected.kept()), training=False)
    masked.set_statistics(collected.kept())
    np.testing.assert_array_equal(masked(images(2), mask, training=False), given)
    # The first normalisation reads what the first convolution makes of the masked images.
    outputs = masked.network.get_layer("a")(images() * mask[:2]).numpy()
    moving = masked.network.get_layer("a_norm").moving_mean
    np.testing.assert_allclose(moving, outputs.mean(axis=(0, 1, 2)), atol=1e-6)


def test_networks_that_cannot_have_masks_are_refused_in_one_line() -> None:
    x = keras.Input((6, 6, 2))
    with pytest.raises(UserError, match="has no convolution or linear layer whose channels could be dropped: choose"):
        MaskedNetwork(keras.Model(x, layers.GlobalAveragePooling2D()(x)))
    twice = layers.Conv2D(2, 3, padding="same", name="twice")
    y = layers.GlobalAveragePooling2D()(twice(twice(x)))
    with pytest.raises(UserError, match="comes from a layer that is called twice, or from an operation") as caught:
        MaskedNetwork(keras.Model(x, y))
    assert "\n" not in str(caught.value)
