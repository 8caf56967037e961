"""Stripping changes no logit, leaves plain Keras layers, and removes what only zeros reach or nobody reads."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.layers.convolution import VariationalConv2D, VariationalDense, VariationalDepthwiseConv2D
from vinnas_tf.network.build import build_network, evaluation_network
from vinnas_tf.network.pruning import count_parameters, total
from vinnas_tf.network.stripping import strip

GENOTYPES = {
    "every primitive": Genotype(
        3,
        {
            "normal": (
                *(Edge(2, 0, "sep_conv_5x5"), Edge(2, 1, "conv_7x1_1x7")),
                *(Edge(3, 0, "max_pool_3x3"), Edge(3, 2, "dil_conv_5x5")),
                *(Edge(4, 1, "skip"), Edge(4, 3, "sep_conv_3x3"), Edge(4, 2, "avg_pool_3x3")),
            ),
            "reduction": (
                *(Edge(2, 0, "dil_conv_3x3"), Edge(2, 1, "skip")),
                *(Edge(3, 1, "conv_7x1_1x7"), Edge(3, 2, "skip")),
                *(Edge(4, 0, "avg_pool_3x3"), Edge(4, 2, "sep_conv_7x7")),
            ),
        },
    ),
    "lone edges and identities": Genotype(
        2,
        {
            "normal": (Edge(2, 0, "skip"), Edge(3, 0, "skip"), Edge(3, 2, "skip")),
            "reduction": (Edge(2, 1, "dil_conv_5x5"), Edge(3, 2, "conv_7x1_1x7")),
        },
    ),
    "one state": Genotype(
        1,
        {
            "normal": (Edge(2, 0, "avg_pool_3x3"), Edge(2, 1, "max_pool_3x3")),
            "reduction": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 0, "max_pool_3x3"), Edge(2, 1, "conv_7x1_1x7")),
        },
    ),
}
CELLS_OF_NASBENCH201 = {
    "every operation": Genotype(
        3,
        {
            "normal": (
                *(Edge(1, 0, "conv_3x3"), Edge(2, 0, "avg_pool_3x3"), Edge(2, 1, "conv_1x1")),
                *(Edge(3, 0, "skip"), Edge(3, 1, "conv_3x3"), Edge(3, 2, "conv_3x3")),
            )
        },
        "nasbench201",
    ),
    "dead ends": Genotype(
        3, {"normal": (Edge(1, 0, "conv_3x3"), Edge(3, 0, "conv_1x1"), Edge(3, 2, "conv_3x3"))}, "nasbench201"
    ),
}
# Three operations on an edge, four edges into a state.
CELLS_OF_DARTS = Genotype(
    4,
    {
        "normal": (
            *(Edge(2, 0, "double_sep_conv_3x3"), Edge(2, 0, "max_pool_3x3"), Edge(2, 0, "skip")),
            *(Edge(2, 1, "double_sep_conv_5x5"), Edge(3, 0, "dil_conv_3x3"), Edge(4, 2, "avg_pool_3x3")),
            *(Edge(5, 0, "skip"), Edge(5, 1, "avg_pool_3x3"), Edge(5, 2, "dil_conv_5x5"), Edge(5, 4, "skip")),
        ),
        "reduction": (
            *(Edge(2, 0, "skip"), Edge(2, 0, "max_pool_3x3"), Edge(2, 0, "double_sep_conv_5x5")),
            *(Edge(2, 1, "skip"), Edge(3, 1, "dil_conv_3x3"), Edge(4, 1, "double_sep_conv_3x3")),
            *(Edge(5, 0, "avg_pool_3x3"), Edge(5, 1, "skip"), Edge(5, 2, "skip"), Edge(5, 3, "double_sep_conv_3x3")),
        ),
    },
    "darts",
)
SHAPE = (11, 8, 3)
NETWORKS: dict[str, tuple[Genotype, str, dict[str, Any]]] = {
    **{name: (genotype, "RN", {}) for name, genotype in GENOTYPES.items()},
    "one state, reduced twice": (GENOTYPES["one state"], "RR", {}),
    **{f"nasbench201, {name}": (genotype, "NRN", {}) for name, genotype in CELLS_OF_NASBENCH201.items()},
    "darts": (CELLS_OF_DARTS, "RN", {"stem": "cifar"}),
    "darts, stem of three convolutions": (CELLS_OF_DARTS, "NRN", {"stem": "imagenet", "image_shape": (27, 32, 3)}),
}


def build(genotype: Genotype, cells: str, channels: int = 8, **arguments: Any) -> keras.Model:
    """A network with deterministic weights, unless `arguments` say else: without noise to compile it is made faster."""
    usual: dict[str, Any] = {"variational": False, "channels": channels, "image_shape": SHAPE, "classes": 5}
    return build_network(genotype, cells=cells, **usual | arguments)


def kernel_layers(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if hasattr(layer, "mean")]


def settle(model: keras.Model, seed: int = 0) -> None:
    """Gives batch normalisation and biases values as after training: statistics of images, but not quite these."""
    normalised = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in normalised:
        layer.momentum = 0.0
    model(images(model.input_shape[1:]), training=True)
    generator = np.random.default_rng(seed)
    for layer in normalised:
        gamma, beta, mean, variance = layer.get_weights()
        noise = generator.normal(size=(4, gamma.size))
        layer.set_weights(
            [
                *(gamma + 0.3 * noise[0], beta + 0.5 * noise[1]),
                *(mean + 0.3 * noise[2] * np.sqrt(variance), variance * np.exp(0.3 * noise[3])),
            ]
        )
    bias = model.get_layer("classifier").bias
    bias.assign(generator.normal(size=bias.shape))


def sparsify(model: keras.Model, sparsity: float, seed: int) -> None:
    """Sets weights to zero at random: single ones, all that enter or leave a channel, and an operation's whole kernels.

    Preprocessing loses a quarter of its output channels at most, so that the logits go on depending on the images.
    """
    generator = np.random.default_rng(seed)
    for layer in kernel_layers(model):
        mean = layer.mean.numpy()
        mean[generator.random(mean.shape) < sparsity] = 0
        if "to" in layer.name:
            mean[..., generator.random(mean.shape[-2]) < sparsity / 2, :] = 0
            mean[..., generator.random(mean.shape[-1]) < sparsity / 4] = 0
        elif layer.name != "classifier":
            mean[..., : int(generator.integers(1 + mean.shape[-1] // 4))] = 0
        layer.mean.assign(mean)


def images(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Noise whose strength and mean differ from image to image."""
    generator = np.random.default_rng(1)
    noise, strength, shift = (generator.normal(size=(6, *of)) for of in (shape, (1, 1, 3), (1, 1, 3)))
    return (noise * np.exp(strength) + shift).astype("float32")


