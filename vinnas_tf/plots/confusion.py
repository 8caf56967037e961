"""The confusion matrix of a network, as a picture and as a table."""

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from vinnas_tf.plots.style import BLUE, DPI, INK, PALE, png
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.tables import csv_table

_SHARES = LinearSegmentedColormap.from_list("shares", ["#ffffff", BLUE])
_NO_IMAGES = PALE
_LONGEST_NAME = 20  # Characters of a class's name in the picture.
_NUMBERED = 25  # Up to so many classes each cell has its count.


def write_confusion(confusion: np.ndarray, class_names: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Writes counts as CSV: a row for each true class, a column for each predicted one.

    Args:
        confusion: counts [classes, classes].
        class_names: name of each class.
        path: of the file, UTF-8.
    """
    rows = ([name, *row] for name, row in zip(class_names, confusion.tolist(), strict=True))
    write_atomically(path, csv_table(["true \\ predicted", *class_names], rows))


def draw_confusion(
    confusion: np.ndarray, class_names: Sequence[str], described: str, path: str | os.PathLike[str]
) -> None:
    """Draws of each true class, a row, the share of its images that was taken for each class, and the counts.

    Args:
        confusion: counts [classes, classes].
        class_names: name of each class.
        described: the images, such as "360 test images".
        path: of the PNG.
    """
    classes = len(class_names)
    counts = confusion.sum(axis=1, keepdims=True)
    shares = np.where(counts, confusion / np.maximum(counts, 1), np.nan)
    side = max(2.5, min(0.42 * classes, 11))
    figure = Figure(figsize=(side + 3, side + 2.2), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor(_NO_IMAGES)  # Shows through where a class has no images.
    picture = axes.imshow(100 * shares, cmap=_SHARES, norm=PowerNorm(0.5, 0, 100))  # Few mistakes are seen too.
    names = [_label(name, number) for number, name in enumerate(class_names)]
    size = min(8.0, 72 * side / classes * 0.7)
    axes.set_xticks(range(classes), names, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(classes), names, fontsize=size, parse_math=False)
    if classes <= _NUMBERED:
        longest = max(len(str(confusion.max())), 3)
        number_size = min(8.0, 72 * side / classes / longest * 1.5)
        for row, column in zip(*np.nonzero(confusion), strict=True):
            colour = "white" if shares[row, column] > 0.35 else INK
            axes.text(column, row, confusion[row, column], ha="center", va="center", fontsize=number_size, color=colour)
    axes.set_ylabel("true class")
    axes.set_xlabel("predicted class")
    axes.set_title(f"{described}: {confusion.trace() / max(confusion.sum(), 1):.2%} right", fontsize=10)
    bar = figure.colorbar(picture, ax=axes, shrink=0.7)
    bar.set_label("share of the true class, %", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    write_atomically(path, png(figure))


def _label(name: str, number: int) -> str:
    """A class's name on one short line; its number where the font lacks a letter of it."""
    known = get_font(findfont("DejaVu Sans")).get_charmap()
    if not all(ord(letter) in known for letter in name):
        return f"class {number}"
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
