"""The pictures of a search of channels hold what they should, also where there is little to draw or too much."""

import io

import numpy as np
import pytest
from PIL import Image

from vinnas_tf.architecture.masks import ChannelGroup, DropProbabilities, Masks
from vinnas_tf.plots.channels import draw_candidates, draw_masks

KEPT, DROPPED, CHOSEN = (0x2A, 0x6F, 0x97), (0xE8, 0xC9, 0xBB), (0xC1, 0x44, 0x0E)


def share_of(colour: tuple[int, int, int], path) -> float:
    pixels = np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB")).astype(int)
    return float((abs(pixels - colour).max(axis=-1) < 4).mean())


@pytest.mark.parametrize("accuracies", [[0.5], [0.5] * 30, np.linspace(0, 1, 200).tolist()])
def test_candidates_are_drawn_with_the_chosen_one(accuracies: list[float], tmp_path) -> None:
    rows = [{"accuracy": accuracy, "weights": 100 + number} for number, accuracy in enumerate(accuracies)]
    draw_candidates(rows, len(rows) - 1, 50, tmp_path / "candidates.png")
    assert share_of(CHOSEN, tmp_path / "candidates.png") > 0.0001  # A point and a thin line.
    assert share_of(KEPT, tmp_path / "candidates.png") > 0.01


@pytest.mark.parametrize(("groups", "kept_share"), [(1, 0.75), (5, 0.25), (300, 0.5)])
def test_kept_and_dropped_channels_cover_as_much_as_there_are(groups: int, kept_share: float, tmp_path) -> None:
    names = tuple(ChannelGroup(f"layer_{number}", "source", 0, 8) for number in range(groups))
    kept = tuple(np.arange(8) < 8 * kept_share for _ in names)
    masks = Masks({}, (8, 8, 1), 2, names, kept)
    found = DropProbabilities(names, {"channels/logit": np.full(groups, -20.0)})
    draw_masks(masks, found, tmp_path / "masks.png")
    shares = share_of(KEPT, tmp_path / "masks.png"), share_of(DROPPED, tmp_path / "masks.png")
    assert shares[0] / sum(shares) == pytest.approx(kept_share, abs=0.03)
