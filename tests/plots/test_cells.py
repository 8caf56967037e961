import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from PIL import Image

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.architecture.primitives import PRIMITIVES, Primitive
from vinnas_tf.architecture.space import SPACES, VINNAS
from vinnas_tf.errors import UserError
from vinnas_tf.plots.cell_layout import lay_out
from vinnas_tf.plots.cells import draw_cells
from vinnas_tf.plots.style import COLOURS, UNKNOWN, short_number

NORMAL = (
    Edge(2, 0, "sep_conv_3x3"),
    Edge(2, 1, "skip"),
    Edge(3, 0, "sep_conv_3x3"),
    Edge(3, 0, "max_pool_3x3"),
    Edge(3, 2, "conv_7x1_1x7"),
)
REDUCTION = (Edge(2, 0, "dil_conv_5x5"), Edge(2, 1, "avg_pool_3x3"), Edge(3, 1, "skip"), Edge(3, 2, "skip"))
BOTH = Genotype(2, {"normal": NORMAL, "reduction": REDUCTION})


def posterior(log_variance=-2.0):
    shape = (5, 10)
    mean = {"normal": np.arange(50.0).reshape(shape), "reduction": -np.arange(50.0).reshape(shape)}
    found = Posterior(VINNAS.primitives, 2, mean, {name: np.full(shape, log_variance) for name in mean})
    return found.edge_values({f"{name}/mean": values[None] for name, values in mean.items()})


def draw(folder, genotype, posterior=None):
    draw_cells(genotype, posterior, folder / "cells.png", folder / "cells.svg")
    texts = [
        element.text for element in ElementTree.parse(folder / "cells.svg").iter() if element.tag.endswith("}text")
    ]
    return [text.strip() for text in texts if text and text.strip()]


def test_svg_holds_each_cell_node_and_edge_as_text(tmp_path):
    texts = Counter(draw(tmp_path, BOTH))
    for primitive, count in Counter(edge.primitive for edge in NORMAL + REDUCTION).items():
        # Skip is a family of its own and so in the legend too.
        assert texts[primitive] == count + (primitive == "skip")
    assert texts["Normal cell"] == texts["Reduction cell"] == 1
    for node in range(4):
        assert texts[VINNAS.node_name(node).replace("-", "\N{MINUS SIGN}")] == 2
    assert texts["concat"] == 2
    assert not any("SNR" in text for text in texts)


def test_each_arrow_carries_the_snr_of_its_own_choice(tmp_path):
    texts = Counter(text for text in draw(tmp_path, BOTH, posterior()) if text.startswith("SNR") and "/" not in text)
    expected = []
    for sign, edges in ((1, NORMAL), (-1, REDUCTION)):
        for edge in edges:
            row = VINNAS.edges(2).index((edge.source, edge.target))
            snr = sign * (10 * row + VINNAS.primitives.index(edge.primitive)) / np.exp(-2.0)
            expected.append("SNR " + (f"{snr:,.0f}" if abs(snr) >= 100 else f"{snr:.3g}").replace("-", "−"))
    assert texts == Counter(expected)


def test_a_point_alpha_has_no_snr(tmp_path):
    assert not any(re.match(r"SNR .*(inf|nan|\d)", text) for text in draw(tmp_path, BOTH, posterior(-np.inf)))


def test_a_skeleton_with_one_type_of_cell_has_one_in_the_picture(tmp_path):
    texts = draw(tmp_path, Genotype(2, {"reduction": REDUCTION}))
    assert "Reduction cell" in texts
    assert "Normal cell" not in texts
    assert texts.count("concat") == 1


