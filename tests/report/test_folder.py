"""A run folder as the page reads it: states of its stages, and files that are held to what they were."""

import json
import os

import pytest

from tests.report.runs import write_curve, write_result, write_search
from vinnas_tf.errors import UserError
from vinnas_tf.report.folder import RunFolder, State, common_folder, run_folders


def test_a_stage_is_not_run_interrupted_going_on_or_finished(tmp_path):
    write_search(tmp_path / "run", finished=False)
    run = RunFolder(tmp_path / "run")
    assert (run.state("train"), run.network_stage) == (State.NOT_RUN, None)
    # The lock names the process that opened the folder last, which is this one.
    assert run.state("search") is State.GOING_ON
    (tmp_path / "run" / ".lock").write_text(str(2**22 + 1))  # More than Linux gives a process.
    assert run.state("search") is State.INTERRUPTED
    write_result(tmp_path / "run", 0.5, 10)
    run = RunFolder(tmp_path / "run")
    assert (run.state("train"), run.network_stage) == (State.FINISHED, "train")


def test_nothing_is_written_and_the_lock_is_left_alone(tmp_path):
    write_search(tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    run = RunFolder(tmp_path / "run")
    assert run.rows("search", "metrics.csv")[1]["alpha_accuracy"] == 0.25
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_file_of_a_finished_stage_that_was_changed_is_refused(tmp_path):
    write_search(tmp_path / "run")
    path = tmp_path / "run" / "search" / "genotype.json"
    path.write_text(path.read_text().replace("sep", "dil"))
    with pytest.raises(UserError, match="genotype.json is not the file that the stage wrote"):
        RunFolder(tmp_path / "run").json("search", "genotype.json")


def test_a_folder_stands_for_the_runs_in_it(tmp_path):
    for name in ("a", "b"):
        write_result(tmp_path / "runs" / name, 0.5, 10)
    assert run_folders(tmp_path / "runs" / "a") == [tmp_path / "runs" / "a"]
    assert run_folders(tmp_path / "runs") == run_folders(tmp_path) == [tmp_path / "runs" / "a", tmp_path / "runs" / "b"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is no run folder, and holds none"):
        run_folders(tmp_path / "empty")


def test_a_comparison_stands_for_its_rows(tmp_path):
    write_result(tmp_path / "compare" / "rows" / "darts-seed0", 0.5, 10)
    config = json.loads((tmp_path / "compare" / "rows" / "darts-seed0" / "config.json").read_text())
    config["stages"] = {"compare": config["stages"]["train"]}
    del config["sha256"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run_folders(tmp_path) == [tmp_path / "compare" / "rows" / "darts-seed0"]


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no config.json"):
        RunFolder(tmp_path)


def test_what_is_no_table_of_figures_is_told(tmp_path):
    write_curve(tmp_path / "run", None)
    (tmp_path / "run" / "compress" / "curve.csv").write_text("penalty\nx\n")
    with pytest.raises(UserError, match="can't be read as figures"):
        RunFolder(tmp_path / "run").rows("compress", "curve.csv")


def test_several_runs_have_their_page_in_the_folder_that_holds_them_all(tmp_path):
    paths = [tmp_path / "runs" / "a", tmp_path / "runs" / "deep" / "b"]
    assert common_folder(paths) == tmp_path / "runs"
    assert os.fspath(common_folder(paths[:1])) == os.fspath(paths[0])
