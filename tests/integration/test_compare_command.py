"""The compare command as a person meets it: real searches and trainings, killed and resumed, extended, mistyped."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

# The fastest searches and trainings that there are: nothing here asks how good they are.
SEARCH = "--search=--states=1 --channels=2 --estimator=weight_sampling"
TRAIN = "--train=--channels=2 --novariational"
SETTINGS = ["--preset=smoke", "--methods=vinnas,vinnas-magnitude,random", SEARCH, TRAIN]


def command(run_dir: Path, *flags: str) -> list[str]:
    return [sys.executable, "-u", "-m", "vinnas_tf.compare", *SETTINGS, f"--run_dir={run_dir}", *flags]


def rows(run_dir: Path) -> Path:
    """Where the run folders of all rows and seeds lie."""
    return run_dir / "compare" / "rows"


def run(run_dir: Path, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(command(run_dir, *flags), capture_output=True, text=True, timeout=1800, check=False)


def stop_after(epochs: int, run_dir: Path, by: signal.Signals, *flags: str) -> int:
    """Starts the command, ends it when its first log tells of that many first epochs, and returns the exit code.

    The search's is the first, the training's the second. The child that runs it must not outlive the command.
    """
    process = subprocess.Popen(command(run_dir, *flags), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wait_for_first_epochs(run_dir, epochs)
    (child,) = psutil.Process(process.pid).children()
    os.kill(process.pid, by)
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    process.communicate()
    return process.returncode


def wait_for_first_epochs(run_dir: Path, epochs: int) -> None:
    """Returns once the first log tells of that many first epochs."""
    # It waits for the file, and for more of it; where the system does not tell of that, it looks often.
    log = ["tail", "-F", "-s", "0.05", "-n", "+1", str(rows(run_dir) / "vinnas-seed3.log")]
    with subprocess.Popen(log, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as tail:
        assert tail.stdout is not None
        for line in tail.stdout:
            epochs -= line.startswith("  1/2 ")
            if not epochs:
                break
        tail.kill()


def runs_in(process: psutil.Process, folder: Path) -> bool:
    """Whether a process is that of a command on a run folder."""
    try:
        return f"--run_dir={folder}" in process.cmdline()
    except psutil.Error:  # It has ended meanwhile, or is another user's.
        return False


def figures(run_dir: Path) -> list[dict[str, str]]:
    """The rows of comparison.csv but for the times."""
    with open(run_dir / "compare" / "comparison.csv", newline="") as file:
        return [{name: text for name, text in row.items() if "seconds" not in name} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An uninterrupted comparison's folder, and what it printed; two stages at a time where there are two cores."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    at_a_time = min(2, os.cpu_count() or 1)
    result = run(folder, "--seeds=2", "--first_seed=3", f"--engine=local:{at_a_time}")
    assert result.returncode == 0, result.stderr
    return folder, result.stdout


def test_a_run_writes_all_that_it_promises(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    found = figures(folder)
    names = ["vinnas", "vinnas-magnitude", "random"]
    assert [(row["row"], row["seed"]) for row in found] == [(name, seed) for name in names for seed in "34"]
    for row in found:
        of_row = rows(folder) / f"{row['row']}-seed{row['seed']}"
        result = json.loads((of_row / "train" / "result.json").read_text())
        assert float(row["accuracy"]) == result["test"]["stripped"]["accuracy"]
        assert int(row["params_nonzero"]) == result["params_nonzero"]
        stages = json.loads((of_row / "config.json").read_text())["stages"]
        # A random draw does not read --channels, so it has the preset's.
        for stage, channels in (("search", 4 if row["row"] == "random" else 2), ("train", 2)):
            settings = stages[stage]["settings"]
            assert (settings["seed"], settings["channels"], settings["dataset"]) == (
                int(row["seed"]), channels, "digits",
            )  # fmt: skip
            assert stages[stage]["preset"] == "smoke"
        if row["row"] != "random":
            assert stages["search"]["settings"]["select"] == ("magnitude" if "magnitude" in row["row"] else "snr")
        assert stages["search"]["settings"]["method"] == ("random" if row["row"] == "random" else "vinnas")
        assert f"{float(row['accuracy']):.2%}" in printed
    # Everything that decides a training is the same for all rows of a seed, but for what was found.
    trained = [
        json.loads((rows(folder) / f"{row}-seed3" / "config.json").read_text())["stages"]["train"]["settings"]
        for row in names
    ]
    assert all({**settings, "genotype_sha256": trained[0]["genotype_sha256"]} == trained[0] for settings in trained)
    table = (folder / "compare" / "comparison.md").read_text()
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:5]] == names
    assert min(Image.open(folder / "compare" / "comparison.png").size) > 200


def test_the_terminal_shows_80_columns_and_no_more(finished: tuple[Path, str]) -> None:
    assert max(len(line) for line in finished[1].splitlines() if "/whole" not in line) <= 80


@pytest.mark.cpu
def test_interrupted_and_killed_it_ends_as_if_it_had_not_been(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder, flags = tmp_path / "killed", ("--methods=vinnas", "--seeds=1", "--first_seed=3")
    assert stop_after(1, folder, signal.SIGINT, *flags) == 130
    assert stop_after(2, folder, signal.SIGKILL, *flags) == -signal.SIGKILL
    again = run(folder, *flags)
    assert again.returncode == 0, again.stderr
    assert "1 of 2 stages are done" in again.stdout
    # A fast machine may be an epoch further when the signal comes; no epoch is done twice on any.
    log = (rows(folder) / "vinnas-seed3.log").read_text()
    assert "interrupted: the same command" in log
    assert [log.count(f"  {epoch}/2 ") for epoch in (1, 2)] == [2, 2]  # Of the search and of the training.
    assert figures(folder) == figures(finished[0])[:1]


def test_on_ray_a_machine_that_dies_takes_no_run_with_it(
    finished: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two real nodes of one core; the one that searches is killed, with its workers, and the other goes on."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed: pip install '.[ray]'")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # Else other tests have the cores first.
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        folder, flags = tmp_path / "ray", ("--methods=vinnas,random", "--seeds=1", "--first_seed=3")
        process = subprocess.Popen(
            command(folder, *flags, f"--engine=ray:{cluster.address}"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        wait_for_first_epochs(folder, 1)
        (searching,) = (one for one in psutil.process_iter() if runs_in(one, rows(folder) / "vinnas-seed3"))
        above = {one.pid for one in searching.parents()}
        (node,) = (node for node in nodes if node.all_processes["raylet"][0].process.pid in above)
        cluster.remove_node(node, allow_graceful=False)
        _, errors = process.communicate(timeout=1200)
        assert process.returncode == 0, errors
    finally:
        cluster.shutdown()
    log = (rows(folder) / "vinnas-seed3.log").read_text()
    assert [log.count(f"  {epoch}/2 ") for epoch in (1, 2)] == [2, 2]
    assert figures(folder) == [row for row in figures(finished[0]) if row["row"] != "vinnas-magnitude"][::2]


def test_a_finished_run_says_so_and_shows_its_table(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"}
    again = run(folder, "--seeds=2", "--first_seed=3")
    assert again.returncode == 0
    assert "is finished" in again.stdout
    assert again.stdout.endswith(printed[printed.index("\n\n") :])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.name != ".lock"} == before


def test_fewer_rows_are_another_table_of_what_is_there(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    again = run(folder, "--seeds=2", "--first_seed=3", "--methods=vinnas-magnitude")
    assert again.returncode == 0, again.stderr
    assert "6 of 6 stages are done" in again.stdout
    assert figures(folder) == [row for row in figures(finished[0]) if row["row"] == "vinnas-magnitude"]


def test_a_row_that_was_done_with_other_settings_is_not_taken_over(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    record = rows(folder) / "vinnas-seed4" / "config.json"
    settings = json.loads(record.read_text())
    settings["stages"]["train"]["settings"]["log_noise_ratio_threshold"] = 1.0
    del settings["sha256"]
    record.write_text(json.dumps(settings))
    again = run(folder, "--seeds=3", "--first_seed=3", "--methods=vinnas")
    assert again.returncode == 2
    (line,) = again.stderr.splitlines()
    assert "vinnas-seed4 was made with other settings: --log_noise_ratio_threshold 1.0 -> 3.0;" in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--methods=vinnas,magic"], "error: --methods knows vinnas, "),
        (["--search=--epoch=3"], "error: unknown flag --epoch: did you mean --epochs"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, flags: list[str], message: str) -> None:
    result = run(tmp_path / "run", *flags)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(message)


def test_other_settings_are_refused_by_name_and_overwriting_removes_the_runs(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    (folder / "notes-seed3").mkdir()  # Not ours.
    other = ["--first_seed=3", f"{SEARCH} --weight_learning_rate=1e30"]
    refused = run(folder, *other)
    assert refused.returncode == 2
    assert "made with other settings: search " in refused.stderr
    assert figures(folder) == figures(finished[0])
    failed = run(folder, *other, "--overwrite")  # It starts anew; the first search fails.
    assert failed.returncode == 2
    (line,) = failed.stderr.splitlines()
    assert line.startswith("error: vinnas, seed 3, search: the loss is not finite in epoch 1;")
    assert {path.name for path in folder.iterdir()} == {".lock", "config.json", "compare", "notes-seed3"}
    assert [path.name for path in (folder / "compare").iterdir()] == ["rows"]
    assert {path.name for path in rows(folder).iterdir()} == {"vinnas-seed3", "vinnas-seed3.log"}
