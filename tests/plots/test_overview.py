"""The map of what many cells have, read back field by field."""

import numpy as np
from matplotlib import colormaps
from PIL import Image

from vinnas_tf.architecture.edge_values import EdgeValues, Note
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import TREE_PYRAMID
from vinnas_tf.plots.posterior import draw_posterior

GROUPS = [f"block_{block}" for block in range(4)]
STEP, LEFT, TOP, FIELD, ROW = 7.25, 1.25, 1.15, 0.16, 0.24


def test_each_field_has_the_colour_of_its_value_and_what_was_chosen_a_frame(tmp_path):
    generator = np.random.default_rng(0)
    values = {group: generator.uniform(-1, 1, (12, 7)) for group in GROUPS}
    values["block_3"][0, 0] = 1.0  # The largest of all, which the colours reach to.
    genotype = Genotype(12, {group: (Edge(2, 0, "skip"),) for group in GROUPS[:3]} | {"block_3": ()}, "tree_pyramid")
    pictured = EdgeValues(
        TREE_PYRAMID, 12, TREE_PYRAMID.primitives, "mean switch", values, {g: v[None] for g, v in values.items()},
        Note("", values, ""), caption="", heading="",
    )  # fmt: skip
    draw_posterior(pictured, genotype, tmp_path / "posterior.png")
    image = np.asarray(Image.open(tmp_path / "posterior.png").convert("RGB")).astype(int)
    for row, group in enumerate(GROUPS):
        for edge in range(12):
            for k in range(7):
                x, y = LEFT + FIELD * (edge * STEP + k + 0.5), TOP + ROW * (row + 0.5)
                colour = np.array(colormaps["RdBu_r"](0.5 + values[group][edge, k] / 2)[:3]) * 255
                np.testing.assert_allclose(image[round(150 * y), round(150 * x)], colour, atol=4)
    chosen = 150 * np.array([TOP + ROW * 0.5, LEFT + FIELD * 6])  # The left side of the frame of skip, first block.
    rim = image[round(chosen[0]), round(chosen[1]) - 3 : round(chosen[1]) + 4]
    assert rim.max(axis=-1).min() < 12
    below = image[round(chosen[0] + 150 * ROW * 3), round(chosen[1]) - 3 : round(chosen[1]) + 4]
    assert below.max(axis=-1).min() > 30
