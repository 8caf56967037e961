import dataclasses

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.posterior import Posterior, select
from vinnas_tf.architecture.primitives import PRIMITIVES, Primitive
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.errors import UserError
from vinnas_tf.plots.posterior import draw_posterior
from vinnas_tf.plots.style import COLOURS, UNKNOWN

BOTH = ("normal", "reduction")


def search(states=2, cells=("reduction",), epochs=5, seed=0):
    """A made-up trajectory, and the posterior at its end."""
    generator = np.random.default_rng(seed)
    shape = (epochs, len(VINNAS.edges(states)), 10)
    trajectory = {}
    for name in cells:
        trajectory[f"{name}/mean"] = np.cumsum(generator.normal(0, 0.1, shape), axis=0)
        trajectory[f"{name}/log_variance"] = generator.uniform(-6, -3, shape)
    return posterior_at(trajectory, states, cells, epochs - 1), trajectory


def posterior_at(trajectory, states, cells, epoch):
    return Posterior(
        VINNAS.primitives,
        states,
        {name: trajectory[f"{name}/mean"][epoch] for name in cells},
        {name: trajectory[f"{name}/log_variance"][epoch] for name in cells},
    )


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def draw(folder, posterior, trajectory, rule="magnitude"):
    genotype = select(posterior.scores(rule), posterior.states, posterior.primitives)
    draw_posterior(posterior.edge_values(trajectory), genotype, folder / "posterior.png")
    return pixels(folder / "posterior.png")


def near(image, colour, tolerance):
    return np.abs(image - np.array(colour)).max(axis=-1) <= tolerance


@pytest.mark.parametrize(("states", "cells", "epochs"), [(1, ("normal",), 1), (2, ("reduction",), 20), (3, BOTH, 2)])
def test_picture_grows_with_the_cells_and_leaves_a_white_rim(tmp_path, states, cells, epochs):
    image = draw(tmp_path, *search(states, cells, epochs))
    height, width, _ = image.shape
    assert width == 1140 * len(cells)
    assert 0.3 < height / width < 1.5
    for rim in (image[0], image[-1], image[:, 0], image[:, -1]):
        assert (rim == 255).all()


def test_map_colours_diverge_from_white_at_zero(tmp_path):
    posterior, trajectory = search()
    positive, zero, negative = (np.array(colormaps["RdBu_r"](x)[:3]) * 255 for x in (1.0, 0.5, 0.0))
    mean = np.zeros((5, 10))
    mean[:2], mean[2:4] = 0.7, -0.7
    image = draw(
        tmp_path,
        Posterior(VINNAS.primitives, 2, {"reduction": mean}, posterior.log_variance),
        trajectory,
    )
    rows = [np.flatnonzero(near(image, colour, 3).sum(axis=1) > 500) for colour in (positive, negative, zero)]
    # Two rows of the map each, positive above negative above zero, each row of the map 54 pixels high.
    assert [len(found) for found in rows] == pytest.approx([108, 108, 54], rel=0.2)
    assert rows[0].max() < rows[1].min() < rows[1].max() < rows[2].min()


def test_choices_are_outlined_in_their_fields(tmp_path):
    posterior, trajectory = search()
    # White fields, so that all that is black and long in the map is an outline.
    flat = Posterior(VINNAS.primitives, 2, {"reduction": np.zeros((5, 10))}, posterior.log_variance)
    scores = np.zeros((5, 10))
    scores[[0, 1, 2, 4], [0, 3, 6, 8]] = 1
    draw_posterior(
        flat.edge_values(trajectory), select({"reduction": scores}, 2, VINNAS.primitives), tmp_path / "posterior.png"
    )
    image = pixels(tmp_path / "posterior.png")
    left, top, width, height = 195, 150, 91.5, 54  # Of the map and of a field, in pixels.
    outlined = set()
    for edge in range(5):
        for k in range(10):
            x = round(left + k * width)
            middle = slice(round(top + (edge + 0.25) * height), round(top + (edge + 0.75) * height))
            sides = [
                near(image[middle, column - 4 : column + 5], (0, 0, 0), 12).any(axis=1).all()
                for column in (x, round(x + width))
            ]
            if all(sides):
                outlined.add((edge, k))
    assert outlined == {(0, 0), (1, 3), (2, 6), (4, 8)}


