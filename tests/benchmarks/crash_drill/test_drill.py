"""A sample of both drills, in one process that the runs are forked from, and that the drill can fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.crash_drill.commands import COMMANDS
from benchmarks.damaged_files import CASES, DAMAGES

PROGRAM = """
import shutil, sys
from pathlib import Path
import vinnas_tf.run.startup
from benchmarks import damaged_files
from benchmarks.crash_drill import __main__ as crash_drill
folder = Path(sys.argv[1])
where = f"--folder={folder}"
print(crash_drill.main([where, "--commands=pgnas", "--every=30"]))
print(damaged_files.main([where, "--cases=pgnas-resumed", "--every=9"]))
# As if the search left alone had ended otherwise.
masks = folder / "pgnas" / "finished" / "search" / "masks.json"
masks.write_text(masks.read_text().replace("1", "0"))
(folder / "pgnas" / "outcomes.json").unlink()
shutil.rmtree(folder / "pgnas" / "known")
(folder / "pgnas" / "known").mkdir()
print(crash_drill.main([where, "--commands=pgnas", "--every=1000"]))
"""


def cells(table: str, name: str) -> list[int]:
    (row,) = [line for line in table.splitlines() if line.startswith(f"| {name} ")]
    return [int(cell) for cell in row.split("|")[2:-1]]


def test_a_killed_search_and_damaged_files_end_with_the_same_results(tmp_path: Path, repository: Path) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path / "drill")]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(repository)})
    assert done.returncode == 0, done.stderr
    drilled, damaged, failed = done.stdout.split("| command")[1:4]
    operations, states, tried, killed, to_the_end, alike, faults = cells(drilled, "pgnas")
    assert operations > states > 50
    assert tried >= 2 and killed == 1 and to_the_end + alike == tried + killed
    assert faults == 0, done.stdout
    files, damages, *outcomes, faults = cells(damaged, "pgnas-resumed")
    assert files >= 4 and sum(outcomes) == damages
    assert faults == 0, done.stdout
    *_, faults = cells(failed, "pgnas")
    assert faults == 2
    assert "pgnas, kill" in failed and "other results in search/masks.json" in failed


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_starts_from_one_that_is_drilled_too(name: str) -> None:
    seen = [name]
    while after := COMMANDS[seen[-1]].after:
        assert after not in seen
        seen.append(after)


def test_each_damage_is_one() -> None:
    for content in (b"x", b"0123456789", bytes(1000)):
        for damage in DAMAGES.values():
            assert damage(content) != content
        assert sum(bin(a ^ b).count("1") for a, b in zip(content, DAMAGES["a bit turned"](content), strict=True)) == 1
    assert all(case.of in COMMANDS for case in CASES.values())
