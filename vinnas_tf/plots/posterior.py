"""Draws the posterior of the architecture parameters: a heat-map of what was found, and how it came about.

Sizes are in inches. A family of primitives has one colour, and its members have line styles.
"""

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.plots.style import DPI, FAMILIES, INK, TITLE, colour_of, png, short_number, with_minus
from vinnas_tf.run.files import write_atomically

_LINES: dict[str, Any] = {
    name: line for _, names in FAMILIES.values() for name, line in zip(names, ("-", "--", ":"), strict=False)
}
_UNKNOWN_LINE = "-."
# Width of a cell type's column, where its map starts, height of a row of the map.
_COLUMN, _MAP_LEFT, _ROW = 7.6, 1.3, 0.36
# Panels in a row, where they start, their height and that of their titles.
_PANELS, _PANEL_LEFT, _PANEL_HEIGHT, _PANEL_TITLE = 5, 0.55, 1.1, 0.48
_HEADING: dict[str, Any] = {"size": 10, "color": INK, "va": "center"}
_CAPTION = "mean and SNR (mean / variance) of alpha; outlined: chosen"


def draw_posterior(
    posterior: Posterior, trajectory: Mapping[str, np.ndarray], genotype: Genotype, path: str | os.PathLike[str]
) -> None:
    """Draws the alphas: a heat-map of the posterior's means with the choices outlined, and every alpha over the epochs.

    Args:
        posterior: the alphas that the genotype was chosen from.
        trajectory: by "GROUP/mean" and, of Gaussian alphas, "GROUP/log_variance": [epochs, edges, K].
        genotype: what was chosen.
        path: where the picture is written as PNG.

    Raises:
        FileError: the file cannot be written.
    """
    rows = len(posterior.edges)
    map_height = _ROW * rows
    panel_rows = math.ceil(rows / _PANELS)
    width = _COLUMN * len(posterior.mean)
    panels_top = 1.0 + map_height + 0.55
    height = panels_top + panel_rows * (_PANEL_HEIGHT + _PANEL_TITLE) + 0.85
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")

    def add_axes(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))

    limit = max(float(np.abs(mean).max()) for mean in posterior.mean.values()) or 1.0
    low, high = _range(posterior, trajectory)
    kept_epoch = _epoch_of(posterior, trajectory)
    heading = "Mean ± standard deviation of alpha over the epochs"
    heading += "" if kept_epoch is None else f" (vertical line: the epoch that was kept, {kept_epoch})"
    for index, group in enumerate(posterior.mean):
        left = _COLUMN * index
        chosen = [posterior.place(edge) for edge in genotype.cells[group]]
        figure.text((left + 0.2) / width, 1 - 0.3 / height, f"{group.capitalize()} cell", **TITLE)
        figure.text((left + 0.2) / width, 1 - 0.55 / height, _CAPTION, size=8, color="#555555", va="center")
        heat = add_axes(left + _MAP_LEFT, 1.0, _COLUMN - _MAP_LEFT - 0.2, map_height)
        image = _draw_map(heat, posterior, group, chosen, limit)
        if index == 0:
            bar = add_axes(left + _COLUMN - 2.3, 0.2, 2.1, 0.12)
            figure.colorbar(image, cax=bar, orientation="horizontal").ax.tick_params(labelsize=7, length=2)
            bar.text(-0.04, 0.5, "mean of alpha", size=8, ha="right", va="center", transform=bar.transAxes)
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
            names = [posterior.primitives[k] for e, k in chosen if e == edge]
            _draw_panel(panel, posterior, trajectory, group, edge, names, kept_epoch)
    handles = [
        Line2D([], [], color=colour_of(name), linestyle=_LINES.get(name, _UNKNOWN_LINE), linewidth=1.8, label=name)
        for name in posterior.primitives
    ]
    figure.legend(
        handles=handles, loc="lower center", ncols=5 * len(posterior.mean), frameon=False, fontsize=8, handlelength=2.6
    )
    write_atomically(path, png(figure))


