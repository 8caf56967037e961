"""The supergraph's shape: parameter counts of every preset by hand, sharing of alphas, and what does not fit."""

import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import DataConfig, SearchConfig
from vinnas_tf.errors import UserError
from vinnas_tf.flags import Settings, preset_names, read_flags
from vinnas_tf.layers.cell import MixedCell
from vinnas_tf.methods import METHODS, make_method, method_variants
from vinnas_tf.methods.base import Draw
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.search.supergraph import Supergraph

# Side and channels of the images, classes.
IMAGES = {"digits": (8, 1, 10), "mnist": (28, 1, 10), "fashion_mnist": (28, 1, 10), "cifar10": (32, 3, 10)}
# Trained values of each preset's supergraph (means, log-variances, biases and alphas).
PINNED = {
    "bayesnas": 1_932_606,
    "cifar10": 9_768_602,
    "cifar10_darts": 3_861_578,
    "cifar10_laptop": 552_146,
    "cifar10_v1": 9_768_602,
    "darts_small": 81_210,
    "digits": 313_426,
    "fashion_mnist": 2_623_750,
    "fashion_mnist_laptop": 551_570,
    "fashion_mnist_v1": 1_547_610,
    "mnist": 22_662,
    "nasbench201": 790_694,
    "own_images": 384_482,
    "si_vdnas": 1_931_066,
    "smoke": 22_662,
    "tree_pyramid": 17_158_070,
    "tree_pyramid_small": 351_286,
}
BY_FORMULA = ("tree_pyramid",)  # It takes a quarter of a minute to build; the formula is held to the small one.


def build(config: SearchConfig, side: int, channels: int, classes: int, settings: object = None) -> Supergraph:
    supergraph = Supergraph(make_method(config, settings), classes)
    supergraph.build((None, side, side, channels))
    return supergraph


def count_nasbench201(config: SearchConfig, channels: int, classes: int) -> int:
    """The same from NAS-Bench-201's description: six edges with a 1x1 and a 3x3 convolution each, residual blocks."""
    kernels, width = 9 * channels * config.channels, config.channels
    for letter in config.cells:
        if letter == "R":
            kernels += 9 * width * 2 * width + 9 * (2 * width) ** 2 + width * 2 * width
            width *= 2
        else:
            kernels += 6 * (1 + 9) * width**2
    return 2 * (kernels + width * classes) + classes + 2 * 6 * 5


def count_darts(config: SearchConfig, channels: int, classes: int) -> int:
    """The same from DARTS's description (Liu et al. 2019): an edge has 3x3 and 5x5 separable convolutions, each twice,
    and dilated ones once; a skip or an input that is halved is a 1x1 convolution in two halves.
    """
    width, halves = config.channels, config.channels // 2
    stems = {
        "plain": ([(channels, width)], width),
        "cifar": ([(channels, 3 * width)], 3 * width),
        "imagenet": ([(channels, halves), (halves, width), (width, width)], width),
    }
    of_stem, first = stems[config.stem]
    kernels, second = sum(9 * inputs * outputs for inputs, outputs in of_stem), first
    learnt = 0 if config.stem == "plain" else 2 * sum(outputs for _, outputs in of_stem)
    edges = sum(2 + i for i in range(config.states))
    for letter in config.cells:
        width *= 2 if letter == "R" else 1
        kernels += (first + second) * width
        separable = sum(times * (size * width + width * width) for size, times in ((9, 2), (25, 2), (9, 1), (25, 1)))
        kernels += edges * separable + (2 * config.states * width * width if letter == "R" else 0)
        first, second = second, config.states * width
    return kernels + learnt + second * classes + classes


def count_tree_pyramid(config: SearchConfig, channels: int, classes: int) -> int:
    """The same from PyramidNet's and the trees' description: a cell has two grouped 3x3 convolutions and twelve edges,
    each with a 1x1 and three separable convolutions; bayesnas adds seven switches an edge and one of its identity, and
    of each five figures a switch and four an identity.
    """
    kernels, before = 9 * channels * 16, 16
    for block in range(1, len(config.cells) + 1):
        width = round(16 + config.channels * block / len(config.cells)) // 2 * 2
        separable = sum(size * width + width * width for size in (9, 25, 49))
        kernels += before * width + 2 * 9 * width * width // 2 + 12 * (width * width + separable) + 4 * width * width
        before = 4 * width
    return kernels + before * classes + classes + len(config.cells) * 12 * (8 + 5 * 7 + 4)


def count_of_darts_preset(config: SearchConfig, channels: int, classes: int) -> int:
    """With what the method adds: a log-variance a kernel and two values an alpha, or what the sisters have."""
    plain = count_darts(config, channels, classes)
    edges, groups = sum(2 + i for i in range(config.states)), len(set(config.cells))
    if config.method == "si_vdnas":
        return plain + groups * edges * (2 * 7 + 2)
    if config.method == "bayesnas":
        # Of each cell 7 switches and that of the identity an edge; of each group 5 figures a switch, 4 an identity.
        return plain + len(config.cells) * edges * 8 + groups * edges * (5 * 7 + 4)
    once = classes + (2 * 3 * config.channels if config.stem == "cifar" else 0)
    return 2 * (plain - once) + once + groups * edges * 2 * 8


def count(config: SearchConfig, channels: int, classes: int) -> int:
    """Counts by formula from the paper's description: every kernel twice (mean, log-variance), biases once."""
    if config.space == "nasbench201":
        return count_nasbench201(config, channels, classes)
    if config.space == "darts":
        return count_of_darts_preset(config, channels, classes)
    if config.space == "tree_pyramid":
        return count_tree_pyramid(config, channels, classes)
    kernels, width, first, second = 0, config.channels, config.channels, config.channels
    kernels += 9 * channels * width  # stem
    edges = sum(2 + i for i in range(config.states))
    for letter in config.cells:
        width *= 2 if letter == "R" else 1
        kernels += (first + second) * width  # preprocessing
        separable = sum(size * width + width * width for size in (9, 25, 49, 9, 25))
        kernels += edges * (separable + 2 * 7 * width * width)
        if letter == "R":
            kernels += 2 * config.states * width * width  # strided skips on the edges from the inputs
        first, second = second, config.states * width
    kernels += second * classes
    alphas = len(set(config.cells)) * edges * 10
    return 2 * kernels + classes + 2 * alphas


def read_preset(name: str) -> Settings:
    argv = [f"--preset={name}"]
    return read_flags(argv, DataConfig, SearchConfig, command="search", usage="", variants=method_variants())


# The presets of searches of cells: those of channels have backbones.
OF_CELLS = [
    name
    for name in preset_names("search")
    if not issubclass(METHODS[read_preset(name)[SearchConfig].method], ChannelMethod)
]


@pytest.mark.parametrize("preset", OF_CELLS)
def test_parameter_counts_of_presets(preset: str) -> None:
    settings = read_preset(preset)
    config = settings[SearchConfig]
    side, channels, classes = IMAGES[settings[DataConfig].dataset]
    assert count(config, channels, classes) == PINNED[preset]
    if preset not in BY_FORMULA:
        assert build(config, side, channels, classes, settings.variant).count_params() == PINNED[preset]


@pytest.mark.parametrize("stem", ["plain", "cifar", "imagenet"])
def test_parameter_count_of_the_space_of_darts(stem: str) -> None:
    config = SearchConfig(space="darts", method="darts", cells="RNN", states=2, channels=4, stem=stem)
    supergraph = build(config, 32, 3, 10)
    assert supergraph.count_params() == count_darts(config, 3, 10) + 2 * 5 * 8


def test_the_supergraph_of_darts_has_its_published_count() -> None:
    """1.930618 million, without the alphas, is what its program prints; scale and shift of the stem are in it."""
    config = SearchConfig(space="darts", method="darts", cells="NNRNNRNN", states=4, channels=16, stem="cifar")
    assert count_darts(config, 3, 10) == 1_930_618
    supergraph = build(config, 32, 3, 10)
    assert sum(variable.value.shape.num_elements() for variable in supergraph.weight_variables) == 1_930_618


def test_every_preset_is_pinned() -> None:
    assert sorted(PINNED) == OF_CELLS


