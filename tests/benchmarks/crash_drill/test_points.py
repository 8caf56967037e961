"""Operations are heard of before they happen, and a kill leaves what lies there then."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, os, shutil, sys
from pathlib import Path
from benchmarks.crash_drill.points import at_each, killing
root = Path(sys.argv[1])
number = int(sys.argv[2])
seen = []

def keep(operation):
    seen.append([operation.number, operation.kind, operation.path.name, sorted(os.listdir(root))])

at_each(root, killing(number) if number >= 0 else keep)
(root / "a").mkdir()
with open(root / "a" / "file.tmp", "wb") as file:
    file.write(b"12345678")
    file.flush()
    os.fsync(file.fileno())
os.replace(root / "a" / "file.tmp", root / "file")
folder = os.open(root, os.O_RDONLY)
os.fsync(folder)
(root.parent / "elsewhere").write_text("x")
(root / "file").read_text()
shutil.rmtree(root / "a")
(root / "file").unlink()
print(json.dumps(seen))
"""


def run(root: Path, number: int, repository: Path) -> subprocess.CompletedProcess:
    root.mkdir()
    argv = [sys.executable, "-c", PROGRAM, str(root), str(number)]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(repository)})


def test_each_operation_is_told_once_in_its_order_before_it_happens(tmp_path: Path, repository: Path) -> None:
    done = run(tmp_path / "run", -1, repository)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        [0, "mkdir", "a", []],
        [1, "open", "file.tmp", ["a"]],
        [2, "write", "file.tmp", ["a"]],
        [3, "sync", "file.tmp", ["a"]],
        [4, "rename", "file.tmp", ["a"]],
        [5, "sync", "run", ["a", "file"]],
        [6, "rmdir", "a", ["a", "file"]],
        [7, "remove", "file", ["file"]],
    ]


def test_a_kill_leaves_what_lay_there_and_half_of_what_was_being_written(tmp_path: Path, repository: Path) -> None:
    expected: list[dict[str, bytes]] = [{}, {}, {"a/file.tmp": b"1234"}, {"a/file.tmp": b"12345678"}]
    expected += [{"a/file.tmp": b"12345678"}, *[{"file": b"12345678"}] * 3]
    for number, files in enumerate(expected):
        root = tmp_path / str(number)
        assert run(root, number, repository).returncode == -9
        left = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        assert left == files
        assert (root / "a").is_dir() == (1 <= number <= 6)
