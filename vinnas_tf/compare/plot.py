"""Draws a comparison: accuracy against parameters, for every row and seed."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from vinnas_tf.compare.statistics import Result
from vinnas_tf.plots.style import DPI, INK, png
from vinnas_tf.run.files import write_atomically

# Okabe and Ito's colours but yellow, which is faint on white; the markers go on to differ where the colours repeat.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MARKERS = ("o", "s", "^", "D", "v", "<", ">", "p", "*")
_LABEL_GAP = 0.06  # Between labels, as a share of the height of the axes.


def draw_comparison(results: Sequence[Result], path: str | os.PathLike[str]) -> None:
    """Draws test accuracy against non-zero parameters: a small mark a seed, a large one for the row's mean.

    The bars of a mean are sample standard deviations. Each row's name stands to the right, at the height of its mean
    or as near to it as the other names let it, and a line leads there.

    Args:
        results: of all rows and seeds; at least one.
        path: where the picture is written as PNG.

    Raises:
        FileError: the file cannot be written.
    """
    write_atomically(path, png(comparison_figure(results)))


def comparison_figure(results: Sequence[Result]) -> Figure:
    """The figure that `draw_comparison` writes."""
    figure = Figure(figsize=(8, 4.8), dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.1, 0.12, 0.62, 0.78))
    axes.set_xscale("log")
    rows = list(dict.fromkeys(result.row for result in results))
    means: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        params = np.array([max(result.params_nonzero, 1) for result in results if result.row == row], float)
        percent = np.array([100 * result.accuracy for result in results if result.row == row])
        means[row] = float(params.mean()), float(percent.mean())
        style = _style(number)
        axes.plot(params, percent, linestyle="", markersize=4, alpha=0.55, label=f"seeds of {row}", **style)
        several = len(params) > 1
        axes.errorbar(
            *means[row],
            xerr=params.std(ddof=1) if several else None,
            yerr=percent.std(ddof=1) if several else None,
            markersize=10,
            markeredgecolor="white",
            elinewidth=1.2,
            capsize=3,
            label=row,
            zorder=3,
            **style,
        )
    _frame(axes, results)
    low, high = axes.get_ylim()
    heights = _spread([(means[row][1] - low) / (high - low) for row in rows])
    for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
        style = _style(number)
        line = {
            "arrowstyle": "-",
            "linestyle": ":",
            "color": style["color"],
            "linewidth": 1,
            "shrinkA": 0,
            "shrinkB": 6,
        }
        axes.annotate("", means[row], (1.03, height), textcoords="axes fraction", arrowprops=line)
        axes.plot(1.05, height, transform=axes.transAxes, clip_on=False, markersize=6, **style)
        axes.text(1.075, height, row, transform=axes.transAxes, color=INK, size=9, va="center")
    return figure


def _style(number: int) -> dict[str, Any]:
    """Colour and marker of a row, by its place in the table."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _frame(axes: Axes, results: Sequence[Result]) -> None:
    """Limits around all seeds, titles and ticks."""
    params = np.array([max(result.params_nonzero, 1) for result in results], float)
    percent = np.array([100 * result.accuracy for result in results])
    # A bar may reach beyond the seeds, by half their range at most.
    margin = max(0.35 * float(np.ptp(percent)), 0.25)
    axes.set_ylim(percent.min() - margin, percent.max() + margin)
    factor = max((params.max() / params.min()) ** 0.25, 1.15)
    axes.set_xlim(params.min() / factor, params.max() * factor)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("non-zero parameters of the pruned network")
    axes.set_ylabel("accuracy on the test images, %")
    axes.set_title("Large: mean and sample standard deviation. Small: a seed.", size=10, color=INK)
    axes.grid(color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _spread(heights: Sequence[float]) -> list[float]:
    """Heights in [0, 1], in the same order, that are `_LABEL_GAP` apart at least, or as far as there is room."""
    order = np.argsort(heights, kind="stable")
    gap = min(_LABEL_GAP, 1 / max(len(heights) - 1, 1))
    placed = np.clip(np.asarray(heights, float)[order], 0, 1)
    for i in range(1, len(placed)):
        placed[i] = max(placed[i], placed[i - 1] + gap)
    placed[-1] = min(placed[-1], 1)
    for i in range(len(placed) - 2, -1, -1):
        placed[i] = min(placed[i], placed[i + 1] - gap)
    spread = np.empty(len(placed))
    spread[order] = placed
    return [float(height) for height in spread]
