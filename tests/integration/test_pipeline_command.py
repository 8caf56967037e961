"""The whole way as a person meets it: killed in its training, resumed, and bounded anew."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.killing import kill_in_epoch
from vinnas_tf.__main__ import main
from vinnas_tf.network.pruning import ThresholdPoint
from vinnas_tf.pipeline.choose import Sizes, curve

# The fastest that there are: a search that trains nothing, and one format.
SETTINGS = [
    "--method=random", "--preset=smoke", "--search=--states=1", "--train=--channels=8 --epochs=6 --gamma_end_epoch=4",
    "--export=--formats=tflite",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run that was killed in its training and resumed, and what it printed then."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    command = [sys.executable, "-u", "-m", "vinnas_tf", *SETTINGS, "--max_parameters=900", f"--run_dir={folder}"]
    kill_in_epoch(command, 1, epochs="6 ")
    resumed = subprocess.run(command, capture_output=True, text=True)
    # A network that hardly learnt may have a file that misses its bar.
    assert resumed.returncode == (1 if ", FAILED" in resumed.stdout else 0), resumed.stderr
    return folder, resumed.stdout


def result(folder: Path) -> dict:
    return json.loads((folder / "train" / "result.json").read_text())


def files(folder: Path) -> dict[str, int]:
    manifest = json.loads((folder / "export" / "manifest.json").read_text())["files"]
    return {name: entry["figures"]["bytes"] for name, entry in manifest.items()}


def test_a_killed_run_skips_what_is_done_and_goes_on(finished: tuple[Path, str]) -> None:
    _, printed = finished
    assert "1/4 search: done before." in printed
    assert "Resumes after epoch 1" in printed
    assert "Times steps" not in printed  # The plan was kept.
    assert "Estimate for all that is left: " in printed


def test_the_bound_holds_and_the_summary_tells_what_there_is(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    left = [point.params_nonzero for point in curve(folder)]
    # Of the thresholds within the bound the most accurate one, of equals the smallest.
    within = [point for point in curve(folder) if point.params_nonzero <= 900]
    best = max(within, key=lambda point: (point.accuracy, -point.params_nonzero))
    assert max(left) > 900
    assert result(folder)["params_nonzero"] == best.params_nonzero
    summary = printed.split("\n\n")[-1]
    lines = [line.split()[0] for line in summary.splitlines() if not line.startswith(" ")]
    assert lines[:5] == ["search", "train", "export", "report", "in"]
    assert (folder / "report.html").exists()
    assert f"{result(folder)['test']['stripped']['accuracy']:.2%} of test images right" in summary
    for name, size in files(folder).items():
        path = folder / "export" / name
        assert f"{path}: {size:,} bytes" in summary
        assert path.stat().st_size == size


def test_the_terminal_shows_80_columns_and_no_more(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    assert max(len(line) for line in printed.splitlines() if str(folder) not in line) <= 80


def test_the_bytes_that_a_choice_sees_are_those_of_the_exported_file(
    finished: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, _ = finished
    threshold = result(folder)["log_noise_ratio_threshold"]
    point = ThresholdPoint(threshold, 0.0, 0.0, result(folder)["params_nonzero"])
    assert Sizes(folder, True, tmp_path).bytes_of(point) == pytest.approx(min(files(folder).values()), abs=64)


def test_a_finished_run_is_left_alone_and_a_bound_that_nothing_meets_is_told(
    finished: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    with contextlib.suppress(SystemExit):
        main([*SETTINGS, "--max_parameters=900", f"--run_dir={folder}"])
    assert capsys.readouterr().out.count(": done before.") == 4
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(Exception, match="no threshold is within max_parameters=1: the nearest, -?[0-9]+, has"):
        main([*SETTINGS, "--max_parameters=1", f"--run_dir={folder}"])
    assert result(folder) == result(finished[0])


def test_other_settings_are_refused_by_name(finished: tuple[Path, str]) -> None:
    with pytest.raises(Exception, match="was made with other settings: seed 0 -> 1; use --overwrite"):
        main([*SETTINGS, "--seed=1", f"--run_dir={finished[0]}"])
