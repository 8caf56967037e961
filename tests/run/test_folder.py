import json
import os
import platform
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import vinnas_tf
from vinnas_tf.config import DataConfig, SearchConfig
from vinnas_tf.errors import UserError
from vinnas_tf.run.folder import RunDir, default_run_dir
from vinnas_tf.run.outputs import OUTPUTS

FINGERPRINT = "0123456789abcdef" * 4


@dataclass(frozen=True)
class Run:
    """What a command line opens a run folder with."""

    path: Path
    data: DataConfig = DataConfig()
    search: SearchConfig = SearchConfig()
    data_fingerprint: str = FINGERPRINT
    overwrite: bool = False
    late_settings: tuple[str, ...] = ()

    def open(self) -> RunDir:
        settings = [self.data, self.search]
        return RunDir(
            self.path,
            stage="search",
            settings=settings,
            data_fingerprint=self.data_fingerprint,
            preset="digits",
            overwrite=self.overwrite,
            late_settings=self.late_settings,
        )

    def error(self) -> str:
        with pytest.raises(UserError) as caught:
            self.open()
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "runs" / "a")


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock")


def finish(opened):
    """Writes every output of a search, as a whole search would."""
    for name in OUTPUTS["search"]:
        if "." in name:
            opened.file(name).write_text("made by the run")
        else:
            opened.file(name).mkdir()
            (opened.file(name) / "part").write_text("made by the run")
    opened.mark_finished()


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("digits", "digits-vinnas-seed3"),
        ("folder:/home/me/my pets", "folder-home-me-my-pets-vinnas-seed3"),
        ("folder:../..", "folder-vinnas-seed3"),
        ("folder:données", "folder-données-vinnas-seed3"),
        ("cifar10:3.0.2", "cifar10-3.0.2-vinnas-seed3"),
    ],
)
def test_default_run_dir_is_one_folder_below_runs(dataset, name):
    path = default_run_dir(dataset, "vinnas", 3)
    assert path.parent == Path("runs")
    assert path.name == name


def test_config_json_says_what_made_the_run(run):
    with run.open():
        pass
    record = json.loads((run.path / "config.json").read_text())["stages"]["search"]
    assert record["settings"]["dataset"] == "digits"
    assert record["settings"]["seed"] == 0
    assert record["settings"]["weight_learning_rate"] == SearchConfig().weight_learning_rate
    assert record["settings"]["augment"] == []
    assert "run_dir" not in record["settings"]
    assert record["preset"] == "digits"
    assert record["data_fingerprint"] == FINGERPRINT
    assert record["versions"]["numpy"] == np.__version__
    assert record["versions"]["tensorflow"] == version("tensorflow")
    assert record["python"] == platform.python_version()
    assert record["created"].endswith("+00:00")


def test_an_equal_run_is_resumed_and_keeps_its_record(run):
    with run.open() as first:
        first.file("metrics.csv").write_text("epoch\n1\n")
        config = (run.path / "config.json").read_text()
    moved = replace(run, data=DataConfig(data_dir="elsewhere"))
    with moved.open() as second:
        assert second.file("metrics.csv").read_text() == "epoch\n1\n"
        assert second.record == first.record
    assert (run.path / "config.json").read_text() == config


def test_other_settings_are_refused_by_name(run):
    with run.open() as opened:
        opened.file("checkpoints").mkdir()
    before = tree(run.path)
    other = replace(run, data=DataConfig(augment=("flip",)), search=SearchConfig(epochs=30, cells="R"))
    message = other.error()
    assert "epochs 20 -> 30" in message
    assert 'cells "NRN" -> "R"' in message
    assert 'augment [] -> ["flip"]' in message
    assert "states" not in message
    assert "--overwrite" in message
    assert "--run_dir" in message
    assert tree(run.path) == before


def test_a_late_setting_may_change_and_leaves_the_last_steps_to_do_again(run):
    with run.open() as opened:
        finish(opened)
    before = tree(run.path)
    changed = replace(run, search=SearchConfig(seed=7), late_settings=("seed",))
    with changed.open() as opened:
        assert not opened.finished
        assert set(before) - set(tree(run.path)) == {"search/finished"}
    record = json.loads((run.path / "config.json").read_text())["stages"]["search"]
    assert record["settings"]["seed"] == 7
    # Beside another change it is no excuse, and is not what is complained about.
    message = replace(run, search=SearchConfig(epochs=30), late_settings=("seed",)).error()
    assert "epochs 20 -> 30" in message
    assert "seed" not in message


def test_what_another_version_began_is_not_gone_on_with_and_what_it_finished_is_read(run):
    with run.open() as opened:
        opened.file("checkpoints").mkdir()
    config = json.loads((run.path / "config.json").read_text())
    record = config["stages"]["search"]
    record["versions"]["vinnas_tf"] = "0.1.0"
    record["settings"]["gone"] = 3  # A setting that there is no more.
    del config["sha256"]  # The first versions wrote none.
    (run.path / "config.json").write_text(json.dumps(config))
    assert f"was begun by vinnas_tf 0.1.0, and this is {vinnas_tf.__version__}: go on with that" in run.error()
    (run.path / "search" / "genotype.json").write_text("{}")
    (run.path / "search" / "finished").write_text("2026-11-26T08:00:00+00:00\n")
    with run.open() as opened:
        assert opened.finished
    with replace(run, overwrite=True, search=SearchConfig(epochs=30)).open() as opened:
        assert opened.record["versions"]["vinnas_tf"] == vinnas_tf.__version__


