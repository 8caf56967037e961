"""The search command as a person meets it: a real run, killed and resumed, finished, repeated, and mistyped."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.integration.killing import kill_in_epoch

SETTINGS = ["--preset=smoke", "--cells=NR", "--epochs=4", "--weight_epochs=1", "--seed=5"]
RESULTS = ("genotype.json", "posterior.json", "metrics.csv", "trajectory.npz")


def command(run_dir: Path, *flags: str) -> list[str]:
    return [sys.executable, "-u", "-m", "vinnas_tf.search", *SETTINGS, f"--run_dir={run_dir}", *flags]


def run(run_dir: Path, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(command(run_dir, *flags), capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An uninterrupted run's folder, and what it printed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    result = run(folder)
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_a_run_writes_all_that_it_promises(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    search = folder / "search"
    written = {path.name for path in search.iterdir()}
    assert written >= {
        *RESULTS, "cells.png", "cells.svg", "posterior.png", "tensorboard", "checkpoints",
    }  # fmt: skip
    record = json.loads((folder / "config.json").read_text())["stages"]["search"]
    assert record["settings"]["seed"] == 5
    assert record["settings"]["epochs"] == 4
    assert {"tensorflow", "keras", "numpy"} <= record["versions"].keys()
    with open(search / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    # Warm-up: no alpha step, so nothing of theirs is known, and the mixing weights have not moved.
    assert rows[0]["alpha_cross_entropy"] == ""
    assert np.isfinite(float(rows[1]["alpha_cross_entropy"]))
    assert float(rows[0]["gamma_kl_weights"]) == 0 < float(rows[-1]["gamma_kl_weights"])
    for row in rows[1:]:
        weighted = float(row["gamma_entropy"]) * float(row["entropy"])
        np.testing.assert_allclose(float(row["entropy_weighted"]), weighted, rtol=1e-5)


def test_the_alphas_kept_are_those_of_the_least_error(finished: tuple[Path, str]) -> None:
    search = finished[0] / "search"
    with open(search / "metrics.csv", newline="") as file:
        errors = [float(row["alpha_error"]) for row in csv.DictReader(file)]
    best = 1 + int(np.argmin(errors[1:]))  # the first epoch is warm-up
    trajectory = np.load(search / "trajectory.npz")
    posterior = json.loads((search / "posterior.json").read_text())
    edge = posterior["cells"]["normal"][0]["primitives"]
    kept = [edge[name]["mean"] for name in posterior["primitives"]]
    np.testing.assert_array_equal(np.array(kept, np.float32), trajectory["normal/mean"][best, 0])


def test_the_terminal_shows_80_columns_and_no_more(finished: tuple[Path, str]) -> None:
    _, printed = finished
    assert max(len(line) for line in printed.splitlines() if "/whole" not in line) <= 80
    assert "left" in printed


@pytest.mark.cpu
def test_killed_twice_it_ends_bit_for_bit_as_if_it_had_not_been(finished: tuple[Path, str], tmp_path: Path) -> None:
    whole, _ = finished
    folder = tmp_path / "killed"
    kill_in_epoch(command(folder), 1)
    kill_in_epoch(command(folder), 3)
    result = run(folder)
    assert result.returncode == 0, result.stderr
    assert "Resumes after epoch 3" in result.stdout
    for name in RESULTS:
        killed, undisturbed = ((path / "search" / name).read_bytes() for path in (folder, whole))
        if name == "metrics.csv":  # Its last column is the seconds that an epoch took.
            killed, undisturbed = (re.sub(rb",[\d.]+\n", b"\n", text) for text in (killed, undisturbed))
        assert killed == undisturbed, name


def test_a_finished_run_says_so_and_is_left_alone(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "search").rglob("*")}
    result = run(folder)
    assert result.returncode == 0
    assert "is finished" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in (folder / "search").rglob("*")} == before


def test_other_settings_are_refused_by_name(finished: tuple[Path, str]) -> None:
    result = run(finished[0], "--states=3")
    assert result.returncode == 2
    assert "states 2 -> 3" in result.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset=no_such_set"], "no_such_set"),
        (["--cells=NNX"], "--cells must be a word of N and R"),
        (["--cells=RRRRRR"], "halves images 6 times"),
        (["--batch_size=5000"], "--batch_size=5000 is more than"),
        (["--method=magic"], "--method must be one of vinnas"),
        (["--epochs=abc"], "epochs"),
        (["--epoch=3"], "--epochs"),
        (["--weight_learning_rate=1e30"], "the loss is not finite in epoch"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, flags: list[str], message: str) -> None:
    result = run(tmp_path / "run", *flags)
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in result.stderr


def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run(tmp_path / "file" / "run")
    assert result.returncode == 2
    assert "error: " in result.stderr
    assert "Traceback" not in result.stderr
