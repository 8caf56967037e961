"""The confusion matrix, its files read back."""

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vinnas_tf.plots.confusion import draw_confusion, write_confusion

BLUE, GREY = (0x2A, 0x6F, 0x97), (0xD9, 0xDF, 0xE4)


def test_the_table_has_a_row_for_each_true_class(tmp_path: Path) -> None:
    names = ["a, b", 'the "third"', "Käfer"]
    confusion = np.array([[5, 1, 0], [0, 7, 2], [0, 0, 0]])
    write_confusion(confusion, names, tmp_path / "confusion.csv")
    with open(tmp_path / "confusion.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[1:] == names
    assert [row[0] for row in rows] == names
    np.testing.assert_array_equal(np.array([row[1:] for row in rows], int), confusion)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_diagonal_of_a_network_without_mistakes_is_blue(classes: int, tmp_path: Path) -> None:
    """And its second class, without images, grey: no share of theirs is known."""
    confusion = 10 * np.eye(classes, dtype=int)
    confusion[1] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Matplotlib's, of letters that its font lacks.
        names = ["cost $5, not $x^", "猫", *(f"a name that is far too long for a picture {k}" for k in range(classes))]
        draw_confusion(confusion, names[:classes], "10 test images", tmp_path / "confusion.png")
    pixels = np.asarray(Image.open(tmp_path / "confusion.png").convert("RGB"))
    grey = np.argwhere((pixels == GREY).all(axis=-1))
    (top, left), (bottom, right) = grey.min(axis=0), grey.max(axis=0)
    height, width = bottom - top + 1, right - left + 1
    assert width / classes == pytest.approx(height, abs=3)  # One row of square cells, over all columns.
    side = width / classes
    blue = (pixels == BLUE).all(axis=-1)
    for k in {0, classes - 1} - {1}:
        y, x = top + (k - 1) * side, left + k * side
        cell = blue[int(y + 0.1 * side) : int(y + 0.9 * side) + 1, int(x + 0.1 * side) : int(x + 0.9 * side) + 1]
        assert cell.mean() > 0.7
        assert not blue[int(y + 0.5 * side), int(left + (classes - 1 - k) * side + 0.2 * side)]
    assert max(pixels.shape) < 3000
