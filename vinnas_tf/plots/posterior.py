"""Draws what a search found of each candidate operation: a heat-map of the end, and how it came about.

Sizes are in inches. A family of primitives has one colour, and its members have line styles.
"""

import math
import os
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from vinnas_tf.architecture.edge_values import EdgeValues
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.plots.overview import colours_of, draw_overview
from vinnas_tf.plots.style import DPI, FAMILIES, INK, TITLE, cell_title, colour_of, png, short_number, with_minus
from vinnas_tf.run.files import write_atomically

_STYLES = ("-", "--", ":", "-.", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
_LINES: dict[str, Any] = {
    name: line for _, names in FAMILIES.values() for name, line in zip(names, _STYLES, strict=False)
}
_UNKNOWN_LINE = "-."
# Width of a cell type's column, where its map starts, height of a row of the map.
_COLUMN, _MAP_LEFT, _ROW = 7.6, 1.3, 0.36
# Panels in a row, where they start, their height and that of their titles.
_PANELS, _PANEL_LEFT, _PANEL_HEIGHT, _PANEL_TITLE = 5, 0.55, 1.1, 0.48
_BESIDE = 2  # So many cell groups have columns beside each other.
_LONGEST_LINE = 11  # Characters above a field.
_HEADING: dict[str, Any] = {"size": 10, "color": INK, "va": "center"}


def draw_posterior(values: EdgeValues, genotype: Genotype, path: str | os.PathLike[str]) -> None:
    """Draws a heat-map of the values that were found, with the choices outlined, and each value over the epochs.

    Of more cell groups than have room beside each other it draws one map of all, without the epochs.

    Args:
        values: what the genotype was chosen from.
        genotype: what was chosen.
        path: where the picture is written as PNG.

    Raises:
        FileError: the file cannot be written.
    """
    if len(values.values) > _BESIDE:
        draw_overview(values, genotype, path)
        return
    rows = len(values.edges)
    map_height = _ROW * rows
    panel_rows = math.ceil(rows / _PANELS)
    width = _COLUMN * len(values.values)
    panels_top = 1.0 + map_height + 0.55
    height = panels_top + panel_rows * (_PANEL_HEIGHT + _PANEL_TITLE) + 0.85
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")

    def add_axes(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    kept_epoch = values.kept_epoch
    heading = values.heading
    heading += "" if kept_epoch is None else f" (vertical line: the epoch that was kept, {kept_epoch})"
    low, high = _range(values)
    for index, group in enumerate(values.values):
        left = _COLUMN * index
        chosen = [values.place(edge) for edge in genotype.cells[group]]
        figure.text((left + 0.2) / width, 1 - 0.3 / height, cell_title(group), **TITLE)
        figure.text((left + 0.2) / width, 1 - 0.55 / height, values.caption, size=8, color="#555555", va="center")
        heat = add_axes(left + _MAP_LEFT, 1.0, _COLUMN - _MAP_LEFT - 0.2, map_height)
        image = _draw_map(heat, values, group, chosen)
        if index == 0:
            bar = add_axes(left + _COLUMN - 2.3, 0.2, 2.1, 0.12)
            figure.colorbar(image, cax=bar, orientation="horizontal").ax.tick_params(labelsize=7, length=2)
            bar.text(-0.04, 0.5, values.name, size=8, ha="right", va="center", transform=bar.transAxes)
        figure.text((left + 0.2) / width, 1 - (panels_top - 0.1) / height, heading, **_HEADING)
        step = (_COLUMN - _PANEL_LEFT - 0.08) / _PANELS
        for edge in range(rows):
            row, column = divmod(edge, _PANELS)
            panel = add_axes(
                left + _PANEL_LEFT + column * step,
                panels_top + _PANEL_TITLE + row * (_PANEL_HEIGHT + _PANEL_TITLE),
                step - 0.12,
                _PANEL_HEIGHT,
            )
            panel.set_ylim(low, high)
            panel.tick_params(labelsize=7, length=2, labelleft=column == 0, labelbottom=edge + _PANELS >= rows)
            names = [values.primitives[k] for e, k in chosen if e == edge]
            _draw_panel(panel, values, group, edge, names, kept_epoch)
    handles = [
        Line2D([], [], color=colour_of(name), linestyle=_LINES.get(name, _UNKNOWN_LINE), linewidth=1.8, label=name)
        for name in values.primitives
    ]
    figure.legend(
        handles=handles, loc="lower center", ncols=5 * len(values.values), frameon=False, fontsize=8, handlelength=2.6
    )
    write_atomically(path, png(figure))


def _draw_map(axes: Axes, values: EdgeValues, group: str, chosen: Sequence[tuple[int, int]]) -> AxesImage:
    """One cell type's values, edges x primitives, each in its field, with its note if that is another figure."""
    shown, note, edges = values.values[group], values.note.values[group], values.edges
    colours = colours_of(values)
    high = colours["vmax"]
    image = axes.imshow(shown, **colours, aspect="auto", interpolation="nearest")
    for (edge, k), value in np.ndenumerate(shown):
        style: dict[str, Any] = {"color": "white" if abs(value) > 0.62 * high else INK, "ha": "center", "va": "center"}
        with_note = note is not shown and np.isfinite(note[edge, k])
        axes.text(k, edge - 0.14 * with_note, short_number(float(value), 2), size=7.5, **style)
        if with_note:
            text = f"{values.note.name} {short_number(float(note[edge, k]))}"
            axes.text(k, edge + 0.24, text, size=5.5, **style)
    for edge, k in chosen:
        axes.add_patch(Rectangle((k - 0.5, edge - 0.5), 1, 1, fill=False, linewidth=2.2, zorder=3, clip_on=False))
    for edge in range(1, len(edges)):
        if edges[edge][1] != edges[edge - 1][1]:
            axes.axhline(edge - 0.5, color="white", linewidth=3)
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(values.primitives)), [_in_lines(name) for name in values.primitives])
    axes.set_yticks(range(len(edges)), [_edge_name(values, edge) for edge in range(len(edges))])
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    return image