def test_cells_of_a_group_share_their_alphas() -> None:
    supergraph = build(SearchConfig(cells="NNRN", states=3), 16, 3, 10)
    names = ["normal/mean", "normal/log_variance", "reduction/mean", "reduction/log_variance"]
    assert {name: variable.shape for name, variable in supergraph.architecture.items()} == dict.fromkeys(names, (9, 10))
    assert [group.positions for group in supergraph.groups.values()] == [(0, 1, 3), (2,)]
    assert list(build(SearchConfig(cells="R"), 16, 3, 10).groups) == ["reduction"]


def test_each_cell_of_a_group_may_have_mixing_weights_of_its_own() -> None:
    supergraph = build(SearchConfig(space="nasbench201", method="darts", cells="NRN", states=3, channels=4), 8, 1, 3)
    generator = np.random.default_rng(0)
    images, shared = generator.normal(size=(4, 8, 8, 1)).astype("float32"), generator.normal(size=(6, 5))

    def logits(mixing: np.ndarray) -> np.ndarray:
        return supergraph(images, Draw({"normal": tf.constant(mixing, tf.float32)}, None)).numpy()

    both = np.stack([shared, shared])
    np.testing.assert_array_equal(logits(both), logits(shared))
    for cell in (0, 1):
        other = both.copy()
        other[cell] = generator.normal(size=(6, 5))
        assert not np.allclose(logits(other), logits(shared))
        # What one cell has is not what the other has.
        assert not np.allclose(logits(other), logits(other[::-1].copy()))


def test_alphas_start_as_the_paper_says() -> None:
    alphas = build(SearchConfig(cells="N", states=4), 8, 3, 10).architecture
    assert (alphas["normal/log_variance"].numpy() == -10).all()
    np.testing.assert_allclose(alphas["normal/mean"].numpy().std(), 0.001, rtol=0.2)


