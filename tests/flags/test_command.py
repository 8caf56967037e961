"""How a command ends: its exit code, and one line about what can be mended."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def run_cli(body: str, tmp_path: Path, repository: Path, **kwargs) -> subprocess.CompletedProcess:
    """Runs a program whose main(argv) has `body`, in a process of its own."""
    program = tmp_path / "program.py"
    lines = ["import os, signal", "from vinnas_tf.errors import UserError", "from vinnas_tf.flags import run_cli"]
    program.write_text("\n".join([*lines, "def main(argv):", *(f"    {line}" for line in body.splitlines())]))
    with program.open("a") as file:
        file.write("\nrun_cli(main)\n")
    env = {**os.environ, "PYTHONPATH": str(repository)}
    return subprocess.run([sys.executable, str(program), "a"], capture_output=True, text=True, env=env, **kwargs)


@pytest.mark.parametrize(
    ("body", "code", "stderr"),
    [
        ("assert argv == ['a']", 0, ""),
        ("raise UserError('no\\n  cells.')", 2, "error: no cells.\n"),
        ("os.kill(os.getpid(), signal.SIGINT)", 128 + signal.SIGINT, "interrupted: "),
        ("os.kill(os.getpid(), signal.SIGTERM)", 128 + signal.SIGTERM, "interrupted: "),
        ("with open('/dev/full', 'w') as file: file.write('x')", 2, f"error: [Errno {errno.ENOSPC}] No space left"),
        # As TensorFlow reports it, through an exception that is no OSError.
        (
            "raise RuntimeError('{{node x}} runs/ckpt-1; No space left on device [Op:SaveV2]\\n\\tand so on')",
            2,
            "error: runs/ckpt-1; No space left on device. Free the disk",
        ),
        (
            "raise OSError(24, 'Too many open files', 'x')",
            2,
            "error: [Errno 24] Too many open files: 'x'. Let the process",
        ),
        (
            "raise MemoryError('Unable to allocate 3 GiB')",
            2,
            "error: there is too little memory (Unable to allocate 3 Gi",
        ),
        (
            "raise RuntimeError('OOM when allocating tensor\\nand so on')",
            2,
            "error: there is too little memory (OOM when",
        ),
    ],
)
def test_exit_codes(body, code, stderr, tmp_path, repository):
    done = run_cli(body, tmp_path, repository)
    assert done.returncode == code
    assert done.stderr.startswith(stderr)
    assert done.stderr.count("\n") == (1 if stderr else 0)


def test_a_bug_keeps_its_traceback(tmp_path, repository):
    done = run_cli("raise FileNotFoundError(2, 'No such file or directory', 'x')", tmp_path, repository)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(tmp_path, repository):
    # A pipe whose reading end is closed, as behind `| head`.
    reader, writer = os.pipe()
    os.close(reader)
    program = tmp_path / "program.py"
    program.write_text("from vinnas_tf.flags import run_cli\nrun_cli(lambda argv: print('x' * 100_000))\n")
    env = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run([sys.executable, str(program)], stdout=writer, stderr=subprocess.PIPE, env=env)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
