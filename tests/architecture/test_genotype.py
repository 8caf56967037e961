import dataclasses
import json
from typing import cast

import pytest

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import TREE_PYRAMID, VINNAS
from vinnas_tf.errors import UserError

REDUCTION = (
    Edge(2, 0, "sep_conv_3x3"),
    Edge(2, 1, "skip"),
    Edge(3, 1, "conv_7x1_1x7"),
    Edge(3, 2, "max_pool_3x3"),
)
MNIST = Genotype(2, {"reduction": REDUCTION})
# What the file of MNIST must hold, and what the files of the first version held, written by hand.
MNIST_DATA = {
    "version": 2,
    "space": "vinnas",
    "states": 2,
    "cells": {
        "reduction": [
            {"target": 2, "source": 0, "primitive": "sep_conv_3x3"},
            {"target": 2, "source": 1, "primitive": "skip"},
            {"target": 3, "source": 1, "primitive": "conv_7x1_1x7"},
            {"target": 3, "source": 2, "primitive": "max_pool_3x3"},
        ]
    },
}
FIRST_VERSION = {
    "version": 1,
    "space": "vinnas",
    "states": 2,
    "normal": [],
    "reduction": [
        {"target": 2, "source": 0, "primitive": "sep_conv_3x3"},
        {"target": 2, "source": 1, "primitive": "skip"},
        {"target": 3, "source": 1, "primitive": "conv_7x1_1x7"},
        {"target": 3, "source": 2, "primitive": "max_pool_3x3"},
    ],
}


def changed(**fields):
    return json.dumps({**MNIST_DATA, **fields})


def cells(**groups):
    return changed(cells={**json.loads(MNIST.to_json())["cells"], **groups})


def test_the_papers_ten_primitives_in_its_order():
    assert VINNAS.primitives == (
        "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "dil_conv_3x3", "dil_conv_5x5", "conv_7x1_1x7",
        "max_pool_3x3", "avg_pool_3x3", "skip", "zero",
    )  # fmt: skip


def test_json_is_the_documented_layout():
    assert json.loads(MNIST.to_json()) == MNIST_DATA
    assert Genotype.from_json(json.dumps(MNIST_DATA)) == MNIST


def test_files_of_the_first_version_are_read():
    assert Genotype.from_json(json.dumps(FIRST_VERSION)) == MNIST
    without_space = {key: value for key, value in FIRST_VERSION.items() if key != "space"}
    assert Genotype.from_json(json.dumps(without_space)) == MNIST
    empty = {"version": 1, "space": "nasbench201", "states": 3, "normal": [], "reduction": []}
    assert Genotype.from_json(json.dumps(empty)) == Genotype(3, {"normal": ()}, "nasbench201")
    with pytest.raises(UserError, match="it has no cells"):
        Genotype.from_json(json.dumps({**FIRST_VERSION, "reduction": []}))


def test_groups_of_any_name_are_kept_in_one_order():
    genotype = Genotype(2, {"cell_1": REDUCTION, "cell_0": REDUCTION[:3] + (Edge(3, 2, "skip"),)})
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert list(genotype.cells) == ["cell_0", "cell_1"]
    turned = Genotype(2, {name: genotype.cells[name] for name in ("cell_1", "cell_0")})
    assert turned == genotype and hash(turned) == hash(genotype)


def test_file_round_trip_keeps_any_number_of_edges_and_of_primitives_on_an_edge(tmp_path):
    one_input = (Edge(2, 1, "dil_conv_5x5"),)
    crowded = (*(Edge(2, source, name) for source in (0, 1) for name in VINNAS.primitives[:-1]),)
    genotype = Genotype(1, {"normal": one_input, "reduction": crowded})
    genotype.save(tmp_path / "genotype.json")
    assert Genotype.load(tmp_path / "genotype.json") == genotype
    assert [path.name for path in tmp_path.iterdir()] == ["genotype.json"]


def test_cells_are_those_of_the_skeleton():
    assert MNIST.cells == {"reduction": REDUCTION}
    both = Genotype(2, {"normal": REDUCTION, "reduction": REDUCTION})
    assert list(both.cells) == ["normal", "reduction"]


def test_a_genotype_is_a_value():
    assert len({MNIST, Genotype(2, {"reduction": REDUCTION})}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        MNIST.states = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        (Edge(2, 0, "zero"), "edge 0 -> 2: 'zero' is not one of sep_conv_3x3"),
        (Edge(2, 0, "sep_conv_9x9"), "edge 0 -> 2: 'sep_conv_9x9' is not one of sep_conv_3x3"),
        (Edge(2, 2, "skip"), "edge 2 -> 2: the source must be a node before the target"),
        (Edge(2, 3, "skip"), "edge 3 -> 2: the source must be a node before the target"),
        (Edge(2, -1, "skip"), "edge -1 -> 2: the source must be a node before the target"),
        (Edge(1, 0, "skip"), "edge 0 -> 1: the target must be a state, 2 to 3"),
        (Edge(4, 0, "skip"), "edge 0 -> 4: the target must be a state, 2 to 3"),
        (Edge(2, 1, "skip"), "edge 1 -> 2: skip is listed more than once"),
        (Edge(2, cast(int, "0"), "skip"), "source must be the whole number of a node, got '0'"),
        (Edge(True, 0, "skip"), "target must be the whole number of a node, got True"),
    ],
)
def test_an_illegal_edge_is_refused_in_one_line(edge, message):
    with pytest.raises(UserError) as error:
        Genotype(2, {"reduction": (*REDUCTION, edge)})
    assert message in str(error.value)
    assert "reduction cell" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("genotype", "not JSON"),
        ("[1, 2]", "expected a JSON object, got a list"),
        (changed(version=3), "reads version 1 or 2, got 3"),
        (changed(version=True), "reads version 1 or 2, got True"),
        (json.dumps({key: value for key, value in MNIST_DATA.items() if key != "cells"}), "'cells' is missing"),
        (changed(concat=[2, 3]), "'concat' is unknown"),
        (changed(states=0), "states must be a whole number, 1 to 64, got 0"),
        (changed(states="2"), "states must be a whole number, 1 to 64, got '2'"),
        (changed(cells={}), "it has no cells"),
        (changed(cells=[]), "'cells' must name groups of cells, got []"),
        (cells(normal=[]), "normal cell: no edge leads into any state; give it one."),
        (cells(reduction="skip"), "'reduction' must be a list of edges, got 'skip'"),
        (cells(reduction=[["skip", 0]]), "must have target, source and primitive and no more, got ['skip', 0]"),
        (cells(reduction=[{"target": 2, "source": 0}]), "must have target, source and primitive and no more"),
        (
            cells(normal=[{"target": 3, "source": 2, "primitive": "skip"}]),
            "normal cell, edge 2 -> 3: no edge leads into state 2; leave it out.",
        ),
        (cells(normal=[{"target": 2, "source": 0, "primitive": []}]), "[] is not one of sep_conv_3x3"),
    ],
)
def test_a_file_that_is_not_a_genotype_is_refused_in_one_line_that_names_it(tmp_path, text, message):
    path = tmp_path / "found.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        Genotype.load(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("states", [2 * 10**6, 10**9])
