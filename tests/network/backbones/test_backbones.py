"""Every backbone: what its settings refuse, its parameters at published sizes, and that it can be stripped."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.errors import SettingError, UserError
from vinnas_tf.network.backbones import BACKBONES, BackboneSettings, make_backbone
from vinnas_tf.network.layer_kinds import MIXING, input_tensors, why_opaque
from vinnas_tf.network.pruning import count_parameters, total
from vinnas_tf.network.stripping import strip

SHAPE = (24, 20, 3)
CLASSES = 4
TINY: dict[str, dict[str, Any]] = {
    "multi_branch_resnet": {"backbone_width": 4, "backbone_blocks": (1, 2)},
    "enas": {"backbone_width": 4, "backbone_cells": "R"},
    "resnet50": {"backbone_width": 4, "backbone_blocks": (1, 1)},
    "multi_branch_resnet50": {"backbone_width": 8, "backbone_blocks": (1, 1)},
    "densenet121": {"backbone_width": 4, "backbone_blocks": (2, 2)},
    "lenet_300_100": {},
    "lenet_5": {},
    "genotype": {"backbone_width": 4, "backbone_cells": "R", "backbone_stem": "cifar"},
    "keras": {},
}
REDUCTION = (
    *(Edge(2, 0, "double_sep_conv_3x3"), Edge(2, 1, "skip"), Edge(3, 0, "max_pool_3x3"), Edge(3, 2, "dil_conv_3x3")),
    *(Edge(2, 1, "dil_conv_5x5"), Edge(3, 1, "avg_pool_3x3")),
)


def user_network() -> keras.Model:
    """As a person writes one: activations inside of layers, biases, "valid" padding, Flatten."""
    layers = keras.layers
    images = keras.Input(SHAPE)
    x = layers.Conv2D(6, 5, activation="relu", name="first")(images)
    x = layers.MaxPooling2D(name="pool")(x)
    y = layers.Conv2D(5, 3, dilation_rate=2, padding="same", name="dilated")(x)
    y = layers.BatchNormalization(scale=False, name="bn")(y)
    z = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = layers.Concatenate(name="both")([layers.Activation("relu", name="act")(y), layers.Dropout(0.3)(z)])
    x = layers.AveragePooling2D(2, strides=3, name="average")(x)
    x = layers.Dense(16, activation="relu", name="hidden")(layers.Flatten(name="flat")(x))
    return keras.Model(images, layers.Dense(CLASSES, name="logits")(x))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbones")
    Genotype(2, {"reduction": REDUCTION}, "darts").save(folder / "genotype")
    user_network().save(folder / "network.keras")
    (folder / "network.keras").rename(folder / "keras.keras")
    return folder


def tiny(name: str, files: Path, seed: int = 0) -> keras.Model:
    named = {"genotype": f"genotype:{files / 'genotype'}", "keras": f"keras:{files / 'keras.keras'}"}.get(name, name)
    return make_backbone(BackboneSettings(backbone=named, **TINY[name]), SHAPE, CLASSES, seed)


def images() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(6, *SHAPE)).astype("float32")


def settle(network: keras.Model) -> None:
    """Gives biases and batch normalisation values as after training, those of no layer the ones it starts with."""
    generator = np.random.default_rng(0)
    for layer in network.layers:
        for variable in layer.weights:
            if variable.name in ("gamma", "moving_variance"):
                variable.assign(np.exp(generator.normal(size=variable.shape, scale=0.3)))
            elif variable.name in ("beta", "bias", "moving_mean"):
                variable.assign(generator.normal(size=variable.shape, scale=0.3))


def zero_slices(network: keras.Model, share: float) -> None:
    """Sets the kernels of input channels to zero, as masks do: where there are branches, all of some convolutions."""
    generator = np.random.default_rng(2)
    kernels = [layer for layer in network.layers if isinstance(layer, MIXING)]
    for layer in kernels[1:]:
        kernel = layer.kernel.numpy()
        whole = len(kernels) > 4 and layer is not kernels[-1] and generator.random() < 1 / 6
        kernel[..., generator.random(kernel.shape[-2]) < (1.1 if whole else share), :] = 0
        layer.kernel.assign(kernel)


@pytest.mark.parametrize("name", BACKBONES)
def test_zero_slices_are_stripped_and_the_logits_stay(name: str, files: Path) -> None:
    network = tiny(name, files)
    settle(network)
    zero_slices(network, 0.4)
    stripped = strip(network)
    expected = network(images()).numpy()
    assert expected.std(axis=0).max() > 0.01, "The logits hardly depend on the images: their equality proves nothing."
    np.testing.assert_allclose(stripped(images()), expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))
    before, left = (total(count_parameters(one)) for one in (network, stripped))
    assert left.kernel_dense < 0.8 * before.kernel_dense


@pytest.mark.parametrize("name", BACKBONES)
def test_a_seed_gives_the_weights_and_every_channel_can_be_followed(name: str, files: Path) -> None:
    one, same, other = (tiny(name, files, seed) for seed in (3, 3, 4))
    for ours, theirs in zip(one.weights, same.weights, strict=True):
        assert (ours.path, ours.shape) == (theirs.path, theirs.shape)
        np.testing.assert_array_equal(ours, theirs)
    drawn = [layer.name for layer in one.layers if isinstance(layer, MIXING)]
    for layer in drawn:
        alike = np.array_equal(one.get_layer(layer).kernel, other.get_layer(layer).kernel)
        assert alike == (name == "keras")
    assert one.output_shape == (None, CLASSES)
    assert not [layer.name for layer in one.layers if why_opaque(layer)]
    assert len({id(layer.output) for layer in one.layers}) == len(one.layers) == len(one.operations)
    assert all(layer.trainable for layer in one.layers)


@pytest.mark.parametrize("name", ["multi_branch_resnet", "resnet50", "multi_branch_resnet50", "densenet121"])
def test_activations_keep_their_size_at_the_start(name: str, files: Path) -> None:
    """Kernels have variance 2 over the number of their inputs."""
    for layer in tiny(name, files).layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel.shape[2] >= 8:
            kernel = layer.kernel.numpy()
            expected = np.sqrt(2 / np.prod(kernel.shape[:3]))
            assert kernel.std() == pytest.approx(expected, rel=4 / np.sqrt(kernel.size))


def parameters(network: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_weights)


# What PGNAS prints, or what follows from its recipes; see the docstrings of the builders.
PUBLISHED = [
    ("multi_branch_resnet", 32, 32, 10, 2_923_162),
    ("resnet50", 64, 224, 1000, 25_557_032),
    ("multi_branch_resnet50", 64, 224, 1000, 28_071_976),
    ("densenet121", 32, 224, 1000, 7_978_856),
]


@pytest.mark.parametrize(("name", "width", "side", "classes", "expected"), PUBLISHED)
def test_parameters_at_published_sizes(name: str, width: int, side: int, classes: int, expected: int) -> None:
    settings = BackboneSettings(backbone=name, backbone_width=width)
    network = make_backbone(settings, (side, side, 3), classes, 0)
    assert parameters(network) == expected
    kernels = [layer for layer in network.layers if isinstance(layer, MIXING)]
    assert not [layer.name for layer in kernels if layer.use_bias and layer.name != "classifier"]


def multi_branch_count(width: int) -> int:
    """Four blocks in each of three stages, spelt out."""
    count, before = 27 * 16 + 2 * 16, 16
    for channels in (width, 2 * width, 4 * width):
        for block in range(4):
            source = before if block == 0 else channels
            count += 2 * (9 * source * channels + 9 * channels**2 + 4 * channels)
            count += source * channels + 2 * channels if block == 0 else 0
        before = channels
    return count + before * 10 + 10


def enas_count(width: int, cells: str) -> int:
    """For three colours and ten classes."""
    count, older, newer = 27 * 3 * width + 2 * 3 * width, 3 * width, 3 * width
    for letter in cells:
        width *= 1 + (letter == "R")
        pointwise = width**2 + 2 * width
        separable = {size: 2 * (size**2 * width + pointwise) for size in (3, 5)}
        of_cell = {"N": 2 * separable[3] + 4 * separable[5], "R": 3 * separable[3] + 3 * separable[5] + pointwise}
        count += (older + newer + width) * width + 6 * width + of_cell[letter]
        older, newer = newer, {"N": 5, "R": 4}[letter] * width
    return count + newer * 10 + 10


def test_wide_networks_have_the_parameters_that_pgnas_prints_or_that_its_recipes_make() -> None:
    """They are large, so they are counted by formulas, which are held to small ones."""
    assert multi_branch_count(32) == 2_923_162  # Which is made above.
    assert [multi_branch_count(width) for width in (64, 96)] == [11_653_978, 26_192_922]
    assert [multi_branch_count(width) for width in (160, 192)] == [72_695_194, 104_658_522]
    settings = BackboneSettings(backbone="enas", backbone_width=6, backbone_cells="NRN")
    assert enas_count(6, "NRN") == parameters(make_backbone(settings, (8, 8, 3), 10, 0))
    assert [enas_count(width, "NNNNNRNNNNNRNNNNN") for width in (36, 72)] == [3_894_382, 14_784_562]


def test_a_dilated_branch_of_stride_2_is_the_dilated_convolution_subsampled(files: Path) -> None:
    network = tiny("multi_branch_resnet50", files)
    layer = network.get_layer("stage_1_block_0_path_3_conv")
    source = network.get_layer("stage_1_block_0_first_relu").output
    x, y = keras.Model(network.input, [source, layer.output])(images())
    dilated = keras.ops.conv(x, layer.kernel, padding="same", dilation_rate=2)
    np.testing.assert_allclose(y, dilated[:, ::2, ::2], atol=1e-5)


def test_the_second_half_of_a_widening_skip_reads_the_image_moved_by_a_pixel(files: Path) -> None:
    """At stride 1 (16 channels to 4) and at stride 2."""
    network = tiny("multi_branch_resnet", files)
    for block, stride in (("stage_0_block_0", 1), ("stage_1_block_0", 2)):
        skip = network.get_layer(f"{block}_skip_1_conv")
        source = network.get_layer(f"{block}_relu").output
        x, y = keras.Model(network.input, [source, skip.output])(images())
        moved = np.pad(np.asarray(x)[:, 1:, 1:], ((0, 0), (0, 1), (0, 1), (0, 0)))
        np.testing.assert_allclose(y, moved[:, ::stride, ::stride] @ skip.kernel.numpy()[0, 0], atol=1e-5)


def test_the_cells_of_enas_are_wired_as_its_program_writes_them() -> None:
    network = make_backbone(
        BackboneSettings(backbone="enas", backbone_width=4, backbone_cells="NR"), SHAPE, CLASSES, seed=0
    )
    joined = {cell: network.get_layer(f"cell_{cell}_output") for cell in (0, 1)}
    sources = {cell: [tensor.shape[-1] for tensor in input_tensors(layer)] for cell, layer in joined.items()}
    assert sources == {0: [4] * 5, 1: [8] * 4}  # Node 3 of the reduction cell is read by another.
    assert joined[1].output.shape[1:3] == (12, 10)
    names = {layer.name for layer in network.layers}
    assert {"cell_0_node_2_0_pool", "cell_0_node_2_1_0_depthwise", "cell_1_node_4_1_1_conv"} <= names
    assert network.get_layer("cell_0_node_3_1_0_depthwise").kernel.shape == (5, 5, 4, 1)
    assert not [name for name in names if name.startswith("cell_0_node_3_0")]  # The identity.


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"backbone": "resnet"}, "unknown backbone=resnet: did you mean resnet50"),
        ({"backbone": "enas:x"}, "backbone=enas takes no file, got 'enas:x'"),
        ({"backbone": "genotype"}, "backbone=genotype:FILE needs a file, got 'genotype'"),
        ({"backbone": "keras:"}, "backbone=keras:FILE needs a file, got 'keras:'"),
        ({"backbone": "keras:x", "backbone_width": 9}, "backbone_width is not read by backbone=keras: leave it out"),
        ({"backbone": "enas", "backbone_blocks": (2,)}, "backbone_blocks is not read by backbone=enas: leave it out"),
        ({"backbone_cells": "N"}, "backbone_cells is not read by backbone=multi_branch_resnet: leave it out"),
        ({"backbone_stem": "cifar"}, "backbone_stem is not read by backbone=multi_branch_resnet: leave it out"),
        ({"backbone_width": 0}, "backbone_width must be at least 1, got 0"),
        ({"backbone_blocks": (2, 0)}, "backbone_blocks must be at least 1 in each stage, got 2,0"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError) as caught:
        BackboneSettings(**settings)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("settings", "side", "said"),
    [
        ({"backbone_width": 5}, 8, "backbone_width must be a multiple of 2 for backbone=multi_branch_resnet, got 5"),
        ({"backbone": "multi_branch_resnet50", "backbone_width": 6}, 32, "backbone_width must be a multiple of 4"),
        ({"backbone_width": 4, "backbone_blocks": (1,) * 5}, 8, "the backbone halves its images until a single pixel"),
        ({"backbone": "enas", "backbone_cells": "NX"}, 8, "backbone_cells must be a word of N and R"),
        ({"backbone": "enas", "backbone_cells": "RRRR"}, 8, "backbone_cells=RRRR halves images 4 times"),
        ({"backbone": "genotype:FILE", "backbone_cells": "N"}, 8, "backbone_cells=N needs a normal cell"),
        ({"backbone": "genotype:FILE", "backbone_stem": "none"}, 8, "backbone_stem must be"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], side: int, said: str, files: Path) -> None:
    settings = settings | {
        "backbone": settings.get("backbone", "multi_branch_resnet").replace("FILE", str(files / "genotype"))
    }
    with pytest.raises(SettingError) as caught:
        make_backbone(BackboneSettings(**settings), (side, side, 1), 10, 0)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_method_may_have_these_settings_among_its_own() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Own(BackboneSettings):
        temperature: float = 0.2

    assert Own(backbone_width=4, temperature=0.5).backbone_width == 4
    with pytest.raises(SettingError, match="backbone_cells is not read"):
        Own(backbone_cells="R")


def test_a_file_that_was_changed_is_another_backbone(tmp_path: Path) -> None:
    """A search records its sum, so that none goes on with other weights."""
    from vinnas_tf.methods import method_from
    from vinnas_tf.search.__main__ import _origin

    path = tmp_path / "own.keras"
    path.write_bytes(b"one")
    method = method_from({"method": "pgnas", "backbone": f"keras:{path}"})
    (one,) = _origin(method)
    assert one.backbone_sha256 == hashlib.sha256(b"one").hexdigest()
    assert _origin(method_from({"method": "pgnas"})) == _origin(method_from({"method": "darts"})) == []
    path.unlink()
    with pytest.raises(UserError, match="can't read .*own.keras"):
        _origin(method)
