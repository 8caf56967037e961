"""What DARTS's space and stems add to the network: published parameter counts, and the supergraph's own logits."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import DARTS, SPACES
from vinnas_tf.config import SearchConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods import make_method
from vinnas_tf.methods.base import Draw
from vinnas_tf.network.build import build_network
from vinnas_tf.network.flop import count_flops
from vinnas_tf.network.pruning import count_parameters, total
from vinnas_tf.search.supergraph import Supergraph

SHORT = {
    "sep3": "double_sep_conv_3x3", "sep5": "double_sep_conv_5x5", "dil3": "dil_conv_3x3", "max": "max_pool_3x3",
    "average": "avg_pool_3x3", "skip": "skip",
}  # fmt: skip


def cell(*edges: str) -> tuple[Edge, ...]:
    """Edges such as "0 2 sep3 max": from node 0 to node 2, two operations."""
    split = [edge.split() for edge in edges]
    return tuple(Edge(int(target), int(source), SHORT[name]) for source, target, *names in split for name in names)


# DARTS_V2 of Liu et al. 2019 (figures 4 and 5).
DARTS_V2 = Genotype(
    4,
    {
        "normal": cell(
            *("0 2 sep3", "1 2 sep3", "0 3 sep3", "1 3 sep3", "1 4 sep3", "0 4 skip", "0 5 skip", "2 5 dil3")
        ),
        "reduction": cell(*("0 2 max", "1 2 max", "2 3 skip", "1 3 max", "0 4 max", "2 4 skip", "2 5 skip", "1 5 max")),
    },
    "darts",
)
# The cells that Zhou et al. 2019 (BayesNAS) released for lambda 0.01.
BAYESNAS = Genotype(
    4,
    {
        "normal": cell("0 2 sep5 max average skip", "1 2 sep5", "1 3 max skip", "0 4 max", "1 4 skip", "2 5 average"),
        "reduction": cell(
            *("0 2 sep3 sep5 average max", "1 2 skip", "0 3 max average", "0 4 sep3 average", "2 5 sep5")
        ),
    },
    "darts",
)
SMALL_IMAGES: dict[str, Any] = {
    "cells": "NNNNNNRNNNNNNRNNNNNN", "channels": 36, "image_shape": (32, 32, 3), "stem": "cifar", "variational": False,
}  # fmt: skip


def test_the_cells_of_darts_have_their_published_counts_on_cifar() -> None:
    network = build_network(DARTS_V2, classes=100, **SMALL_IMAGES)
    counted = total(count_parameters(network))
    assert counted.kernel_dense + counted.other_dense == 3_401_272
    of_a_class = network.get_layer("classifier").mean.shape[0] + 1
    assert counted.kernel_dense + counted.other_dense - 90 * of_a_class == 3_349_342  # Of 10 classes.


def test_the_cells_of_darts_have_their_published_counts_on_imagenet() -> None:
    network = build_network(
        DARTS_V2,
        cells="NNNNRNNNNRNNNN",
        channels=48,
        image_shape=(224, 224, 3),
        classes=1000,
        stem="imagenet",
        variational=False,
    )
    counted = total(count_parameters(network))
    assert counted.kernel_dense + counted.other_dense == 4_718_752
    # `count_flops` takes a multiplication and an addition for two; papers count the pair, and some count pools too.
    assert count_flops(network).dense == 2 * 529_911_552


def test_the_released_cells_of_bayesnas_differ_from_their_program_where_it_leaves_the_space() -> None:
    """2,575,702 is what its program has: it normalises in front, and preprocesses otherwise."""
    counted = total(count_parameters(build_network(BAYESNAS, classes=10, **SMALL_IMAGES)))
    ours = counted.kernel_dense + counted.other_dense
    assert ours == 2_453_158
    places, width, first, second = [], 36, 108, 108  # Of each cell: channels of both inputs, and those of its states.
    for letter in SMALL_IMAGES["cells"]:
        width *= 2 if letter == "R" else 1
        places.append((first, second, width))
        first, second = second, 4 * width
    in_front = sum(2 * (first + second) - 2 * 2 * width for first, second, width in places)
    last, stem = 2 * second, 2 * 108  # It normalises in front of the classifier, and not behind the stem.
    # Behind a reduction it halves the first input by a strided convolution to as many channels, and then narrows it.
    halving = 144**2 + 288**2
    assert ours + in_front + last - stem + halving == 2_575_702


# Every primitive but zero at stride 1 and 2; three operations on an edge, four edges into a state.
FOUND = Genotype(
    2,
    {
        "normal": cell("0 2 sep3 max skip", "1 2 sep5 dil3", "0 3 average", "1 3 skip", "2 3 dil3"),
        "reduction": cell("0 2 skip", "1 2 sep3 average skip", "0 3 max", "1 3 dil3", "2 3 sep5"),
    },
    "darts",
)


def test_a_state_that_nothing_leads_into_is_no_part_of_a_cells_output() -> None:
    found = Genotype(3, {"normal": cell("0 2 sep3", "1 4 skip", "2 4 max")}, "darts")
    network = build_network(found, cells="NN", channels=4, image_shape=(8, 8, 1), classes=5, variational=False)
    assert network.get_layer("classifier").mean.shape == (2 * 4, 5)
    kernels = [network.get_layer(f"cell_1_{which}_conv").mean.shape for which in ("first", "second")]
    assert kernels == [(1, 1, 4, 4), (1, 1, 2 * 4, 4)]
    assert np.isfinite(network(np.ones((2, 8, 8, 1), np.float32))).all()


def give_weights(network: keras.Model, supergraph: Supergraph) -> None:
    """Gives `network` the weights that `supergraph` has for the same operations."""

    def assign(name: str, value: Any) -> None:
        network.get_layer(name).mean.assign(np.reshape(value, network.get_layer(name).mean.shape))

    names = supergraph.stem.stem.names
    for place, (name, convolution) in enumerate(zip(names, supergraph.stem.convolutions, strict=True)):
        assign(f"{name}_conv", convolution.mean)
        normalization = network.get_layer(f"{name}_bn")
        normalization.gamma.assign(supergraph.stem.scales[place])
        normalization.beta.assign(supergraph.stem.shifts[place])
    network.get_layer("classifier").set_weights(supergraph.classifier.get_weights())
    # Where a primitive's kernels lie among those of an edge, round by round; at stride 2 one of the skip comes first.
    order = ["double_sep_conv_3x3", "double_sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"]
    places = {name: [2 * place, 2 * place + 1] for place, name in enumerate(order)}
    for place, name in enumerate(order[:2]):
        places[name] += [8 + 2 * place, 9 + 2 * place]
    for position, of_cell in enumerate(supergraph.cells):
        for which, preprocessing in zip(("first", "second"), of_cell.preprocessings, strict=True):
            kernel = preprocessing.convolution.mean.numpy()
            if preprocessing.stride == 2:
                for half, part in enumerate(np.split(kernel, 2, axis=-1)):
                    assign(f"cell_{position}_{which}_conv_{half}", part)
            else:
                assign(f"cell_{position}_{which}_conv", kernel)
        for edge in FOUND.cells["reduction" if of_cell.reduction else "normal"]:
            name = f"cell_{position}_{edge.source}to{edge.target}_{edge.primitive}"
            operation = of_cell.operations[edge.source]
            # The edges out of a node go to all states behind it.
            kernels = operation.cut(operation.mean.numpy())[edge.target - max(edge.source + 1, 2)]
            if edge.primitive == "skip" and operation.stride == 2:
                for half, part in enumerate(np.split(kernels[0], 2, axis=-1)):
                    assign(f"{name}_conv_{half}", part)
            elif edge.primitive in places:
                for place, kernel in enumerate(places[edge.primitive]):
                    assign(f"{name}_conv_{place}", kernels[kernel + (operation.stride == 2)])


@pytest.mark.parametrize(("stem", "side"), [("cifar", 9), ("imagenet", 40)])
def test_a_found_network_is_its_supergraph_where_pools_are_left_bare(
    stem: str, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one-hot mixing weights, batch statistics in both, and a space that leaves pools bare in the search too."""
    monkeypatch.setitem(SPACES, "bare", dataclasses.replace(DARTS, name="bare", normalizes_pools=False))
    config = SearchConfig(space="bare", method="darts", cells="NRN", states=2, channels=4, stem=stem, seed=1)
    supergraph = Supergraph(make_method(config), 5)
    supergraph.build((None, side, side, 3))
    generator = np.random.default_rng(0)
    for variable in (*supergraph.stem.scales, *supergraph.stem.shifts):
        variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    network = build_network(
        FOUND, cells="NRN", channels=4, image_shape=(side, side, 3), classes=5, stem=stem, variational=False
    )
    give_weights(network, supergraph)
    mixing = {group: np.zeros((len(DARTS.edges(2)), len(DARTS.primitives)), "float32") for group in FOUND.cells}
    for group, edges in FOUND.cells.items():
        for edge in edges:
            row = DARTS.edges(2).index((edge.source, edge.target))
            mixing[group][row, DARTS.primitives.index(edge.primitive)] = 1
    images = generator.normal(size=(6, side, side, 3)).astype("float32")
    draw = Draw({group: tf.constant(values) for group, values in mixing.items()}, None)
    expected = supergraph(images, draw)
    np.testing.assert_allclose(network(images, training=True), expected, rtol=1e-2, atol=2e-3)
    assert np.std(expected, axis=0).max() > 0.05