def test_seed_decides_the_initial_values_and_no_two_kernels_are_equal() -> None:
    config = SearchConfig(cells="NR", states=2, channels=4, seed=7)
    first, again = (build(config, 8, 1, 3).get_weights() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    supergraph = build(config, 8, 1, 3)
    means = [
        kernel.ravel()
        for cell in supergraph.cells
        for operation in cell.operations
        for edge in operation.cut(operation.mean.numpy())
        for kernel in edge
    ]
    assert len({mean.tobytes() for mean in means}) == len(means)
    other = build(SearchConfig(cells="NR", states=2, channels=4, seed=8), 8, 1, 3)
    assert not np.array_equal(other.cells[0].operations[0].mean, supergraph.cells[0].operations[0].mean)


@pytest.mark.parametrize("side", [9, 12, 15])
def test_odd_sizes_pass_through_reductions(side: int) -> None:
    supergraph = build(SearchConfig(cells="RNRN", states=2, channels=4), side, 3, 5)
    even = Draw({name: np.full(group.shape, 0.1, "float32") for name, group in supergraph.groups.items()}, None)
    logits = supergraph(np.random.default_rng(0).normal(size=(2, side, side, 3)).astype("float32"), even)
    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("side", [33, 36, 39])
def test_odd_sizes_pass_through_strides_and_factorised_reductions(side: int) -> None:
    config = SearchConfig(space="darts", cells="RN", states=2, channels=4, stem="imagenet")
    supergraph = build(config, side, 3, 5)
    even = Draw({name: np.full(group.shape, 0.1, "float32") for name, group in supergraph.groups.items()}, None)
    logits = supergraph(np.random.default_rng(0).normal(size=(2, side, side, 3)).astype("float32"), even)
    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()


def test_nasbench201_computes_what_its_paper_draws() -> None:
    """A one-cell supergraph with one-hot mixing weights against plain TensorFlow, weights read off by name."""
    config = SearchConfig(space="nasbench201", method="darts", cells="NRN", states=3, channels=4, seed=1)
    supergraph = build(config, 8, 3, 10)
    operations = {"0": None, "1": "skip", "2": "conv_1x1", "3": "conv_3x3", "4": "pool"}
    code = "342130"  # edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3
    images = np.random.default_rng(0).normal(size=(6, 8, 8, 3)).astype("float32")

    def normalized(x: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        return (x - mean) / tf.sqrt(variance + 1e-3)

    def conv(x: tf.Tensor, kernel: tf.Tensor, stride: int = 1) -> tf.Tensor:
        return tf.nn.conv2d(x, kernel, stride, "SAME")

    def cell(x: tf.Tensor, layer: MixedCell) -> tf.Tensor:
        nodes = [x, 0.0, 0.0, 0.0]
        for (source, target), digit in zip(layer.edges, code, strict=True):
            operation = layer.operations[source]
            # For each edge out of the source, by target, its 1x1 kernel and its 3x3 kernel.
            own = operation.cut(operation.mean.numpy())[target - source - 1]
            kernels = dict(zip(("conv_1x1", "conv_3x3"), own, strict=True))
            name, value = operations[digit], nodes[source]
            if name in kernels:
                value = normalized(conv(tf.nn.relu(value), kernels[name]))
            elif name == "pool":
                value = tf.nn.avg_pool2d(value, 3, 1, "SAME")
            nodes[target] += 0.0 if name is None else value
        return nodes[3]

    first, block, last = supergraph.cells
    x = cell(normalized(conv(images, supergraph.stem.convolutions[0].mean.value)), first)
    y = normalized(conv(tf.nn.relu(x), block.first.mean.value, 2))
    y = normalized(conv(tf.nn.relu(y), block.second.mean.value))
    x = cell(y + conv(tf.nn.avg_pool2d(x, 2, 2, "VALID"), block.shortcut.mean.value), last)
    features = tf.reduce_mean(tf.nn.relu(normalized(x)), [1, 2])
    expected = features @ supergraph.classifier.mean.value + supergraph.classifier.bias.value
    draw = Draw({"normal": tf.one_hot([int(digit) for digit in code], 5)}, None)
    np.testing.assert_allclose(supergraph(images, draw), expected, rtol=1e-3, atol=1e-4)


def differing_supergraphs() -> list[str]:
    """Methods that train supergraphs, one of those whose are alike but for the mixing weights."""
    of_cells = [name for name, kind in METHODS.items() if kind.trains and not issubclass(kind, ChannelMethod)]
    made = {name: make_method(SearchConfig(method=name)) for name in of_cells}
    kinds = {(m.variational_weights, m.nonnegative, m.normalize_all): name for name, m in reversed(made.items())}
    return list(kinds.values())


def can_search(method: str, space: str) -> bool:
    return METHODS[method].can_search(SPACES[space])


@pytest.mark.parametrize(
    ("method", "space"),
    [
        *((method, space) for method in differing_supergraphs() for space in SPACES if can_search(method, space)),
        ("bayesnas", "tree_pyramid"),
    ],
)
def test_by_statistics_of_the_population_an_image_is_taken_for_what_it_is_taken_for_alone(
    method: str, space: str
) -> None:
    cells, states = "NRN" if space == "nasbench201" else "RN", SPACES[space].states or 2
    supergraph = build(SearchConfig(space=space, method=method, cells=cells, states=states, channels=4), 9, 1, 5)
    generator = np.random.default_rng(0)
    images = generator.normal(size=(5, 9, 9, 1)).astype("float32")
    mixing = {
        name: tf.constant(generator.dirichlet(np.ones(len(group.primitives)), len(group.edges)), tf.float32)
        for name, group in supergraph.groups.items()
    }
    draw = Draw(mixing, None)
    measured = kernels.BatchStatistics()
    expected = supergraph(images, draw)
    np.testing.assert_allclose(supergraph(images, draw, statistics=measured), expected, atol=1e-4)

    def predict(images: np.ndarray) -> np.ndarray:
        statistics = kernels.PopulationStatistics(measured.kept())
        return supergraph(images, draw, statistics=statistics).numpy()

    # Of the batch that was measured both statistics are the same: every normalisation has found its own.
    np.testing.assert_allclose(predict(images), expected, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([predict(image[np.newaxis]) for image in images]), expected, atol=1e-4)
    assert np.abs(supergraph(images[:2], draw) - expected[:2]).max() > 0.01


def test_more_reductions_than_pixels_are_refused() -> None:
    with pytest.raises(UserError, match="cells=RRRR halves images 4 times, which 8 pixels do not allow"):
        build(SearchConfig(cells="RRRR"), 8, 1, 10)
    with pytest.raises(UserError, match="stem=imagenet and cells=R halve images 4 times, which 8 pixels do not allow"):
        build(SearchConfig(cells="R", stem="imagenet"), 8, 1, 10)
