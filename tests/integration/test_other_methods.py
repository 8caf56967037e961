"""Methods and spaces other than the default, through the commands: from a data set to a network that Keras loads."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.config import SearchConfig, restored
from vinnas_tf.methods import make_method

NASBENCH201 = ["--space=nasbench201", "--states=3", "--cells=NRN", "--channels=2"]


def run(command: str, run_dir: Path, *flags: str) -> subprocess.CompletedProcess:
    arguments = [sys.executable, "-m", f"vinnas_tf.{command}", "--preset=smoke", f"--run_dir={run_dir}", *flags]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope="module")
def darts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "darts"
    result = run("search", folder, "--method=darts", "--darts_order=2", *NASBENCH201)
    assert result.returncode == 0, result.stderr
    assert "state 3 = " in result.stdout
    return folder


def test_darts_chooses_from_the_alphas_of_the_last_epoch(darts: Path) -> None:
    genotype = Genotype.load(darts / "search" / "genotype.json")
    posterior = Posterior.load(darts / "search" / "posterior.json")
    trajectory = np.load(darts / "search" / "trajectory.npz")["normal/mean"]
    np.testing.assert_array_equal(np.float32(posterior.mean["normal"]), trajectory[-1])
    best = trajectory[-1][:, 1:].argmax(axis=-1) + 1  # all but zero
    kept = [
        (source, target, posterior.primitives[k]) for (source, target), k in zip(posterior.edges, best, strict=True)
    ]
    assert sorted((edge.source, edge.target, edge.primitive) for edge in genotype.cells["normal"]) == sorted(kept)
    probability = json.loads((darts / "search" / "posterior.json").read_text())["cells"]["normal"][0]["primitives"]
    assert {values["probability"] for values in probability.values()} == {0.0, 1.0}


def test_a_cell_of_nasbench201_is_trained_pruned_and_stripped(darts: Path) -> None:
    result = run("train", darts, "--cells=NRN", "--channels=2")
    assert result.returncode == 0, result.stderr
    figures = json.loads((darts / "train" / "result.json").read_text())
    assert figures["stripping_error"] <= 1e-5
    network = keras.saving.load_model(darts / "train" / "network.keras")
    assert network(np.zeros((1, 8, 8, 1), "float32")).shape == (1, 10)


def test_random_search_trains_nothing_and_is_told_apart_by_its_seed(tmp_path: Path) -> None:
    result = run("search", tmp_path / "run", "--method=random", "--seed=4")
    assert result.returncode == 0, result.stderr
    written = {path.name for path in (tmp_path / "run" / "search").iterdir()}
    assert written == {"genotype.json", "cells.png", "cells.svg", "finished"}
    record = json.loads((tmp_path / "run" / "config.json").read_text())["stages"]["search"]["settings"]
    assert record["method"] == "random"
    expected = make_method(restored(SearchConfig, record)).derive(None)
    assert Genotype.load(tmp_path / "run" / "search" / "genotype.json") == expected
    again = run("search", tmp_path / "run", "--method=random", "--seed=4")
    assert "is finished" in again.stdout