def assert_equal_logits(stripped: keras.Model, model: keras.Model) -> None:
    x = images(model.input_shape[1:])
    expected = model(x).numpy()
    # Logits of 100 are no more exact than this in float32.
    np.testing.assert_allclose(stripped(x), expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))
    assert expected.std(axis=0).max() > 0.05, "The logits hardly depend on the images: their equality proves nothing."


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_stay(name: str) -> None:
    genotype, cells, arguments = NETWORKS[name]
    model = build(genotype, cells, **arguments)
    weights = model.get_weights()
    for seed, sparsity in enumerate([0.3, 0.7]):
        model.set_weights(weights)
        sparsify(model, sparsity, seed)
        settle(model, seed)
        stripped = strip(model)
        assert_equal_logits(stripped, model)
        pruned, left = total(count_parameters(model)), total(count_parameters(stripped))
        assert left.kernel_nonzero <= pruned.kernel_nonzero
        assert left.kernel_dense < pruned.kernel_dense


def layer_names(model: keras.Model, prefix: str = "") -> set[str]:
    return {layer.name for layer in model.layers if layer.name.startswith(prefix)}


def zero(model: keras.Model, name: str, where: tuple = ()) -> None:
    """Prunes part of a layer's kernel."""
    layer = model.get_layer(name)
    mean = layer.mean.numpy()
    mean[where] = 0
    layer.mean.assign(mean)


