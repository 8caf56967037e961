"""Draws what a search found of every operation of many cells as one heat-map: a row a cell, a column an operation.

Sizes are in inches.
"""

import os
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vinnas_tf.architecture.edge_values import EdgeValues
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.plots.style import INK, TITLE, cell_title, colour_of, png, resolution, with_minus
from vinnas_tf.run.files import write_atomically

_FIELD, _ROW = 0.16, 0.24
_LEFT, _RIGHT, _TOP, _BOTTOM = 1.25, 0.9, 1.15, 1.05
_BETWEEN = 0.25  # Fields that an edge's columns lie from the next one's.


def colours_of(values: EdgeValues) -> dict[str, Any]:
    """The colours of the values of all cells, and what they reach from and to."""
    limit = max(float(np.abs(of_group).max()) for of_group in values.values.values()) or 1.0
    low, high = values.limits or (-limit, limit)
    return {"cmap": "RdBu_r" if values.limits is None else "Blues", "vmin": low, "vmax": high}


def draw_overview(values: EdgeValues, genotype: Genotype, path: str | os.PathLike[str]) -> None:
    """Draws the values as one map, with the choices outlined.

    Args:
        values: what the genotype was chosen from.
        genotype: what was chosen.
        path: where the picture is written as PNG.

    Raises:
        FileError: the file cannot be written.
    """
    groups, names = list(values.values), values.primitives
    edges, fields = len(values.edges), len(names)
    step = fields + _BETWEEN
    map_width, map_height = _FIELD * step * edges, _ROW * len(groups)
    width, height = _LEFT + map_width + _RIGHT, _TOP + map_height + _BOTTOM
    figure = Figure(figsize=(width, height), dpi=resolution(width, height), facecolor="white")
    axes = figure.add_axes((_LEFT / width, _BOTTOM / height, map_width / width, map_height / height))
    axes.set(xlim=(0, step * edges - _BETWEEN), ylim=(len(groups), 0))
    colours = colours_of(values)
    for edge in range(edges):
        shown = np.stack([values.values[group][edge] for group in groups])
        left = edge * step
        extent = (left, left + fields, len(groups), 0)
        image = axes.imshow(shown, **colours, extent=extent, aspect="auto", interpolation="nearest")
        route = " → ".join(with_minus(values.space.node_name(node)) for node in values.edges[edge])
        axes.text(left + fields / 2, -0.35, route, size=7, color=INK, ha="center", va="bottom")
    for row, group in enumerate(groups):
        for of_edge in genotype.cells[group]:
            edge, k = values.place(of_edge)
            box = Rectangle((edge * step + k, row), 1, 1, fill=False, linewidth=1.6, zorder=3, clip_on=False)
            axes.add_patch(box)
    axes.autoscale(False)
    axes.set_xlim(0, step * edges - _BETWEEN)
    axes.set_ylim(len(groups), 0)
    axes.set_yticks(np.arange(len(groups)) + 0.5, [cell_title(group).removesuffix(" cell") for group in groups])
    places = [edge * step + k + 0.5 for edge in range(edges) for k in range(fields)]
    axes.set_xticks(places, list(names) * edges, rotation=90)
    for label, name in zip(axes.get_xticklabels(), list(names) * edges, strict=True):
        label.set_color(colour_of(name))
    axes.tick_params(labelsize=7, length=0)
    axes.tick_params(axis="x", labelsize=6)
    axes.spines[:].set_visible(False)
    bar = figure.add_axes(((_LEFT + map_width + 0.15) / width, _BOTTOM / height, 0.12 / width, map_height / height))
    figure.colorbar(image, cax=bar).ax.tick_params(labelsize=7, length=2)
    figure.text(0.2 / width, 1 - 0.3 / height, f"{values.name[0].upper()}{values.name[1:]} of each cell", **TITLE)
    figure.text(0.2 / width, 1 - 0.55 / height, values.caption, size=8, color="#555555", va="center")
    write_atomically(path, png(figure))