def test_a_file_of_hundred_bytes_costs_neither_time_nor_memory(states):
    text = json.dumps({"version": 2, "space": "vinnas", "states": states, "cells": {"normal": []}})
    with pytest.raises(UserError, match="1 to 64") as error:
        Genotype.from_json(text)
    assert len(str(error.value)) < 200


def test_deep_and_long_json_ends_in_a_short_line():
    long = {"version": 2, "states": 1, "cells": {"normal": ["x" * 10**5]}}
    for text in ("[" * 100_000, '{"version":' * 100_000, json.dumps(long), json.dumps({"version": "9" * 10**5})):
        with pytest.raises(UserError) as error:
            Genotype.from_json(text)
        assert len(str(error.value)) < 300


def test_a_missing_or_binary_file_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="can't read .*absent.json: No such file"):
        Genotype.load(tmp_path / "absent.json")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match="picture.png: it isn't UTF-8 text"):
        Genotype.load(tmp_path / "picture.png")


def test_a_failed_save_keeps_the_old_file(tmp_path):
    folder = tmp_path / "genotype.json"
    folder.mkdir()
    with pytest.raises(UserError, match="genotype.json"):
        MNIST.save(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["genotype.json"]


def test_a_cell_of_skips_and_pools_learns_nothing_but_a_strided_skip_is_a_convolution():
    pools = (Edge(2, 0, "max_pool_3x3"), Edge(2, 1, "avg_pool_3x3"))
    skips = (Edge(2, 0, "skip"), Edge(2, 1, "max_pool_3x3"))
    assert Genotype(1, {"normal": skips, "reduction": pools}).cells_without_weights == ("normal", "reduction")
    assert Genotype(1, {"normal": skips, "reduction": skips}).cells_without_weights == ("normal",)
    later = Genotype(2, {"reduction": (*pools, Edge(3, 2, "skip"))})  # The second state's skip has stride 1.
    assert later.cells_without_weights == ("reduction",)
    assert Genotype(1, {"normal": (*pools, Edge(2, 0, "dil_conv_3x3"))}).cells_without_weights == ()


def test_the_share_without_parameters_counts_the_operations_of_both_cells():
    learning = (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "conv_7x1_1x7"))
    pools = (Edge(2, 0, "max_pool_3x3"), Edge(2, 1, "avg_pool_3x3"))
    skips = (Edge(2, 0, "skip"), Edge(2, 1, "max_pool_3x3"))
    assert Genotype(1, {"normal": learning}).parameter_free_share == 0
    assert Genotype(1, {"normal": skips, "reduction": pools}).parameter_free_share == 1
    assert (
        Genotype(1, {"normal": learning, "reduction": skips}).parameter_free_share == 0.25
    )  # The strided skip learns.
    later = Genotype(2, {"reduction": (*learning, Edge(3, 2, "skip"))})
    assert later.parameter_free_share == pytest.approx(1 / 3)


# Of the first root: one way to a leaf, and an edge behind which there is nothing.
TREE = (Edge(2, 0, "skip"), Edge(3, 0, "conv_1x1"), Edge(6, 2, "skip"), Edge(6, 2, "max_pool_3x3"))


def test_a_tree_has_edges_from_parents_alone_and_its_leaves_are_what_is_read(tmp_path):
    genotype = Genotype(12, {f"block_{block}": TREE if block != 2 else () for block in range(11)}, "tree_pyramid")
    assert [*genotype.cells] == [f"block_{block}" for block in range(11)]  # And not 10 before 2.
    assert TREE_PYRAMID.edges(12)[:6] == ((0, 2), (0, 3), (1, 4), (1, 5), (2, 6), (2, 7))
    assert TREE_PYRAMID.outputs(12) == tuple(range(6, 14))
    assert genotype.connected_edges("block_0") == [TREE[0], *TREE[2:]]
    assert genotype.cells_without_weights == ()  # The block around a cell has some.
    genotype.save(tmp_path / "genotype.json")
    assert Genotype.load(tmp_path / "genotype.json") == genotype
    with pytest.raises(UserError, match="edge 0 -> 6: in a tree of tree_pyramid the source of 6 is its parent, 2"):
        Genotype(12, {"block_0": (*TREE, Edge(6, 0, "skip"))}, "tree_pyramid")
