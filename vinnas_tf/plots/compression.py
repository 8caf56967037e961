"""Pictures of a compression: its curve, and the channels that are left of each layer."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from vinnas_tf.plots.style import BLUE, INK, PALE, RED, png
from vinnas_tf.run.files import write_atomically

_LEFT, _GONE, _ACCURACY, _CHOSEN = BLUE, PALE, BLUE, RED
_SHOWN_LOSS = 5.0  # Points of accuracy below the dense network that the curve shows at least, if there are any.


def draw_curve(
    rows: Sequence[Mapping[str, Any]], chosen: float, images: int, reason: str, path: str | os.PathLike[str]
) -> None:
    """Draws accuracy, with a bar of one standard error up and down, against parameters and against bytes.

    Args:
        rows: as curve.csv holds them, the network that compression starts from first.
        chosen: the penalty of the point that is taken.
        images: how many held-out images the accuracy was measured on.
        reason: why that point is taken.
        path: of the PNG.
    """
    figure = Figure(figsize=(8.5, 4.0), layout="constrained")
    dense, *points = rows
    titles = {"parameters": "parameters", "bytes": "bytes of the float32 TFLite file"}
    for axes, (name, title) in zip(figure.subplots(1, 2, sharey=True), titles.items(), strict=True):
        accuracies = [100 * float(row["accuracy"]) for row in points]
        errors = [100 * float(row["standard_error"]) for row in points]
        sizes = [row[name] for row in points]
        axes.errorbar(sizes, accuracies, errors, fmt="o-", color=_ACCURACY, markersize=4, elinewidth=0.8, capsize=2)
        axes.plot(dense[name], 100 * float(dense["accuracy"]), "D", color="grey", markersize=6, label="as it came")
        axes.axhline(100 * float(dense["accuracy"]), color="grey", linewidth=0.8, linestyle=":")
        for row in points:
            place = (row[name], 100 * float(row["accuracy"]))
            axes.annotate(f"{row['penalty']:g}", place, xytext=(4, -10), textcoords="offset points", fontsize=7)
            if row["penalty"] == chosen:
                axes.plot(*place, "o", color="none", markeredgecolor=_CHOSEN, markersize=11, label=f"taken: {reason}")
        axes.set_xscale("log")
        axes.set_xlabel(title)
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylim(bottom=max(min(accuracies), 100 * float(dense["accuracy"]) - _SHOWN_LOSS) - 0.5)
    figure.axes[0].set_ylabel(f"accuracy on {images:,} held-out images, %")
    figure.suptitle("Compression at each penalty", fontsize=10, color=INK)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", fontsize=8, frameon=False)
    write_atomically(path, png(figure))


def draw_units(units: Sequence[Mapping[str, Any]], title: str, path: str | os.PathLike[str]) -> None:
    """Draws for each layer the share of its input and output channels that is left, with their numbers.

    Args:
        units: of each layer, as compression.json holds them.
        title: of the picture.
        path: of the PNG.
    """
    figure = Figure(figsize=(8, 1.3 + 0.28 * len(units)), layout="constrained")
    places = range(len(units))
    for axes, side in zip(figure.subplots(1, 2, sharey=True), ("inputs", "outputs"), strict=True):
        shares = [one[f"{side}_left"] / one[side] for one in units]
        axes.barh(places, [1.0] * len(units), color=_GONE)
        axes.barh(places, shares, color=_LEFT)
        for place, one in zip(places, units, strict=True):
            axes.text(1.0, place, f" {one[f'{side}_left']:,} of {one[side]:,}", va="center", fontsize=7)
        axes.set_xlim(0, 1.4)
        axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], fontsize=7)
        axes.set_xlabel(f"{side[:-1]} channels left")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_yticks(places, [one["layer"] for one in units], fontsize=7, parse_math=False)
    figure.axes[0].invert_yaxis()
    figure.suptitle(title, fontsize=10, color=INK)
    write_atomically(path, png(figure))
