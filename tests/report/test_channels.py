"""The channels of a search, against its masks, drop probabilities and candidates."""

import json

import numpy as np

from vinnas_tf.architecture.masks import ChannelGroup, DropProbabilities, Masks
from vinnas_tf.config import DataConfig
from vinnas_tf.methods import method_from
from vinnas_tf.plots.style import short_number
from vinnas_tf.report.channels import read_channels
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.run.files import write_arrays, write_metrics
from vinnas_tf.run.folder import RunDir

GROUPS = (ChannelGroup("conv", "images", 0, 3), ChannelGroup("logits", "relu", 0, 5))
KEPT = (np.array([1, 0, 1], bool), np.array([0, 1, 1, 1, 0], bool))
LOGITS = np.array([[-2.0, -1.0], [-3.0, 0.5]], np.float32)


def write(path, finished):
    method = method_from({"method": "pgnas", "epochs": 2, "backbone": "lenet_5", "weight_epochs": 0})
    with RunDir(
        path, stage="search", settings=[DataConfig(), method.config, method.settings], data_fingerprint=""
    ) as run:
        write_arrays(run.file("trajectory.npz"), {"channels/logit": LOGITS})
        rows = [
            {"index": n, "seed": 0, "accuracy": of, "channels": 4, "weights": 10 * n + 10, "connected": 1}
            for n, of in enumerate((0.5, 0.75, 0.25))
        ]
        write_metrics(run.file("candidates.csv"), rows)
        if finished:
            DropProbabilities(GROUPS, {"channels/logit": LOGITS[-1]}).save(run.file("posterior.json"))
            Masks({"backbone": "lenet_5"}, (8, 8, 3), 2, GROUPS, KEPT).save(run.file("masks.json"))
            run.file("result.json").write_text(json.dumps({"candidates": {"chosen": 1}}))
            run.mark_finished()
    return RunFolder(path)


def test_each_group_shows_what_is_kept_and_its_probability_at_each_epoch(tmp_path):
    channels = read_channels(write(tmp_path, finished=True))
    assert channels.summary == "5 of 8 channels are kept (62.5%)."
    assert [(group.name, group.kept, group.channels) for group in channels.groups] == [
        ("conv < images", 2, 3),
        ("logits < relu", 3, 5),
    ]
    for group, kept in zip(channels.groups, KEPT, strict=True):
        drawn = np.zeros(len(kept), bool)
        for start, length in group.runs:
            drawn[start : start + length] = True
        assert drawn.tolist() == kept.tolist()
    p = [[short_number(float(1 / (1 + np.exp(-np.float64(value))))) for value in row] for row in LOGITS]
    assert [list(group.drop) for group in channels.groups] == [list(of) for of in zip(*p, strict=True)]
    held = json.loads((tmp_path / "search" / "posterior.json").read_text())["groups"]
    assert [group.drop[-1] for group in channels.groups] == [short_number(one["drop"]) for one in held]
    assert channels.titles == ["epoch 1 of 2", "epoch 2 of 2"]


def test_the_chosen_candidate_stands_out(tmp_path):
    channels = read_channels(write(tmp_path, finished=True))
    every, chosen = channels.candidates.series
    assert (every.x, every.y) == ([10.0, 20.0, 30.0], [50.0, 75.0, 25.0])
    assert (chosen.x, chosen.y, chosen.name) == ([20.0], [75.0], "chosen, number 1")
    assert "3 candidates" in channels.chosen and "number 1: 75.00%" in channels.chosen


def test_before_the_end_probabilities_are_shown_and_no_channel_is_called_kept(tmp_path):
    channels = read_channels(write(tmp_path, finished=False))
    assert [group.kept for group in channels.groups] == [None, None]
    assert len(channels.candidates.series) == 1
