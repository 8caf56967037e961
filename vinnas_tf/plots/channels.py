"""Pictures of a search of channels: the accuracies of its candidates, and which channels are kept."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from vinnas_tf.architecture.masks import DropProbabilities, Masks
from vinnas_tf.plots.style import BLUE, INK, RED, png
from vinnas_tf.run.files import Value, write_atomically

_KEPT, _DROPPED, _CHOSEN = BLUE, "#e8c9bb", RED
_MOST_BINS = 40
_MOST_ROWS = 120  # Groups in the picture of masks, of more the ones with most channels dropped.


def draw_candidates(
    rows: Sequence[Mapping[str, Value]], chosen: int, images: int, path: str | os.PathLike[str]
) -> None:
    """Draws a histogram of the candidates' accuracies, with the chosen one, and their accuracies against their weights.

    Args:
        rows: as candidates.csv holds them.
        chosen: the number of the chosen one.
        images: how many held-out images they were judged by.
        path: of the PNG.
    """
    accuracies = 100 * np.array([row["accuracy"] for row in rows], float)
    weights = np.array([row["weights"] for row in rows], float)
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    histogram, against = figure.subplots(1, 2)
    # Accuracies are multiples of one image: no bin may be narrower.
    span = max(accuracies.max() - accuracies.min(), 100 / images)
    bins = int(np.clip(span / (100 / images), 1, _MOST_BINS))
    histogram.hist(accuracies, bins=bins, color=_KEPT)
    label = f"chosen, number {chosen}: {accuracies[chosen]:.2f} %"
    histogram.axvline(accuracies[chosen], color=_CHOSEN, linewidth=1.2, label=label)
    histogram.set_xlabel(f"accuracy on {images:,} held-out images, %")
    histogram.set_ylabel("candidates")
    against.plot(weights, accuracies, ".", color=_KEPT, markersize=3, alpha=0.6)
    against.plot(weights[chosen], accuracies[chosen], "o", color=_CHOSEN, markersize=6)
    against.set_xlabel("weights of kernels that are kept")
    against.xaxis.set_major_formatter("{x:,.0f}")
    against.tick_params(axis="x", rotation=20)
    against.set_ylabel("accuracy, %")
    title = f"{len(rows):,} candidates: {accuracies.mean():.2f} ± {accuracies.std():.2f} %"
    figure.suptitle(title, fontsize=10, color=INK)
    figure.legend(*histogram.get_legend_handles_labels(), loc="outside lower center", fontsize=8, frameon=False)
    for axes in (histogram, against):
        axes.spines[["top", "right"]].set_visible(False)
    write_atomically(path, png(figure))


def draw_masks(masks: Masks, found: DropProbabilities, path: str | os.PathLike[str]) -> None:
    """Draws a row for each group of channels: which are kept, and how probable it is that one is dropped.

    Args:
        masks: the chosen ones.
        found: the probabilities that they were drawn from, of the same groups.
        path: of the PNG.
    """
    lost = [int((~mask).sum()) for mask in masks.kept]
    shown = sorted(np.argsort(lost, kind="stable")[::-1][:_MOST_ROWS].tolist())
    widest = max(masks.groups[number].channels for number in shown)
    cells = np.full((len(shown), widest), np.nan)
    for row, number in enumerate(shown):
        cells[row, : masks.groups[number].channels] = masks.kept[number]
    figure = Figure(figsize=(10, 1.4 + 0.2 * len(shown)), layout="constrained")
    channels, probabilities = figure.subplots(1, 2, width_ratios=(4, 1), sharey=True)
    colours = ListedColormap([_DROPPED, _KEPT])
    grid = np.arange(widest + 1), np.arange(len(shown) + 1) - 0.5
    channels.pcolormesh(*grid, cells, cmap=colours, vmin=0, vmax=1, edgecolors="white", linewidth=0.3)
    labels = [f"{masks.groups[n].name}: {masks.groups[n].channels - lost[n]}/{masks.groups[n].channels}" for n in shown]
    channels.set_yticks(range(len(shown)), labels, fontsize=6, parse_math=False)
    channels.set_xlabel("input channel of the layer (blue: kept)")
    channels.invert_yaxis()
    probabilities.barh(range(len(shown)), found.p[shown], color=_CHOSEN, height=0.7)
    probabilities.axvline(0.5, color="grey", linewidth=0.8, linestyle=":")
    probabilities.set_xlim(0, 1)
    probabilities.set_xlabel("p (dropped)")
    vector = masks.vector
    left_out = f"; {len(shown)} of {len(masks.groups)} groups shown" if len(shown) < len(masks.groups) else ""
    title = f"{int(vector.sum()):,} of {vector.size:,} channels are kept ({vector.mean():.1%}){left_out}"
    figure.suptitle(title, fontsize=10, color=INK)
    for axes in (channels, probabilities):
        axes.spines[["top", "right"]].set_visible(False)
    write_atomically(path, png(figure))