def test_chosen_primitives_are_drawn_thicker_in_their_panels(tmp_path):
    # All alphas but those of one primitive stay put; its colour covers more where it is chosen.
    _, trajectory = search(states=1, cells=("normal",), epochs=10)
    trajectory["normal/mean"][:] = 0
    trajectory["normal/log_variance"][:] = -30
    green = VINNAS.primitives.index("conv_7x1_1x7")
    trajectory["normal/mean"][:, :, green] = np.linspace(0, 1, 10)[:, None]
    posterior = posterior_at(trajectory, 1, ("normal",), -1)
    colour = [int(COLOURS["conv_7x1_1x7"][i : i + 2], 16) for i in (1, 3, 5)]
    counts = []
    for k in (green, 0):
        scores = np.zeros((2, 10))
        scores[:, k] = 1
        draw_posterior(
            posterior.edge_values(trajectory), select({"normal": scores}, 1, VINNAS.primitives), tmp_path / "p.png"
        )
        image = pixels(tmp_path / "p.png")
        # Below the panels' titles and above the legend, where the name is not written.
        panels = image[round((1 + 0.72 + 0.55 + 0.5) * 150) : round((1 + 0.72 + 0.55 + 0.48 + 1.1) * 150)]
        counts.append(near(panels, colour, 40).sum())
    assert counts[0] > 1.7 * counts[1] > 0


def test_the_epoch_that_was_kept_is_marked_in_every_panel(tmp_path):
    # All alphas lie along 0, and one wide deviation sets the range: what is left standing upright is the mark.
    posterior, trajectory = search(epochs=11)
    trajectory["reduction/mean"] *= 1e-6
    trajectory["reduction/log_variance"][:] = -40
    trajectory["reduction/log_variance"][0, 0, 0] = 0
    marks = {}
    for epoch in (3, 8):
        image = draw(tmp_path, posterior_at(trajectory, 2, ("reduction",), epoch), trajectory)
        panels = image[round((1 + 1.8 + 0.55 + 0.5) * 150) : round((1 + 1.8 + 0.55 + 0.48 + 1.05) * 150)]
        columns = np.flatnonzero(near(panels, (136, 136, 136), 30).mean(axis=0) > 0.6)
        marks[epoch] = columns[np.diff(columns, prepend=-9) > 3]
    assert len(marks[3]) == len(marks[8]) == 5
    panel_width = ((7.6 - 0.55 - 0.08) / 5 - 0.12) * 150
    np.testing.assert_allclose(marks[8] - marks[3], 0.5 * panel_width, atol=2)


def test_point_alphas_and_a_search_without_movement_can_be_drawn(tmp_path):
    trajectory = {"normal/mean": np.zeros((4, 5, 10)), "normal/log_variance": np.full((4, 5, 10), -np.inf)}
    image = draw(tmp_path, posterior_at(trajectory, 2, ("normal",), 0), trajectory)
    assert (image < 128).any()


def test_the_same_search_gives_the_same_bytes(tmp_path):
    posterior, trajectory = search(states=1)
    images = []
    for _ in range(2):
        draw(tmp_path, posterior, trajectory)
        images.append((tmp_path / "posterior.png").read_bytes())
    assert images[0] == images[1]


def test_a_picture_that_cannot_be_written_is_one_clear_line(tmp_path):
    posterior, trajectory = search(states=1)
    with pytest.raises(UserError, match="absent"):
        draw(tmp_path / "absent", posterior, trajectory)


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_primitive_that_the_palette_does_not_know_is_grey(tmp_path, monkeypatch, epochs):
    monkeypatch.setitem(PRIMITIVES, "shuffle", Primitive())
    grey = [int(UNKNOWN[i : i + 2], 16) for i in (1, 3, 5)]
    genotype = Genotype(1, {"normal": (Edge(2, 0, "skip"), Edge(2, 1, "skip"))})
    mean, log_variance = np.tile([0.0, 1.0, -1.0], (epochs, 2, 1)), np.full((epochs, 2, 3), -2.0)
    counts = {}
    for name in ("shuffle", "conv_3x3"):
        space = dataclasses.replace(VINNAS, name="own", primitives=("skip", name, "zero"))
        posterior = Posterior(space.primitives, 1, {"normal": mean[-1]}, {"normal": log_variance[-1]}, space=space)
        trajectory = {"normal/mean": mean, "normal/log_variance": log_variance}
        draw_posterior(posterior.edge_values(trajectory), genotype, tmp_path / "posterior.png")
        counts[name] = near(pixels(tmp_path / "posterior.png"), grey, 2).sum()
    assert counts["shuffle"] > counts["conv_3x3"] + 50