def test_a_record_that_was_changed_is_refused(run):
    """A setting that differs by a bit would be another run's, without a word."""
    with run.open() as opened:
        finish(opened)
    path = run.path / "config.json"
    text = path.read_text()
    for damaged in ("", text[: len(text) // 2], text[:-2], text.replace('"seed": 0', '"seed": 1'), "[" * 100_000):
        path.write_text(damaged)
        assert "config.json is damaged, or was not written by this version" in run.error()


def test_a_command_that_wrote_nothing_does_not_bind_the_next(run):
    """As one whose settings were found not to fit each other after the folder was made."""
    with run.open():
        pass
    with replace(run, search=SearchConfig(epochs=30)).open() as opened:
        assert opened.record["settings"]["epochs"] == 30
    assert json.loads((run.path / "config.json").read_text())["stages"]["search"]["settings"]["epochs"] == 30


def test_other_data_are_refused(run):
    with run.open() as opened:
        opened.file("checkpoints").mkdir()
    message = replace(run, data_fingerprint="f" * 64).error()
    assert 'data_fingerprint "0123456789ab" -> "ffffffffffff"' in message


def test_finished_needs_marker_and_result(run):
    with run.open() as opened:
        assert not opened.finished
        opened.file("genotype.json").write_text("{}")
        assert not opened.finished
        opened.mark_finished()
        assert opened.finished
    with run.open() as opened:
        assert opened.finished
        opened.file("genotype.json").unlink()
        assert not opened.finished


def test_overwrite_removes_the_stage_and_nothing_else(run):
    with run.open() as opened:
        finish(opened)
        (run.path / "notes.txt").write_text("mine")
        opened.file("notes.txt").write_text("mine")
    anew = replace(run, search=SearchConfig(epochs=30), overwrite=True)
    with anew.open() as opened:
        assert not opened.finished
        assert tree(run.path) == ["config.json", "notes.txt", "search", "search/notes.txt"]
        assert opened.record["settings"]["epochs"] == 30
    with replace(anew, overwrite=False).open():
        pass


def test_another_stage_is_removed_with_its_marker_and_nothing_else(run):
    with run.open() as opened:
        (opened.path / "train").mkdir()
        for name in ("finished", "result.json", "checkpoints", "notes.txt"):
            (opened.path / "train" / name).touch()
        opened.file("genotype.json").touch()
        opened.remove("train")
        opened.remove("export")  # It was never run.
        assert [path.name for path in (opened.path / "train").iterdir()] == ["notes.txt"]
        assert opened.file("genotype.json").exists()
        assert not (opened.path / "export").exists()


def test_overwrite_that_was_killed_is_taken_up(run):
    with run.open() as opened:
        finish(opened)
    # As after a kill between moving the outputs aside and removing them.
    trash = opened.file(".trash")
    trash.mkdir()
    for name in ("finished", "checkpoints"):
        opened.file(name).rename(trash / name)
    with replace(run, overwrite=True).open() as opened:
        assert tree(run.path) == ["config.json", "search"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        {"thesis.txt": "mine"},
        {"search": None},
        {"config.json": '{"model_type": "bert"}', "search": None},
        {"config.json": "[1]"},
        {"config.json": "not JSON"},
        {"config.json": b"\xff\xfe"},
        {"config.json": '{"format": "vinnas_tf run 1", "stages": {"search": {}}}'},
        {"config.json": '{"format": "vinnas_tf run 1", "stages": {"search": {"settings": 3}}}'},
    ],
)
def test_a_foreign_folder_is_left_as_it_is(content, overwrite, run):
    run.path.mkdir(parents=True)
    for name, text in content.items():
        if text is None:
            (run.path / name).mkdir()
        else:
            (run.path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    message = replace(run, overwrite=overwrite).error()
    assert str(run.path) in message
    assert "--run_dir" in message
    assert tree(run.path) == sorted(content)


def test_a_run_killed_at_its_very_start_starts_again(run):
    run.path.mkdir(parents=True)
    for name in (".lock", ".config.json.tmp"):
        (run.path / name).write_text("1")
    with run.open() as opened:
        assert tree(run.path) == ["config.json", "search"]
        assert not opened.finished


@pytest.mark.parametrize("where", ["file/run", "file"])
def test_a_folder_that_cannot_be_made_is_one_line(where, tmp_path):
    (tmp_path / "file").write_text("x")
    message = Run(tmp_path / where).error()
    assert "file" in message
    assert "run_dir" in message


@pytest.mark.parametrize("name", ["lr[0.1]", "run*", "what?", "a\\\\b", os.fsdecode(b"caf\xe9")])
def test_a_name_that_tensorflow_takes_for_another_is_one_line(name, tmp_path):
    message = Run(tmp_path / name).error()
    assert "name it anew" in message
    assert not any(tmp_path.iterdir())


def test_a_name_may_have_any_letters_and_blanks(tmp_path):
    with Run(tmp_path / "été, 猫 {1}").open() as opened:
        assert opened.file("").is_dir()


HOLDER = """
import sys
from vinnas_tf.config import DataConfig, SearchConfig
from vinnas_tf.run.folder import RunDir
run = RunDir(sys.argv[1], stage="search", settings=[DataConfig(), SearchConfig()], data_fingerprint=sys.argv[2])
print("open", flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time_until_it_is_killed(run, repository):
    env = {**os.environ, "PYTHONPATH": str(repository)}
    argv = [sys.executable, "-c", HOLDER, str(run.path), FINGERPRINT]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as holder:
        assert holder.stdout.readline() == "open\n"
        message = replace(run, overwrite=True).error()
        assert f"in use by process {holder.pid}" in message
        holder.send_signal(signal.SIGKILL)
    with run.open():
        assert tree(run.path) == ["config.json", "search"]
