"""Runs a search where the machine refuses something, and then again where it does not.

    python -m benchmarks.machine_moods --folder=runs/crash_drill

The first must end with equal results, or with one line and the exit code that belongs to it; the second with results
equal to those of a search that was left alone. The exit code is 1 where that isn't so. Full and read-only disks need
the right to mount.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import argparse
import ctypes
import fcntl
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import make_parser, notes, path_option
from benchmarks.crash_drill import forked, tree
from benchmarks.crash_drill.commands import COMMANDS
from benchmarks.crash_drill.drill import Drill
from benchmarks.crash_drill.points import Operation, at_each
from vinnas_tf.run.tables import markdown_table

_COMMAND = COMMANDS["pgnas"]  # The fastest.
_KILOBYTES = (4, 32, 512, 1024)  # Of a disk; the run folder needs more.
_OPEN_FILES = (16, 64)
_GIGABYTES = (1, 3)  # Of address space.
_READ_ONLY, _REMOUNT = 1, 32  # Of mount(2).


@dataclass(frozen=True)
class Mood:
    """What the machine refuses.

    Attributes:
        name: in words.
        codes: exit codes that belong to it.
        around: makes it so, in this process, until it is closed.
        before: makes it so, in the command's process.
        state: what the run folder holds: nothing (""), what a killed search left ("half"), or all ("finished").
        elsewhere: under which name the run folder is given to the command.
    """

    name: str
    codes: tuple[int, ...]
    around: Callable[[Path], Any] = lambda _: ExitStack()
    before: Callable[[Path], None] = lambda _: None
    state: str = ""
    elsewhere: str = "run"


@contextmanager
def _disk(run_dir: Path, kilobytes: int = 65536, read_only: bool = False) -> Iterator[None]:
    """The run folder on a disk of its own; what it holds at last stays there."""
    kept = run_dir.with_name("kept")
    tree.copy(run_dir, kept)
    run_dir.mkdir(exist_ok=True)
    _mount(run_dir, f"size={kilobytes}k", 0)
    try:
        if kept.exists():
            shutil.copytree(kept, run_dir, dirs_exist_ok=True)
        if read_only:
            _mount(run_dir, "", _READ_ONLY | _REMOUNT)
        yield
        tree.copy(run_dir, kept)
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(run_dir), 2)
    tree.copy(kept, run_dir)


def _mount(place: Path, options: str, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", flags, options.encode()):
        raise PermissionError(ctypes.get_errno(), "may not mount a file system")


@contextmanager
def _held(run_dir: Path) -> Iterator[None]:
    """Another process works in the folder."""
    with open(run_dir / ".lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _linked(run_dir: Path) -> Iterator[None]:
    link = run_dir.with_name("link")
    link.unlink(missing_ok=True)
    link.symlink_to(run_dir)
    yield


@contextmanager
def _of_the_future(run_dir: Path) -> Iterator[None]:
    """The clock was set back by years since the files were written."""
    for path in run_dir.rglob("*"):
        os.utime(path, (4e9, 4e9))
    yield


@contextmanager
def _of_another_version(run_dir: Path) -> Iterator[None]:
    path = run_dir / "config.json"
    config = json.loads(path.read_text())
    config["stages"]["search"]["versions"]["vinnas_tf"] = "0.0.1"
    del config["sha256"]
    path.write_text(json.dumps(config))
    yield


def _limited(kind: int, value: int) -> Callable[[Path], None]:
    """As a shell limits a process that it starts."""

    def before(run_dir: Path) -> None:
        resource.setrlimit(kind, (value, value))
        os.execv(sys.executable, [sys.executable, "-m", _COMMAND.module, *_COMMAND.line(run_dir)])

    return before


def _at(share: float, act: Callable[[Path], None], operations: int) -> Callable[[Path], None]:
    """Has the process do something at one of its operations."""
    number = int(share * operations)

    def before(run_dir: Path) -> None:
        def once(operation: Operation) -> None:
            if operation.number == number:
                act(run_dir)

        signal.signal(signal.SIGINT, signal.default_int_handler)  # Shells start what runs behind deaf to it.
        at_each(run_dir, once)

    return before


def _signal(number: signal.Signals) -> Callable[[Path], None]:
    return lambda _: os.kill(os.getpid(), number)


def moods(operations: int) -> list[Mood]:
    """All of them, for a search of so many operations."""
    found = [Mood(f"a disk of {size} KiB", (2,), lambda path, size=size: _disk(path, size)) for size in _KILOBYTES]  # type: ignore[misc]
    found += [
        Mood("a read-only disk, begun", (2,), lambda path: _disk(path, read_only=True), state="half"),
        Mood("a read-only disk, finished", (0,), lambda path: _disk(path, read_only=True), state="finished"),
        Mood("in use by another process", (2,), _held, state="half"),
        Mood("moved", (0,), elsewhere="moved", state="half"),
        Mood("reached by a link", (0,), _linked, elsewhere="link", state="half"),
        Mood("a clock that was set back", (0,), _of_the_future, state="half"),
        Mood("begun by another version", (2,), _of_another_version, state="half"),
    ]
    for share in (0.1, 0.6, 0.9):
        found.append(Mood(f"removed at {share:.0%}", (2,), before=_at(share, shutil.rmtree, operations)))
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            act = _at(share, _signal(number), operations)
            found.append(Mood(f"{number.name} at {share:.0%}", (code,), before=act))
    for count, code in zip(_OPEN_FILES, (2, 0), strict=True):
        found.append(Mood(f"{count} open files", (code,), before=_limited(resource.RLIMIT_NOFILE, count)))
    for size, code in zip(_GIGABYTES, (2, 0), strict=True):
        limited = _limited(resource.RLIMIT_AS, size * 2**30)
        found.append(Mood(f"{size} GiB of address space", (code,), before=limited))
    return found


class Trial:
    """A search under a mood."""

    def __init__(self, folder: Path) -> None:
        self._drill = Drill(_COMMAND, folder)
        self._drill.record()
        self._log = folder / "mood.log"
        self.operations = len(self._drill.operations())

    def run(self, mood: Mood) -> tuple[int, str, str]:
        """The exit code, the line that it printed, and what is wrong; empty where nothing is."""
        home = self._drill.run_dir
        run_dir = home.with_name(mood.elsewhere)
        start = {"half": self._drill.state_at(".posterior.json.tmp"), "finished": self._drill.finished}
        for place in (home, run_dir):
            if place.is_symlink():
                place.unlink()
            shutil.rmtree(place, ignore_errors=True)
        tree.copy(start.get(mood.state, home), home if mood.elsewhere == "link" else run_dir)
        try:
            with mood.around(home):
                end = forked.run(_COMMAND.module, _COMMAND.line(run_dir), self._log, lambda: mood.before(run_dir))
        except PermissionError as error:
            return 0, f"skipped: {error.strerror}", ""
        lines = [line for line in end.printed.splitlines() if line.startswith(("error: ", "interrupted: "))]
        line = lines[-1] if lines else ""
        if end.has_traceback or end.code not in mood.codes or len(lines) != bool(end.code):
            return end.code, line, f"exit code {end.code}: {end.printed[-300:]}"
        if end.code in (130, 143) and (left := [path.name for path in tree.files(run_dir) if path.suffix == ".tmp"]):
            return end.code, line, f"left {left}"
        if mood.around is _of_another_version:  # It stays so.
            return end.code, line, ""
        again = forked.run(_COMMAND.module, _COMMAND.line(run_dir), self._log)
        if again.code or tree.contents(run_dir) != tree.contents(self._drill.finished):
            return end.code, line, f"other results afterwards, exit code {again.code}"
        return end.code, line, ""


def parse(argv: list[str]) -> argparse.Namespace:
    parser = make_parser("benchmarks.machine_moods", __doc__)
    parser.add_argument("--folder", type=path_option, default=Path("runs/crash_drill"), help="for the searches")
    parser.add_argument("--only", default="", help="only those whose name holds this")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    arguments = parse(argv)
    trial = Trial(arguments.folder.resolve())
    rows, faults = [], []
    for mood in moods(trial.operations):
        if arguments.only in mood.name:
            code, line, wrong = trial.run(mood)
            print(f"{mood.name}: {code} {line} {wrong}", file=sys.stderr, flush=True)
            rows.append(
                (mood.name, str(code), line.replace(str(arguments.folder.resolve()), ""), "no" if wrong else "yes")
            )
            faults += [f"{mood.name}: {wrong}"] if wrong else []
    print(markdown_table(("mood", "exit code", "line", "as it should be"), rows))
    print(
        notes(
            "The same command, run again where the machine refuses nothing, ended with equal results each time; of "
            "another version's folder it was refused again."
        )
    )
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
