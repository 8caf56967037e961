"""The files of a finished stage, which are what they were when it ended, or are refused."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from vinnas_tf.errors import UserError
from vinnas_tf.run.outputs import MARKER, finished_file, is_finished, mark, network_stage, trained_stage


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """A run folder with a finished search of two files."""
    folder = tmp_path / "search"
    folder.mkdir()
    (folder / "genotype.json").write_text('{"version": 2}\n')
    (folder / "metrics.csv").write_text("epoch\n1\n")
    mark(folder, "search")
    return tmp_path


def test_a_file_that_is_as_it_was_is_given(run_dir: Path) -> None:
    assert is_finished(run_dir, "search")
    assert finished_file(run_dir, "search", "genotype.json").read_text() == '{"version": 2}\n'


def test_the_marker_is_what_sha256sum_reads(run_dir: Path) -> None:
    lines = (run_dir / "search" / MARKER).read_text().splitlines()
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict"],
        input="\n".join(lines[1:-1]) + "\n",
        cwd=run_dir / "search",
        capture_output=True,
        text=True,
    )
    assert checked.stdout == "genotype.json: OK\nmetrics.csv: OK\n"
    assert lines[-1] == hashlib.sha256("".join(line + "\n" for line in lines[:-1]).encode()).hexdigest() + "  finished"


@pytest.mark.parametrize("change", ["cut", "empty", "turned", "gone"])
def test_a_damaged_file_is_one_line_that_names_it_and_what_to_do(change: str, run_dir: Path) -> None:
    path = run_dir / "search" / "genotype.json"
    content = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:-1], "empty": b"", "turned": b"z" + content[1:]}[change])
    with pytest.raises(UserError, match=r"genotype\.json.* remove .*finished and run the stage's command again\.$"):
        finished_file(run_dir, "search", "genotype.json")
    finished_file(run_dir, "search", "metrics.csv")


def test_a_damaged_marker_is_never_taken_for_one(run_dir: Path) -> None:
    path = run_dir / "search" / MARKER
    good = path.read_bytes()
    turned = [good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :] for place in range(len(good))]
    for damaged in (b"", good[: len(good) // 2], good[:-1], good.splitlines(keepends=True)[0], *turned):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="finished is damaged"):
            is_finished(run_dir, "search")


def test_what_an_earlier_version_finished_is_read(run_dir: Path) -> None:
    (run_dir / "search" / MARKER).write_text("2026-11-27T08:00:00+00:00\n")
    assert is_finished(run_dir, "search")
    (run_dir / "search" / "genotype.json").write_text("{}")
    assert finished_file(run_dir, "search", "genotype.json").read_text() == "{}"
    (run_dir / "search" / MARKER).unlink()
    assert not is_finished(run_dir, "search")


def test_a_finished_compression_is_what_a_folder_ships_and_then_its_training(tmp_path: Path) -> None:
    assert network_stage(tmp_path) == trained_stage(tmp_path) == "train"
    for stage in ("search", "train", "compress"):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "network.keras").write_bytes(b"")
        (tmp_path / stage / "result.json").write_text("{}")
        unfinished = "search" if stage == "search" else "train"
        assert network_stage(tmp_path) == unfinished
        mark(tmp_path / stage, stage)
    assert network_stage(tmp_path) == "compress"
    assert trained_stage(tmp_path) == "train"