def test_many_cells_stand_in_a_square_and_one_of_which_nothing_is_left_says_so(tmp_path):
    tree = (Edge(2, 0, "skip"), Edge(3, 0, "conv_1x1"), Edge(6, 2, "skip"), Edge(6, 2, "max_pool_3x3"))
    cells = {f"block_{block}": tree for block in range(5)} | {"block_2": ()}
    texts = Counter(draw(tmp_path, Genotype(12, cells, "tree_pyramid")))
    assert texts["Block 1 cell"] == texts["Block 2 cell: pruned, its block is the shortcut"] == 1
    assert texts["sum"] == texts["root 0"] == texts["state 6"] == texts["max_pool_3x3"] == 4
    assert texts["conv_1x1"] == texts["state 3"] == 0  # No leaf is behind it.
    image = Image.open(tmp_path / "cells.png")
    assert 3 * 6 * 150 < image.width < 3 * 9 * 150  # Three in a row.


def test_png_shows_what_the_svg_shows(tmp_path):
    draw(tmp_path, BOTH)
    root = ElementTree.parse(tmp_path / "cells.svg").getroot()
    points = [float(root.get(name).removesuffix("pt")) for name in ("width", "height")]
    image = Image.open(tmp_path / "cells.png")
    assert image.size == pytest.approx([size / 72 * 150 for size in points], abs=1)
    assert 800 < image.width < 2500
    pixels = np.asarray(image.convert("RGB"))
    for edge in NORMAL + REDUCTION:
        colour = [int(COLOURS[edge.primitive][i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == colour).all(axis=-1).sum() > 100
    assert (pixels[0] == 255).all() and (pixels[:, 0] == 255).all()


def test_the_same_cells_give_the_same_bytes_without_a_date(tmp_path):
    files = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        draw(folder, BOTH, posterior())
        files.append([(folder / file).read_bytes() for file in ("cells.png", "cells.svg")])
    assert files[0] == files[1]
    assert b"<dc:date>" not in files[0][1]


def test_every_primitive_of_a_space_has_a_colour():
    assert {name for space in SPACES.values() for name in space.primitives} <= COLOURS.keys()


@pytest.mark.parametrize("name", sorted({name for space in SPACES.values() for name in space.primitives}))
def test_names_fit_into_their_boxes(name):
    box = next(box for box in lay_out((Edge(2, 0, "skip"), Edge(2, 1, name)), 1).boxes if box.edge == 0)
    for text, size in ((name, 8.5), ("SNR −1,000,000", 7.5)):
        assert TextPath((0, 0), text, size=size, prop=FontProperties()).get_extents().width / 72 < box.width - 0.05


def test_families_have_colours_that_colour_blind_readers_tell_apart():
    # Machado et al. 2009, full deuteranopia and protanopia, on linear RGB.
    deuteranopia = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    protanopia = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    families = [COLOURS[name] for name in ("sep_conv_3x3", "dil_conv_3x3", "conv_7x1_1x7", "max_pool_3x3", "skip")]
    rgb = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in families]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for vision in (np.eye(3), np.array(deuteranopia), np.array(protanopia)):
        seen = np.clip(linear @ vision.T, 0, 1) ** (1 / 2.2)
        distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(len(seen))
        assert distances.min() > 0.15


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (-1.5, "−1.5"), (7705.4, "7,705"), (-123456.0, "−123,456"), (3.2e7, "3.2e+07"), (0.0, "0")],
)
def test_numbers_are_short(value, text):
    assert short_number(value) == text


def test_a_picture_that_cannot_be_written_is_one_clear_line_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="absent"):
        draw_cells(BOTH, None, tmp_path / "absent" / "cells.png", tmp_path / "cells.svg")
    assert not list(tmp_path.iterdir())


def test_a_primitive_that_the_palette_does_not_know_is_grey_and_named(tmp_path, monkeypatch):
    space = dataclasses.replace(VINNAS, name="own", primitives=("shuffle", "zero"))
    monkeypatch.setitem(PRIMITIVES, "shuffle", Primitive())
    monkeypatch.setitem(SPACES, space.name, space)
    genotype = Genotype(1, {"normal": (Edge(2, 0, "shuffle"), Edge(2, 1, "shuffle"))}, "own")
    texts = Counter(draw(tmp_path, genotype))
    assert texts["shuffle"] == 2
    assert texts["other"] == 1
    assert (tmp_path / "cells.svg").read_text().count(UNKNOWN) >= 4
