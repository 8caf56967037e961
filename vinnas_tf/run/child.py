"""Runs another command of this package in a process of its own, which dies with the one that started it.

`run_to_end` and `run_command` are for the parent. The child holds the read end of a pipe whose other end only the
parent has, so that it learns of the death of the parent, however that came, and ends too: no run folder is in use when
a command is started again.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import vinnas_tf
from vinnas_tf.errors import FileError, require
from vinnas_tf.run.files import writing


def environment() -> dict[str, str]:
    """The environment of a child: it finds this package, also in a checkout that isn't the working folder."""
    places = [str(Path(vinnas_tf.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


def run_to_end(module: str, flags: Sequence[str], log: Path) -> tuple[int, list[str]]:
    """Runs `python -m MODULE FLAGS` to its end and adds what it prints to `log`.

    The child is killed when this process is, or is interrupted.

    Args:
        module: such as "vinnas_tf.search".
        flags: its command line.
        log: file that its stdout and stderr are appended to.

    Returns:
        Its exit code, below 0 where a signal ended it, and the lines that it printed.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    with writing(log):
        output = open(log, "ab")
    with output:
        begins = output.tell()
        # Popen's own `with` would wait for the child, not end it.
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", __name__, module, *flags],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        try:
            code = child.wait()
        finally:
            child.kill()
            child.wait()
            assert child.stdin is not None  # It was asked for.
            child.stdin.close()
    if code == 130:
        raise KeyboardInterrupt
    with open(log, "rb") as printed:
        printed.seek(begins)
        return code, printed.read().decode(errors="replace").splitlines()


def error_of(lines: Sequence[str]) -> str | None:
    """The last "error:" line of what a command printed, without that word; None where there is none."""
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else None


def run_command(module: str, flags: Sequence[str], log: Path) -> None:
    """Runs another command of this package as `run_to_end` does; a run folder survives that it is killed.

    Raises:
        FileError: it failed; with its own "error:" line, or the name of the log where it has none.
        KeyboardInterrupt: it was interrupted.
    """
    code, lines = run_to_end(module, flags, log)
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    require(code == 0, error_of(lines) or f"{module} ended with {ended}; what it printed is in {log}.", FileError)


def _die_with_the_parent() -> None:
    """Returns at once; a thread of its own waits for the end of stdin, which only the parent's death brings."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def main(argv: list[str]) -> None:
    """The child: `MODULE FLAGS...`."""
    module = argv[0]
    _die_with_the_parent()
    sys.argv = argv
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
