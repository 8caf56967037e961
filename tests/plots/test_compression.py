"""The pictures of a compression hold what they should."""

import io

import numpy as np
import pytest
from PIL import Image

from vinnas_tf.plots.compression import draw_curve, draw_units

LEFT, GONE, CHOSEN = (0x2A, 0x6F, 0x97), (0xD9, 0xDF, 0xE4), (0xC1, 0x44, 0x0E)


def share_of(colour: tuple[int, int, int], path) -> float:
    pixels = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB")).astype(int)
    return float((abs(pixels - colour).max(axis=-1) < 4).mean())


@pytest.mark.parametrize("accuracies", [[0.98], [0.98, 0.97, 0.1]])
def test_the_taken_point_is_marked(accuracies: list[float], tmp_path) -> None:
    rows = [
        {"penalty": 0.1 * place, "accuracy": accuracy, "standard_error": 0.01, "parameters": size, "bytes": 4 * size}
        for place, (accuracy, size) in enumerate(zip([0.98, *accuracies], (1000, 500, 100, 10), strict=False))
    ]
    draw_curve(rows, 0.1, 50, "the smallest", tmp_path / "curve.png")
    assert share_of(CHOSEN, tmp_path / "curve.png") > 0.00005  # Two thin rings.
    assert share_of(LEFT, tmp_path / "curve.png") > 0.0005


@pytest.mark.parametrize("left", [0, 30, 100])
def test_what_is_left_and_what_is_gone_cover_their_shares(left: int, tmp_path) -> None:
    units = [
        {"layer": f"layer_{place}", "inputs": 100, "inputs_left": left, "outputs": 10, "outputs_left": left // 10}
        for place in range(6)
    ]
    draw_units(units, "some", tmp_path / "units.png")
    shares = share_of(LEFT, tmp_path / "units.png"), share_of(GONE, tmp_path / "units.png")
    assert shares[0] / sum(shares) == pytest.approx(left / 100, abs=0.02)
