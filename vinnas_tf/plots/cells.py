"""Draws the found cells as graphs. All sizes are in inches."""

import math
import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from vinnas_tf.architecture.edge_values import EdgeValues
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import SPACES, SearchSpace
from vinnas_tf.plots.cell_layout import CellLayout, lay_out
from vinnas_tf.plots.style import (
    COLOURS,
    FAMILIES,
    INK,
    TITLE,
    UNKNOWN,
    cell_title,
    colour_of,
    png,
    resolution,
    short_number,
    svg,
    with_minus,
)
from vinnas_tf.run.files import write_atomically

_FAINT = "#B5B5B5"
_STACKED = 2  # So many cells stand one above the other; more stand in a square.
_LEFT_OUT = ": pruned, its block is the shortcut"


def draw_cells(
    genotype: Genotype,
    values: EdgeValues | None,
    png_path: str | os.PathLike[str],
    svg_path: str | os.PathLike[str],
) -> None:
    """Draws the cells as graphs: inputs left, output right, on each arrow the kept operation and a note.

    Args:
        genotype: the cells.
        values: whose note stands beside the operations; without it, or where it is not finite, they stand alone.
        png_path: where the picture is written as PNG.
        svg_path: where the same picture is written as SVG, with its text as text.

    Raises:
        FileError: a file cannot be written.
    """
    space = SPACES[genotype.space]
    cells = {group: _drawn(genotype, group) for group in genotype.cells}
    layouts = {group: lay_out(edges, genotype.states, space) for group, edges in cells.items() if edges}
    margin, title, legend = 0.25, 0.55, 0.55
    columns = 1 if len(cells) <= _STACKED else math.ceil(math.sqrt(len(cells)))
    column = max(6.0, *(layout.width for layout in layouts.values()))
    rows = [[*cells][start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max((layouts[group].height for group in row if group in layouts), default=0.0) for row in rows]
    width = columns * column + (columns + 1) * margin
    height = sum(title + of_row + margin for of_row in heights) + legend
    figure = Figure(figsize=(width, height), dpi=resolution(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    top = margin / 2
    for row, of_row in zip(rows, heights, strict=True):
        for place, group in enumerate(row):
            left = margin + place * (column + margin)
            axes.text(left, top + 0.2, cell_title(group) + ("" if group in layouts else _LEFT_OUT), **TITLE)
            if group in layouts:
                middle = left + (column - layouts[group].width) / 2
                notes = _notes(cells[group], values, group)
                _draw_cell(axes, layouts[group], cells[group], notes, middle, top + title, space)
        top += title + of_row + margin
    if values is not None:
        axes.text(
            width - margin, margin / 2 + 0.2, values.note.meaning, size=8.5, color="#555555", ha="right",
            va="center",
        )  # fmt: skip
    used = {edge.primitive for edges in genotype.cells.values() for edge in edges}
    families = [(family, colour) for family, (colour, names) in FAMILIES.items() if used & set(names)]
    families += [("other", UNKNOWN)] if used - COLOURS.keys() else []
    handles = [Line2D([], [], color=colour, linewidth=2.5, label=family) for family, colour in families]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=9)
    write_atomically(png_path, png(figure))
    write_atomically(svg_path, svg(figure))


def _drawn(genotype: Genotype, group: str) -> Sequence[Edge]:
    """The edges that are drawn: all, but of a tree those that the network has."""
    return genotype.connected_edges(group) if SPACES[genotype.space].trees else genotype.cells[group]


def _notes(edges: Sequence[Edge], values: EdgeValues | None, group: str) -> list[str]:
    if values is None:
        return ["" for _ in edges]
    name, of_groups, _ = values.note
    figures = [of_groups[group][values.place(edge)] for edge in edges]
    return [f"{name} {short_number(figure)}" if np.isfinite(figure) else "" for figure in figures]


def _draw_cell(
    axes: Axes,
    layout: CellLayout,
    edges: Sequence[Edge],
    notes: Sequence[str],
    left: float,
    top: float,
    space: SearchSpace,
) -> None:
    """Draws one cell with its upper left corner at (left, top)."""
    for wire in layout.wires:
        colour = _FAINT if wire.edge is None else colour_of(edges[wire.edge].primitive)
        path = Path(
            [(left + x, top + y) for x, y in wire.points], [Path.MOVETO] + [Path.CURVE4] * (len(wire.points) - 1)
        )
        axes.add_patch(
            FancyArrowPatch(
                path=path,
                arrowstyle="-|>,head_length=5,head_width=2.4",
                color=colour,
                linewidth=1.6,
                capstyle="butt",
                joinstyle="miter",
                zorder=1 if wire.edge is None else 2,
            )  # fmt: skip
        )
    for box in layout.boxes:
        x, y = left + box.x, top + box.y
        if box.edge is not None:
            primitive = edges[box.edge].primitive
            _box(axes, x, y, box.width, box.height, _tint(colour_of(primitive)), colour_of(primitive), 0.08)
            shift = 0.09 if notes[box.edge] else 0
            axes.text(x, y - 0.85 * shift, primitive, size=8.5, color=INK, ha="center", va="center", zorder=4)
            axes.text(x, y + shift, notes[box.edge], size=7.5, color="#444444", ha="center", va="center", zorder=4)
        elif box.node is None:
            _box(axes, x, y, box.width, box.height, INK, INK, 0.06)
            joined = "concat" if space.concatenates else "sum" if space.trees else "output"
            axes.text(x, y, joined, size=9, color="white", ha="center", va="center", rotation=90, zorder=4)
        else:
            fill = "#E6E6E6" if box.node < space.inputs else "white"
            _box(axes, x, y, box.width, box.height, fill, INK, 0.06)
            name = with_minus(space.node_name(box.node))
            axes.text(x, y, name, size=9.5, weight="bold", color=INK, ha="center", va="center", zorder=4)


def _box(axes: Axes, x: float, y: float, width: float, height: float, fill: str, rim: str, rounding: float) -> None:
    """A rounded box with its centre at (x, y)."""
    style = f"round,pad=0,rounding_size={rounding}"
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle=style,
            facecolor=fill,
            edgecolor=rim,
            linewidth=1.3,
            zorder=3,
        )  # fmt: skip
    )


def _tint(colour: str) -> str:
    """The colour mixed with much white."""
    red, green, blue = (0.12 * part + 0.88 for part in to_rgb(colour))
    return to_hex((red, green, blue))
