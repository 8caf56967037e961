"""The picture of a comparison, read back: where its marks lie, and that its names can be read."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from PIL import Image

from vinnas_tf.compare.plot import COLOURS, comparison_figure, draw_comparison
from vinnas_tf.compare.statistics import Result

ROWS = {"one": ([0.97, 0.98, 0.96], [900, 1000, 1400]), "two": ([0.99, 0.985, 0.995], [9000, 12000, 10000])}


def results(rows: dict[str, tuple[list[float], list[int]]]) -> list[Result]:
    return [
        Result(row, seed, accuracy, params, 1.0, 1.0, 0.0, "")
        for row, figures in rows.items()
        for seed, (accuracy, params) in enumerate(zip(*figures, strict=True))
    ]


def test_marks_are_the_seeds_the_means_and_their_deviations():
    (axes,) = comparison_figure(results(ROWS)).axes
    lines = {line.get_label(): line for line in axes.lines}
    bars = {bar.get_label(): bar for bar in axes.containers if isinstance(bar, ErrorbarContainer)}
    for row, (accuracies, params) in ROWS.items():
        seeds = lines[f"seeds of {row}"]
        np.testing.assert_allclose(
            np.asarray(seeds.get_xydata()), np.column_stack([params, 100 * np.array(accuracies)])
        )
        mean, _, (horizontal, vertical) = bars[row].lines
        centre = np.array([np.mean(params), 100 * np.mean(accuracies)])
        np.testing.assert_allclose(np.asarray(mean.get_xydata())[0], centre)
        for bar, axis, values in ((horizontal, 0, params), (vertical, 1, 100 * np.array(accuracies))):
            ends = bar.get_segments()[0][:, axis]
            np.testing.assert_allclose(ends, centre[axis] + np.std(values, ddof=1) * np.array([-1, 1]))
    assert axes.get_xscale() == "log"


def test_every_row_has_its_own_colour_in_the_file(tmp_path: Path):
    draw_comparison(results(ROWS), tmp_path / "comparison.png")
    pixels = np.asarray(Image.open(tmp_path / "comparison.png").convert("RGB"))
    centres = []
    for colour in COLOURS[:2]:
        found = np.argwhere((np.abs(pixels - 255 * np.array(to_rgb(colour))) < 1).all(axis=-1))
        assert len(found) > 100
        centres.append(found.mean(axis=0))
    assert centres[1][0] < centres[0][0]  # The second is the more accurate, and so the higher,
    assert centres[1][1] > centres[0][1]  # and the larger, and so farther right.
    assert not (np.abs(pixels - 255 * np.array(to_rgb(COLOURS[2]))) < 1).all(axis=-1).any()


@pytest.mark.parametrize("count", [1, 3, 9])
def test_names_do_not_cover_each_other_nor_leave_the_picture(count: int):
    figure = comparison_figure(results({f"vinnas-point-weight{i}": ([0.98], [5000]) for i in range(count)}))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == count
    for i, box in enumerate(boxes):
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_parameters_may_all_be_zero(tmp_path: Path):
    draw_comparison(results({"one": ([0.1, 0.1], [0, 0])}), tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").stat().st_size > 0
