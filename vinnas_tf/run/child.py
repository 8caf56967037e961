"""Processes that die with the one that started them, and how they ended.

`run_to_end` and `run_command` run a module as another command. Its process holds the read end of a pipe whose other end
only the parent has, so that it learns of the death of the parent, however that came, and ends too: no run folder is in
use when a command is started again. A process that is started otherwise calls `die_with_the_parent` itself.
"""

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import vinnas_tf
from vinnas_tf.errors import FileError, require
from vinnas_tf.run.ending import CODES, Terminated
from vinnas_tf.run.files import writing

_GRACE = 10  # Seconds in which a child that is asked to end finishes what it writes.


class End(NamedTuple):
    """How a process ended.

    Attributes:
        code: its exit code, below 0 where a signal ended it.
        lines: those that it printed, as far as they were kept.
    """

    code: int
    lines: Sequence[str] = ()

    @property
    def how(self) -> str:
        """Such as "exit code 1" or "signal 9"."""
        return f"signal {-self.code}" if self.code < 0 else f"exit code {self.code}"

    @property
    def error(self) -> str | None:
        """The last "error:" line, without that word; None where there is none."""
        errors = [line.removeprefix("error: ") for line in self.lines if line.startswith("error: ")]
        return errors[-1] if errors else None


def environment() -> dict[str, str]:
    """The environment of a child: it finds this package, also in a checkout that isn't the working folder."""
    places = [str(Path(vinnas_tf.__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}


def run_to_end(module: str, flags: Sequence[str], log: Path) -> End:
    """Runs `python -m MODULE FLAGS` to its end and adds what it prints to `log`.

    The child is killed when this process is. Where this process is interrupted, the child is asked to end, and killed
    where it doesn't.

    Args:
        module: such as "vinnas_tf.search".
        flags: its command line.
        log: file that its stdout and stderr are appended to.

    Raises:
        KeyboardInterrupt: it was interrupted; as `Terminated` where that was by SIGTERM.
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
        except KeyboardInterrupt:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE)
            raise
        finally:
            child.kill()
            child.wait()
            assert child.stdin is not None  # It was asked for.
            child.stdin.close()
    for kind in (KeyboardInterrupt, Terminated):
        if code == CODES[kind]:
            raise kind
    with open(log, "rb") as printed:
        printed.seek(begins)
        return End(code, printed.read().decode(errors="replace").splitlines())


def run_command(module: str, flags: Sequence[str], log: Path) -> None:
    """Runs another command of this package as `run_to_end` does; a run folder survives that it is killed.

    Raises:
        FileError: it failed; with its own "error:" line, or the name of the log where it has none.
        KeyboardInterrupt: it was interrupted.
    """
    end = run_to_end(module, flags, log)
    require(end.code == 0, end.error or f"{module} ended with {end.how}; what it printed is in {log}.", FileError)


def die_with_the_parent(pipe: int) -> None:
    """Has this process killed once the parent is dead, whatever it does then; returns at once.

    Args:
        pipe: file descriptor whose other end the parent alone holds: its end is the parent's. The standard input of
            what `run_to_end` starts, and `multiprocessing.parent_process().sentinel` of what multiprocessing spawns.
    """

    def wait() -> None:
        while os.read(pipe, 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def main(argv: list[str]) -> None:
    """The child: `MODULE FLAGS...`."""
    module = argv[0]
    die_with_the_parent(0)
    sys.argv = argv
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
