"""Pictures read back: bars as long as their numbers, curves as high."""

from pathlib import Path

import numpy as np
from PIL import Image

from vinnas_tf.network.pruning import ParameterCount, ThresholdPoint
from vinnas_tf.plots.pruning import draw_sparsity, draw_threshold

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
    points = [
        ThresholdPoint(8.0, 0.97, 1e-6, 900),
        ThresholdPoint(0.0, 0.99, 1e-6, 300),
        ThresholdPoint(-6.0, 0.96, 1e-6, 10),
    ]
    draw_threshold(points, 3.0, None, "10 held-out images", tmp_path / "threshold.png")
    rows, columns = np.nonzero(mask(tmp_path / "threshold.png", RED))
    inside = columns > 0.15 * columns.max()  # Without the axis's own red numbers.
    rows, columns = rows[inside], columns[inside]
    peak = columns[rows == rows.min()].mean()
    share = (peak - columns.min()) / (columns.max() - columns.min())
    assert abs(share - 6 / 14) < 0.05


def test_the_bars_are_as_long_as_the_standard_errors(tmp_path: Path) -> None:
    """The longest column of red is the best point's bar: twice its error of what the axis shows."""
    heights = []
    for error in (0.01, 0.005):
        points = [ThresholdPoint(4.0, 0.99, error, 900), ThresholdPoint(-4.0, 0.985, 1e-6, 300)]
        draw_threshold(points, 4.0, None, "10 held-out images", tmp_path / "threshold.png")
        pixels = np.asarray(Image.open(tmp_path / "threshold.png").convert("RGB")).astype(int)
        red = np.abs(pixels - RED).sum(axis=-1) < 200  # The bar is thin, and its edges are blended.
        red[:, : pixels.shape[1] // 5] = False  # Without the axis's own red numbers.
        heights.append(red.sum(axis=0).max())
    assert abs(heights[0] / heights[1] - (2 / 6.2) / (1 / 5.6)) < 0.15


def test_the_recommended_threshold_is_ringed(tmp_path: Path) -> None:
    """Two pictures that recommend one point and the other differ at these two and nowhere in between."""
    points = [ThresholdPoint(4.0, 0.99, 0.01, 900), ThresholdPoint(-4.0, 0.985, 0.01, 300)]
    pictures = []
    for recommended in points:
        draw_threshold(points, 4.0, recommended, "10 held-out images", tmp_path / "threshold.png")
        pictures.append(np.asarray(Image.open(tmp_path / "threshold.png").convert("RGB")).astype(int))
    height, width, _ = pictures[0].shape
    _, columns = np.nonzero((pictures[0] != pictures[1]).any(axis=-1)[: int(0.85 * height)])  # Above the legend.
    assert columns.min() < width / 4
    assert columns.max() > 3 * width / 4
    assert not np.any((columns > width / 4) & (columns < 3 * width / 4))