def test_a_dense_network_keeps_everything_but_batch_normalisation() -> None:
    model = build(GENOTYPES["one state"], "RN", variational=True, drop_path=0.3, auxiliary=True)
    settle(model)
    before = [weight.numpy() for weight in model.weights]
    stripped = strip(model)
    assert_equal_logits(stripped, evaluation_network(model))
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    # Pools have no kernel that could take a scale in.
    normalised = {layer.name for layer in stripped.layers if isinstance(layer, keras.layers.BatchNormalization)}
    pools = ("cell_0_0to2_max_pool_3x3", "cell_1_0to2_avg_pool_3x3", "cell_1_1to2_max_pool_3x3")
    assert normalised == {f"{pool}_bn" for pool in pools}
    trained, left = total(count_parameters(model)), total(count_parameters(stripped))
    assert left.kernel_dense == trained.kernel_dense
    # One bias for a scale and a shift: stem of 8 channels, four preprocessings and two operations of 16.
    assert trained.other_dense - left.other_dense == 8 + 6 * 16


def test_a_dense_network_of_darts_keeps_no_batch_normalisation_and_all_its_kernels() -> None:
    """Also between the two halves of a separable convolution, and in both halves of a factorised reduction."""
    model = build(CELLS_OF_DARTS, "RN", stem="cifar", variational=True, drop_path=0.3)
    settle(model)
    stripped = strip(model)
    assert_equal_logits(stripped, evaluation_network(model))
    assert not [layer.name for layer in stripped.layers if isinstance(layer, keras.layers.BatchNormalization)]
    trained, left = total(count_parameters(model)), total(count_parameters(stripped))
    assert left.kernel_dense == trained.kernel_dense


def test_a_factorised_reduction_that_only_zeros_reach_is_gone_and_its_constants_stay() -> None:
    model = build(CELLS_OF_DARTS, "RN", stem="cifar")
    for half in (0, 1):
        zero(model, f"cell_0_0to2_skip_conv_{half}")
    zero(model, "cell_1_first_conv_0")  # Half of an input, which the other operations of the cell go on reading.
    settle(model)
    stripped = strip(model)
    assert layer_names(model, "cell_0_0to2_skip")
    assert not layer_names(stripped, "cell_0_0to2_skip")
    assert layer_names(stripped, "cell_1_first_conv_1")
    assert_equal_logits(stripped, model)


def test_an_operation_that_only_zeros_reach_is_gone_and_its_constant_stays() -> None:
    model = build(GENOTYPES["every primitive"], "NR")
    zero(model, "cell_0_1to2_conv_7x1_1x7_conv_1")  # A pool and two convolutions read the state that it was added to.
    zero(model, "cell_1_0to2_dil_conv_3x3_conv_0")
    settle(model)
    stripped = strip(model)
    for gone in ("cell_0_1to2", "cell_1_0to2"):
        assert layer_names(model, gone)
        assert not layer_names(stripped, gone)
    assert "cell_0_0to2_sep_conv_5x5_relu" in layer_names(stripped)
    assert_equal_logits(stripped, model)


def test_a_constant_passes_through_a_pool_into_its_batch_normalisation() -> None:
    genotype = Genotype(
        2, {"normal": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "conv_7x1_1x7"), Edge(3, 2, "avg_pool_3x3"))}
    )
    model = build(genotype, "N")
    zero(model, "cell_0_1to2_conv_7x1_1x7_conv_0")
    settle(model)
    stripped = strip(model)
    assert not layer_names(stripped, "cell_0_1to2")
    # The classifier's bias takes in what the other reader of the state leaves over.
    assert not [name for name in layer_names(stripped) if name.endswith("_offset")]
    assert_equal_logits(stripped, model)


