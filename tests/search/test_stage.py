"""The search as a library: what the command finds for the same images, and what it refuses."""

import logging
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.config import DataConfig, RunConfig, SearchConfig
from vinnas_tf.data.images import load_train
from vinnas_tf.errors import UserError
from vinnas_tf.methods import make_method
from vinnas_tf.run.folder import RunDir
from vinnas_tf.search.__main__ import search
from vinnas_tf.search.result import SearchResult
from vinnas_tf.search.stage import Search

SMALL: dict[str, Any] = {"cells": "R", "states": 1, "channels": 4, "epochs": 2, "weight_epochs": 1, "batch_size": 16}
LABELS = np.arange(60) % 3
IMAGES = (np.random.default_rng(0).integers(80, size=(60, 8, 8)) + 80 * LABELS[:, None, None]).astype(np.uint8)


@pytest.fixture(scope="module")
def found() -> SearchResult:
    return Search(gamma_start_epoch=0, **SMALL).fit(IMAGES, LABELS)


@pytest.mark.cpu
def test_it_finds_what_the_command_finds_for_the_same_images(tmp_path, capsys) -> None:
    data, config = DataConfig(data_fraction=0.1, augment=("crop",)), SearchConfig(method="darts", **SMALL)
    dataset = load_train(data, config.seed)
    with RunDir(tmp_path, stage="search", settings=[data, config, RunConfig()], data_fingerprint="") as run:
        searched = search(data, make_method(config), dataset, run)
    capsys.readouterr()
    again = Search(config).fit(dataset.train.images, dataset.train.labels, augment=["crop"])
    assert capsys.readouterr().out == ""
    # Arrays bring no names to draw the halves by, so only the set of images is the same; a tf.data set is the same set.
    pairs = tf.data.Dataset.from_tensor_slices((dataset.train.images, dataset.train.labels)).shuffle(200, seed=5)
    assert again.genotype == Search(config).fit(pairs.batch(7), augment=["crop"]).genotype
    assert isinstance(searched, SearchResult) and again.genotype.cells.keys() == searched.genotype.cells.keys()
    assert [*again.history[0]] == (tmp_path / "search/metrics.csv").read_text().splitlines()[0].split(",")


def test_a_result_is_plain_data_that_saves_itself(found, tmp_path) -> None:
    found.save(tmp_path / "found")
    assert Genotype.load(tmp_path / "found" / "genotype.json") == found.genotype
    written = Found.load(tmp_path / "found" / "posterior.json")
    np.testing.assert_array_equal(written.of("mean")["reduction"], found.posterior.mean["reduction"])
    trajectory = np.load(tmp_path / "found" / "trajectory.npz")
    np.testing.assert_array_equal(trajectory["reduction/mean"][found.epoch - 1], found.posterior.mean["reduction"])
    assert len((tmp_path / "found" / "metrics.csv").read_text().splitlines()) == 1 + len(found.history) == 3


def test_validation_images_are_what_the_architecture_learns_from_and_is_watched_on(caplog) -> None:
    half = len(IMAGES) // 3 * 2
    with caplog.at_level(logging.INFO, "vinnas_tf"):
        result = Search(method="darts", **SMALL).fit(
            IMAGES[:half], LABELS[:half], validation=(IMAGES[half:], LABELS[half:])
        )
    # 40 images make two batches an epoch for the weights, 20 make one for the architecture, which goes round twice.
    assert len(result.history) == 2
    twentieths = result.history[-1]["alpha_accuracy"] * (len(IMAGES) - half)
    assert twentieths == pytest.approx(round(twentieths))
    assert "epoch 2/2: accuracy" in caplog.text


def test_nothing_is_trained_for_a_random_draw() -> None:
    result = Search(method="random", cells="NR", seed=3).fit(IMAGES, LABELS)
    assert (result.found, result.posterior, list(result.history)) == (None, None, [])
    assert result.genotype == Search(method="random", cells="NR", seed=3).fit(IMAGES, LABELS).genotype


@pytest.mark.parametrize(
    ("settings", "images", "message"),
    [
        (
            {"batch_size": 64},
            IMAGES,
            "batch_size=64 is more than the .* images in each half of the data",
        ),
        ({"cells": "RRRR"}, IMAGES, "cells=RRRR halves images 4 times, which 8 pixels do not allow"),
        ({}, IMAGES / 255, "uint8"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(settings, images, message) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Search(gamma_start_epoch=0, **{**SMALL, **settings}).fit(images, LABELS)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


def test_a_gradient_that_is_a_difference_is_refused_in_bfloat16() -> None:
    search = Search(method="darts", darts_order=2, precision="mixed_bfloat16", **SMALL)
    with pytest.raises(UserError, match="precision=mixed_bfloat16 rounds away the differences .* darts_order=1"):
        search.fit(IMAGES, LABELS)


def test_a_config_and_settings_beside_it_are_refused() -> None:
    with pytest.raises(UserError, match="not both"):
        Search(SearchConfig(), cells="N")


def test_importing_changes_nothing_in_the_process_and_a_search_uses_the_cores_as_the_command_does() -> None:
    program = """
import os, sys
before = dict(os.environ)
import vinnas_tf
assert dict(os.environ) == before and "tensorflow" not in sys.modules and "keras" not in sys.modules
for name in vinnas_tf.__all__:
    getattr(vinnas_tf, name)
changed = {key for key in {**os.environ, **before} if os.environ.get(key) != before.get(key)}
print(*sorted(changed - {"TF2_BEHAVIOR", "TPU_ML_PLATFORM"}))
os.sched_getaffinity = lambda _: {0, 1}
vinnas_tf.Search(method="darts")
print(os.environ["TF_NUM_INTRAOP_THREADS"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "1"]
