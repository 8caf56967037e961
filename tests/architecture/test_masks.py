"""The file of masks: read back as written, and refused in one line where it is anything else."""

import json
from typing import Any

import numpy as np
import pytest

from vinnas_tf.architecture.masks import ChannelGroup, DropProbabilities, Masks
from vinnas_tf.errors import ArchitectureError

GROUPS = (ChannelGroup("conv", "images", 0, 3), ChannelGroup("conv", "stem", 3, 2))
MASKS = Masks({"backbone": "net", "backbone_width": 8}, (8, 8, 3), 10, GROUPS, (np.array([1, 0, 1]), np.array([0, 1])))


def test_masks_are_read_as_they_were_written(tmp_path) -> None:
    MASKS.save(tmp_path / "masks.json")
    read = Masks.load(tmp_path / "masks.json")
    assert (read.backbone, read.image_shape, read.classes, read.groups) == (MASKS.backbone, (8, 8, 3), 10, GROUPS)
    assert read.vector.tolist() == [True, False, True, False, True]
    assert "3 of 5 channels are kept (60.0%)" in read.describe() and "conv < stem: 1 of 2" in read.describe()


def change(**fields: Any) -> str:
    return json.dumps({**json.loads(MASKS.to_json()), **fields})


GROUP = {"layer": "conv", "source": "images", "start": 0, "kept": "101"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "masks: not JSON"),
        (change(version=9), "reads version 1, got 9"),
        (change(more=1), "'more' is unknown"),
        (change(backbone=[]), "'backbone' must hold settings by name"),
        (change(image_shape=[8, 8]), "'image_shape' must be height, width and channels"),
        (change(image_shape=[8, 8, True]), "'image_shape' must be"),
        (change(classes=0), "'classes' must be a whole number of at least 1, got '0'"),
        (change(groups=[]), "'groups' must be a list"),
        (change(groups=[{**GROUP, "size": 3}]), "layer, source, start and kept and no more"),
        (change(groups=[{**GROUP, "kept": "102"}]), "a word of 0 and 1, got '102'"),
        (change(groups=[{**GROUP, "kept": ""}]), "a word of 0 and 1"),
        (change(groups=[{**GROUP, "layer": 3}]), "must be names"),
        (change(groups=[{**GROUP, "start": -1}]), "start must be"),
        (change(groups=[GROUP, GROUP]), "a group is listed once"),
        (change(groups=[{**GROUP, "kept": "1" * 1_000_001}]), "at most 1,000,000 channels"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, message: str, tmp_path) -> None:
    path = tmp_path / "masks.json"
    path.write_text(text)
    with pytest.raises(ArchitectureError, match=message) as caught:
        Masks.load(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_two_groups_of_a_layer_may_come_from_one_source() -> None:
    groups = (ChannelGroup("conv", "stem", 0, 2), ChannelGroup("conv", "stem", 2, 2))
    masks = Masks({}, (8, 8, 3), 10, groups, (np.ones(2), np.zeros(2)))
    assert Masks.from_json(masks.to_json()).groups == groups


def test_masks_of_other_lengths_than_their_groups_are_refused() -> None:
    with pytest.raises(ArchitectureError, match="one value for each of its channels"):
        Masks({}, (8, 8, 3), 10, GROUPS, (np.ones(3), np.ones(3)))


def test_drop_probabilities_are_written_by_group(tmp_path) -> None:
    found = DropProbabilities(GROUPS, {"channels/logit": np.array([0.0, np.log(3.0)])})
    np.testing.assert_allclose(found.of_channels, [0.5, 0.5, 0.5, 0.75, 0.75])
    found.save(tmp_path / "posterior.json")
    rows = json.loads((tmp_path / "posterior.json").read_text())["groups"]
    assert [(row["source"], row["channels"], round(row["drop"], 6)) for row in rows] == [
        ("images", 3, 0.5),
        ("stem", 2, 0.75),
    ]