def test_channels_that_nobody_reads_are_gone_back_to_the_stem() -> None:
    model = build(GENOTYPES["every primitive"], "R")
    # Of the cell's second input, of 16 channels, its two readers take channels 0 and 5; the dilated one's first stage
    # computes a channel in vain, which costs less than picking the other 15.
    for name in ("cell_0_1to2_skip_conv_0", "cell_0_1to3_conv_7x1_1x7_conv_0"):
        zero(model, name, np.s_[:, :, [1, 2, 3, 4, *range(6, 16)]])
    zero(model, "cell_0_0to2_dil_conv_3x3_conv_1", np.s_[:, :, 3])
    # Channel 7 is taken too, but only for channel 4 of the 7x1 convolution, which the 1x7 one behind it doesn't take.
    mean = model.get_layer("cell_0_1to3_conv_7x1_1x7_conv_0").mean
    mean.assign(tf.tensor_scatter_nd_update(mean.value, [[3, 0, 7, 4]], [1.0]))
    zero(model, "cell_0_1to3_conv_7x1_1x7_conv_1", np.s_[:, :, 4])
    settle(model)
    stripped = strip(model)
    assert stripped.get_layer("cell_0_second_conv").filters == 2
    assert stripped.get_layer("cell_0_1to3_conv_7x1_1x7_conv_0").kernel.shape == (7, 1, 2, 15)
    assert stripped.get_layer("cell_0_0to2_dil_conv_3x3_conv_0").kernel.shape == (3, 3, 16, 1)
    assert_equal_logits(stripped, model)


def test_a_constant_under_a_spatial_convolution_is_computed() -> None:
    """Channel 1 of the cell's input is batch normalisation's shift alone; zeros beyond the border make it vary."""
    model = build(Genotype(1, {"normal": (Edge(2, 0, "sep_conv_3x3"),)}), "N")
    zero(model, "cell_0_first_conv", np.s_[..., 1])
    settle(model)
    stripped = strip(model)
    assert stripped.get_layer("cell_0_first_conv").filters == 8
    assert_equal_logits(stripped, model)


@pytest.mark.parametrize("name", ["classifier", "stem_conv"])
def test_a_network_without_a_way_through_is_a_constant(name: str) -> None:
    model = build(GENOTYPES["one state"], "N")
    zero(model, name)
    settle(model)
    np.testing.assert_allclose(strip(model)(images()), model(images()), atol=1e-5)


def test_the_saved_network_needs_keras_alone(tmp_path: Path) -> None:
    model = build(GENOTYPES["every primitive"], "R")
    sparsify(model, 0.5, seed=0)
    settle(model)
    strip(model).save(tmp_path / "network.keras")
    np.save(tmp_path / "images.npy", images())
    script = """
import sys
import keras
import numpy as np
model = keras.saving.load_model("network.keras")
np.save("logits.npy", model(np.load("images.npy")))
assert not any(name.startswith("vinnas") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), model(images()), atol=1e-5)


def test_graphs_beyond_the_evaluation_network() -> None:
    """Batch normalisation behind a depthwise convolution with a bias, and behind a convolution that is read twice."""
    entry = keras.Input(SHAPE, name="images")
    depthwise = VariationalDepthwiseConv2D((3, 3), use_bias=True, variational=False, name="depthwise")(entry)
    x = keras.layers.BatchNormalization(name="depthwise_bn")(depthwise)
    twice = VariationalConv2D(4, (3, 3), variational=False, name="twice")(keras.layers.ReLU(name="relu")(x))
    x = keras.layers.Add(name="add")([twice, keras.layers.BatchNormalization(name="twice_bn")(twice)])
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(entry, VariationalDense(5, use_bias=True, variational=False, name="classifier")(x))
    zero(model, "depthwise", np.s_[:, :, 1])
    zero(model, "twice", np.s_[..., 2])
    model.get_layer("depthwise").bias.assign([1.0, 0.5, -2.0])
    settle(model)
    stripped = strip(model)
    assert_equal_logits(stripped, model)
    assert stripped.get_layer("twice").filters == 3


def test_a_layer_that_it_cannot_see_through_is_kept_whole_and_named(caplog: pytest.LogCaptureFixture) -> None:
    entry = keras.Input(SHAPE, name="images")
    x = VariationalConv2D(6, (3, 3), variational=False, name="before")(entry)
    x = keras.layers.Conv2D(5, 3, padding="same", activation="gelu", name="odd")(x)
    x = VariationalConv2D(4, (1, 1), variational=False, name="after")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(entry, VariationalDense(5, use_bias=True, variational=False, name="classifier")(x))
    zero(model, "before", np.s_[..., :3])
    zero(model, "after", np.s_[:, :, 2:])
    stripped = strip(model)
    assert_equal_logits(stripped, model)
    for ours, theirs in zip(stripped.get_layer("odd").get_weights(), model.get_layer("odd").get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert "cannot see through odd" in caplog.text