def _draw_panel(
    axes: Axes,
    values: EdgeValues,
    group: str,
    edge: int,
    chosen: Sequence[str],
    kept_epoch: int | None,
) -> None:
    """One edge's values over the epochs; those that are chosen are drawn thick."""
    mean, deviation = (of_all[:, edge] for of_all in _moments(values, group))
    epochs = np.arange(1, len(mean) + 1)
    axes.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    for k, name in enumerate(values.primitives):
        strong = name in chosen
        style: dict[str, Any] = {
            "color": colour_of(name),
            "linewidth": 2.4 if strong else 1.0,
            "zorder": 3 if strong else 2,
        }
        if len(epochs) == 1:
            # A line needs two epochs; the points stand side by side.
            beside = 1 + 0.8 * ((k + 0.5) / len(values.primitives) - 0.5)
            axes.errorbar(beside, mean[0, k], deviation[0, k], fmt="o", markersize=3, **style)
        else:
            axes.plot(epochs, mean[:, k], linestyle=_LINES.get(name, _UNKNOWN_LINE), **style)
            low, high = mean[:, k] - deviation[:, k], mean[:, k] + deviation[:, k]
            axes.fill_between(epochs, low, high, color=colour_of(name), alpha=0.12, linewidth=0)
    if len(epochs) == 1:
        axes.set(xlim=(0.5, 1.5), xticks=[1])
    else:
        axes.set(xlim=(1, len(epochs)), xticks=[1, len(epochs)])
        sides: tuple[Literal["left", "right"], ...] = ("left", "right")
        for label, side in zip(axes.get_xticklabels(), sides, strict=False):  # The upper rows have no labels.
            label.set_horizontalalignment(side)
        if kept_epoch is not None:
            axes.axvline(kept_epoch, color="#888888", linewidth=0.8, zorder=0)
    axes.set_facecolor("white" if chosen else "#F3F3F3")
    axes.spines[["top", "right"]].set_visible(False)
    axes.text(0, 1.2, _edge_name(values, edge), size=7.5, transform=axes.transAxes)
    verdict = chosen[0] if len(chosen) == 1 else f"{len(chosen)} kept" if chosen else "not kept"
    ink = colour_of(chosen[0]) if len(chosen) == 1 else INK if chosen else "#777777"
    axes.text(0, 1.05, verdict, size=7.5, color=ink, weight="bold" if chosen else "normal", transform=axes.transAxes)


def _in_lines(primitive: str) -> str:
    """A name in lines that are no wider than a field."""
    name, *size = re.split(r"_(?=\d)", primitive, maxsplit=1)
    lines = [name] if len(name) <= _LONGEST_LINE else name.split("_", maxsplit=1)
    return "\n".join([*lines, *size])


def _edge_name(values: EdgeValues, edge: int) -> str:
    return " → ".join(with_minus(values.space.node_name(node)) for node in values.edges[edge])


def _moments(values: EdgeValues, group: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of all epochs and their standard deviations, [epochs, edges, K]; the latter 0 where they are sure."""
    of_epochs = values.trajectory[group]
    return of_epochs, values.deviation.get(group, np.zeros(of_epochs.shape))


def _range(values: EdgeValues) -> tuple[float, float]:
    """The y axis that all panels share."""
    moments = [_moments(values, group) for group in values.values]
    low = min((mean - deviation).min() for mean, deviation in moments)
    high = max((mean + deviation).max() for mean, deviation in moments)
    low, high = values.limits or (low, high)
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin
