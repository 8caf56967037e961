"""What a command needs of the machine before it starts."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("kind", "limit", "line"),
    [
        (resource.RLIMIT_AS, 3 * 2**29, "error: ulimit -v allows 1.5 GiB of address space, and a command needs "),
        (resource.RLIMIT_NOFILE, 20, "error: ulimit -n allows 20 open files, and a command needs "),
    ],
)
def test_a_limit_that_is_too_low_is_one_line(
    kind: int, limit: int, line: str, repository: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vinnas_tf.search", "--run_dir=run"],
        preexec_fn=lambda: resource.setrlimit(kind, (limit, limit)),
        env={**os.environ, "PYTHONPATH": str(repository)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line) and done.stderr.count("\n") == 1
    assert not any(tmp_path.iterdir())
