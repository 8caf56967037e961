"""Processes that die with the one that started them, and how they ended.

`run_to_end`, `run_in_sight` and `run_command` run a module as another command. Its process holds the read end of a pipe
whose other end only the parent has, so that it learns of the death of the parent, however that came, and ends too: no
run folder is in use when a command is started again. A process that is started otherwise calls `die_with_the_parent`
itself.
"""

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import vinnas_tf
from vinnas_tf.errors import FileError, require
from vinnas_tf.run.ending import CODES, Terminated
from vinnas_tf.run.files import writing

_GRACE = 10  # Seconds in which a child that is asked to end finishes what it writes.
_running: set[subprocess.Popen] = set()  # The children of this process, whichever thread waits for them.


class End(NamedTuple):
    """How a process ended.

    Attributes:
        code: its exit code, below 0 where a signal ended it.
        lines: those that it printed, as far as they were kept.
        late: whether it took too long and was ended.
    """

    code: int
    lines: Sequence[str] = ()
    late: bool = False

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


def run_to_end(
    module: str, flags: Sequence[str], log: Path, seconds: float | None = None, cores: Collection[int] = ()
) -> End:
    """Runs `python -m MODULE FLAGS` to its end and adds what it prints to `log`.

    The child is killed when this process is. Where this process is interrupted, the child is asked to end, and killed
    where it doesn't.

    Args:
        module: such as "vinnas_tf.search".
        flags: its command line.
        log: file that its stdout and stderr are appended to.
        seconds: after which the child is ended; None: it has all the time it needs.
        cores: numbers of those that it may use; none given: those of this process. Systems that know of no such thing
            give it all.

    Raises:
        KeyboardInterrupt: it was interrupted; as `Terminated` where that was by SIGTERM.
    """
    with writing(log):
        output = open(log, "ab")
    with output:
        begins = output.tell()
        code, late = _run(module, flags, output, seconds, cores)
    _raise_interruption(code)
    with open(log, "rb") as printed:
        printed.seek(begins)
        return End(code, printed.read().decode(errors="replace").splitlines(), late)


def run_in_sight(module: str, flags: Sequence[str]) -> int:
    """Runs another command to its end as `run_to_end` does, but on this process's own terminal; returns its exit code.

    What it has to say of a mistake it has then said itself.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    sys.stdout.flush()
    code, _ = _run(module, flags, None)
    _raise_interruption(code)
    return code


def _raise_interruption(code: int) -> None:
    """Raises what ended a child that was asked to end, as this process is to end by it too."""
    for kind in (KeyboardInterrupt, Terminated):
        if code == CODES[kind]:
            raise kind


def _run(
    module: str,
    flags: Sequence[str],
    output: IO[bytes] | None,
    seconds: float | None = None,
    cores: Collection[int] = (),
) -> tuple[int, bool]:
    """Runs a module in a child that dies with this process; returns its exit code, and whether it was late.

    Args:
        module: to be run.
        flags: its command line.
        output: file for its stdout and stderr; None: those of this process.
        seconds: after which it is killed; None: never.
        cores: that it may use; none given: those of this process.
    """
    late = False
    # Popen's own `with` would wait for the child, not end it.
    child = subprocess.Popen(
        [sys.executable, "-u", "-m", __name__, module, *flags],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output and subprocess.STDOUT,
        env=environment(),
    )
    _running.add(child)
    try:
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(child.pid, cores)  # It has not imported anything yet that asks.
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        late = True
    except KeyboardInterrupt:
        end_children()
        raise
    finally:
        child.kill()
        code = child.wait()
        _running.discard(child)
        assert child.stdin is not None  # It was asked for.
        child.stdin.close()
    return code, late


def end_children() -> None:
    """Asks all children of this process to end, and kills those that don't; returns once they are dead.

    For a process whose threads wait for them: it is the main thread that is interrupted.
    """
    children = list(_running)
    for child in children:
        child.terminate()
    until = time.monotonic() + _GRACE
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, until - time.monotonic()))
        child.kill()


def run_command(module: str, flags: Sequence[str], log: Path, cores: Collection[int] = ()) -> None:
    """Runs another command of this package as `run_to_end` does; a run folder survives that it is killed.

    Raises:
        FileError: it failed; with its own "error:" line, or the name of the log where it has none.
        KeyboardInterrupt: it was interrupted.
    """
    end = run_to_end(module, flags, log, cores=cores)
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