@pytest.mark.parametrize(
    ("stem", "side", "window", "stride"), [("plain", 32, 5, 3), ("cifar", 32, 5, 3), ("imagenet", 224, 5, 2)]
)
def test_the_auxiliary_tower_pools_to_two_pixels_a_side(stem: str, side: int, window: int, stride: int) -> None:
    network = build_network(
        FOUND, cells="RR", channels=2, image_shape=(side, side, 3), classes=5, stem=stem, auxiliary=True
    )
    pool = network.get_layer("auxiliary_pool")
    assert (pool.pool_size, pool.strides) == ((window, window), (stride, stride))
    assert pool.output.shape[1:3] == (2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stem": "mnist"}, "stem must be plain or cifar or imagenet, got 'mnist'"),
        ({"stem": "imagenet", "channels": 3}, "stem=imagenet needs channels to be a multiple of 2, got 3"),
        ({"stem": "cifar", "stem_stride": 2}, "stem_stride=2 goes with stem=plain alone, got stem=cifar: leave"),
        ({"stem": "imagenet"}, "stem=imagenet and cells=NR halve images 4 times, which 12 pixels do not allow"),
        (
            {"stem": "imagenet", "auxiliary": True, "image_shape": (32, 32, 3)},
            "the auxiliary tower needs 3 pixels a side behind the last reduction, got 2",
        ),
    ],
)
def test_a_stem_that_does_not_fit_is_refused_in_one_line(arguments: dict, message: str) -> None:
    usual = {"cells": "NR", "channels": 2, "image_shape": (12, 12, 3), "classes": 3}
    with pytest.raises(UserError, match=message) as caught:
        build_network(FOUND, **usual | arguments)
    assert "\n" not in str(caught.value)