def _draw_map(
    axes: Axes, posterior: Posterior, group: str, chosen: Sequence[tuple[int, int]], limit: float
) -> AxesImage:
    """One cell type's means, edges x primitives, with mean and SNR in each field."""
    mean, snr, edges = posterior.mean[group], posterior.snr(group), posterior.edges
    image = axes.imshow(mean, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    for (edge, k), value in np.ndenumerate(mean):
        style: dict[str, Any] = {"color": "white" if abs(value) > 0.62 * limit else INK, "ha": "center", "va": "center"}
        with_snr = np.isfinite(snr[edge, k])
        axes.text(k, edge - 0.14 * with_snr, short_number(float(value), 2), size=7.5, **style)
        if with_snr:
            axes.text(k, edge + 0.24, f"SNR {short_number(float(snr[edge, k]))}", size=5.5, **style)
    for edge, k in chosen:
        axes.add_patch(Rectangle((k - 0.5, edge - 0.5), 1, 1, fill=False, linewidth=2.2, zorder=3, clip_on=False))
    for edge in range(1, len(edges)):
        if edges[edge][1] != edges[edge - 1][1]:
            axes.axhline(edge - 0.5, color="white", linewidth=3)
    axes.xaxis.tick_top()
    in_two_lines = [re.sub(r"_(?=\d)", "\n", name, count=1) for name in posterior.primitives]
    axes.set_xticks(range(len(in_two_lines)), in_two_lines)
    axes.set_yticks(range(len(edges)), [_edge_name(posterior, edge) for edge in range(len(edges))])
    axes.tick_params(labelsize=8, length=0)
    axes.spines[:].set_visible(False)
    return image


def _draw_panel(
    axes: Axes,
    posterior: Posterior,
    trajectory: Mapping[str, np.ndarray],
    group: str,
    edge: int,
    chosen: Sequence[str],
    kept_epoch: int | None,
) -> None:
    """One edge's alphas over the epochs; those that are chosen are drawn thick."""
    mean, deviation = (of_all[:, edge] for of_all in _moments(trajectory, group))
    epochs = np.arange(1, len(mean) + 1)
    axes.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    for k, name in enumerate(posterior.primitives):
        strong = name in chosen
        style: dict[str, Any] = {
            "color": colour_of(name),
            "linewidth": 2.4 if strong else 1.0,
            "zorder": 3 if strong else 2,
        }
        if len(epochs) == 1:
            # A line needs two epochs; the points stand side by side.
            beside = 1 + 0.8 * ((k + 0.5) / len(posterior.primitives) - 0.5)
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
    axes.text(0, 1.2, _edge_name(posterior, edge), size=7.5, transform=axes.transAxes)
    verdict = chosen[0] + (f" and {len(chosen) - 1} more" if len(chosen) > 1 else "") if chosen else "not kept"
    ink = colour_of(chosen[0]) if chosen else "#777777"
    axes.text(0, 1.05, verdict, size=7.5, color=ink, weight="bold" if chosen else "normal", transform=axes.transAxes)


def _edge_name(posterior: Posterior, edge: int) -> str:
    return " → ".join(with_minus(posterior.space.node_name(node)) for node in posterior.edges[edge])


def _moments(trajectory: Mapping[str, np.ndarray], group: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the alphas of all epochs, [epochs, edges, K]; without noise the latter is 0."""
    mean = trajectory[f"{group}/mean"]
    return mean, np.exp(0.5 * trajectory.get(f"{group}/log_variance", np.full(mean.shape, -np.inf)))


def _range(posterior: Posterior, trajectory: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The y axis that all panels share."""
    lows, highs = [], []
    for group in posterior.mean:
        mean, deviation = _moments(trajectory, group)
        lows.append((mean - deviation).min())
        highs.append((mean + deviation).max())
    low, high = min(lows), max(highs)
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def _epoch_of(posterior: Posterior, trajectory: Mapping[str, np.ndarray]) -> int | None:
    """The last epoch, from 1, whose alphas are the posterior's, if there are more than one to choose from."""
    same = [(trajectory[f"{name}/mean"] == mean).all(axis=(1, 2)) for name, mean in posterior.mean.items()]
    epochs = np.flatnonzero(np.all(same, axis=0)) + 1
    return int(epochs[-1]) if len(epochs) and len(same[0]) > 1 else None
