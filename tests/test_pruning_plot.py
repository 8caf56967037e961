"""Pictures read back: bars as long as their numbers, curves as high."""

from pathlib import Path

import numpy as np
from PIL import Image

from vinnas_tf.pruning import ParameterCount, ThresholdPoint
from vinnas_tf.pruning_plot import draw_sparsity, draw_threshold

BLUE, GREY, RED = (0x2A, 0x6F, 0x97), (0xD9, 0xDF, 0xE4), (0xC1, 0x44, 0x0E)


def mask(path: Path, colour: tuple[int, int, int]) -> np.ndarray:
    return (np.asarray(Image.open(path).convert("RGB")) == colour).all(axis=-1)


def test_bars_are_as_long_as_the_counts(tmp_path: Path) -> None:
    counts = {
        "one": ParameterCount(1000, 250, 8, 8),
        "norm": ParameterCount(0, 0, 8, 8),
        "two": ParameterCount(400, 400),
    }
    draw_sparsity(counts, tmp_path / "sparsity.png")
    blue, grey = mask(tmp_path / "sparsity.png", BLUE), mask(tmp_path / "sparsity.png", GREY)
    grey_rows = np.flatnonzero(grey.sum(axis=1) > 100)
    row = grey_rows[len(grey_rows) // 2]
    left, pruned = blue[row].sum(), grey[row].sum()
    assert abs(left / (left + pruned) - 0.25) < 0.01
    whole = max(blue[i].sum() for i in range(row, len(blue)))  # The second bar, below.
    assert abs(whole / (left + pruned) - 0.4) < 0.01


def test_the_curve_is_highest_where_the_accuracy_is(tmp_path: Path) -> None:
    points = [ThresholdPoint(8.0, 0.97, 900), ThresholdPoint(0.0, 0.99, 300), ThresholdPoint(-6.0, 0.96, 10)]
    draw_threshold(points, 3.0, "10 held-out images", tmp_path / "threshold.png")
    rows, columns = np.nonzero(mask(tmp_path / "threshold.png", RED))
    inside = columns > 0.15 * columns.max()  # Without the axis's own red numbers.
    rows, columns = rows[inside], columns[inside]
    peak = columns[rows == rows.min()].mean()
    share = (peak - columns.min()) / (columns.max() - columns.min())
    assert abs(share - 6 / 14) < 0.05
