"""One command's drill: it is run once and looked at before each operation, and then goes on from all that was seen.

What SIGKILL leaves at an operation is what lies in the folder before it. So a single run shows what all kills would
leave, and some real ones are held against that. What is the same byte for byte is tried once. Two states from which the
command, once it has opened the run folder, goes on with the same files, end alike: from then on it does the same.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.crash_drill import forked, tree
from benchmarks.crash_drill.commands import COMMANDS, Command
from benchmarks.crash_drill.points import Operation, at_each, half, killing
from vinnas_tf.errors import FileError, require
from vinnas_tf.run import folder as run_folder
from vinnas_tf.run.files import write_atomically

_REAL = 3  # Kills for real, spread over the operations.
_AS_BEFORE = 77  # Exit code of a command that goes on with files that it went on with before.
_EQUAL, _ALIKE = "equal", "goes on as another"


@dataclass
class Counts:
    """What came of a drill.

    Attributes:
        operations: that the command makes in its run folder.
        states: that differ byte for byte; each is what a kill would leave.
        tried: of these.
        to_the_end: the command was run to its end from so many.
        alike: from so many it went on with files from which it had been run to its end.
        killed: so often it was killed for real.
        faults: what went wrong.
    """

    operations: int = 0
    states: int = 0
    tried: int = 0
    to_the_end: int = 0
    alike: int = 0
    killed: int = 0
    faults: list[str] = field(default_factory=list)


class Drill:
    """The drill of a command in a folder of its own, which keeps what is done.

    Args:
        command: what is drilled.
        folder: of all drills.
    """

    def __init__(self, command: Command, folder: Path) -> None:
        self.command = command
        self.run_dir = folder / "run"  # The same place for all: nothing may depend on it.
        self.folder = folder / command.name
        self.finished = self.folder / "finished"
        self._before = folder / command.after / "finished" if command.after else folder / "nothing"
        self._log = self.folder / "log"

    def record(self) -> None:
        """Runs the command once, and keeps what lies in its folder before each operation."""
        if self.finished.exists():
            return
        if self.command.after:
            Drill(COMMANDS[self.command.after], self.folder.parent).record()
        tree.copy(self.folder / "nothing", self.folder)
        (self.folder / "known").mkdir(parents=True)
        tree.copy(self._before, self.run_dir)
        operations: list[list[Any]] = []
        seen: dict[str, int] = {}

        def keep(operation: Operation) -> None:
            target = self._state(len(seen))
            tree.copy(self.run_dir, target)
            if operation.kind == "write":
                part = target / operation.path.relative_to(self.run_dir)
                os.truncate(part, half(part))
            state = seen.setdefault(tree.digest(target), len(seen))
            operations.append([operation.kind, str(operation.path.relative_to(self.run_dir)), state])
            (self.folder / "operations.json").write_text(json.dumps(operations))

        end = self._run(lambda: at_each(self.run_dir, keep))
        require(end.code == 0, f"{self.command.name} failed: {self._log} tells why.", FileError)
        tree.copy(self.run_dir, self.finished)

    def state_at(self, name: str) -> Path:
        """What lay in the run folder before the first operation on a file of this name; at last, for an empty name."""
        if not name:
            return self.finished
        return self._state(next(state for _, path, state in self.operations() if Path(path).name == name))

    def operations(self) -> list[list[Any]]:
        """Kind, path and state of each operation."""
        return json.loads((self.folder / "operations.json").read_text())

    def try_states(self, every: int, tell: Callable[[str], None]) -> Counts:
        """Goes on from each state that was recorded, or every so many of them; what was tried before is not again.

        Args:
            every: 1 for all; else the command is killed for real once.
            tell: is told of each.
        """
        operations = self.operations()
        states = sorted({state for _, _, state in operations})
        outcomes = self._outcomes()
        wanted = [f"state {state}" for state in states[::-every][::-1]]
        kills = [f"kill {number}" for number in _spread(len(operations), _REAL if every == 1 else 1)]
        for done, name in enumerate([*wanted, *kills]):
            if outcomes.get(name) not in (_EQUAL, _ALIKE):  # What went wrong is tried again.
                kind, number = name.split()
                outcomes[name] = self._kill(int(number)) if kind == "kill" else self._go_on(self._state(int(number)))
                write_atomically(self.folder / "outcomes.json", json.dumps(outcomes, indent=1))
            tell(f"{self.command.name} {done + 1}/{len(wanted) + len(kills)} {name}: {outcomes[name]}")
        found = {name: outcomes[name] for name in (*wanted, *kills)}
        return Counts(
            operations=len(operations),
            states=len(states),
            tried=len(wanted),
            to_the_end=sum(one == _EQUAL for one in found.values()),
            alike=sum(one == _ALIKE for one in found.values()),
            killed=len(kills),
            faults=[
                f"{self.command.name}, {name}: {one}" for name, one in found.items() if one not in (_EQUAL, _ALIKE)
            ],
        )

    def _go_on(self, state: Path) -> str:
        """What comes of the command where it starts in `state`."""
        tree.copy(state, self.run_dir)
        return self._end()

    def _kill(self, number: int) -> str:
        """Kills the command for real, and holds what is left against what was recorded; then goes on."""
        tree.copy(self._before, self.run_dir)
        end = self._run(lambda: at_each(self.run_dir, killing(number)))
        if end.code != -9:
            return f"was not killed, but ended with {end.code}"
        expected = self._state(self.operations()[number][2])
        left, recorded = (
            {str(path.relative_to(root)) for path in _plain_files(root)} for root in (self.run_dir, expected)
        )
        if left != recorded:
            return f"the kill left other files than were recorded: {sorted(left ^ recorded)}"
        return self._end()

    def _end(self) -> str:
        """Runs the command to its end, and compares."""
        entered = self.folder / "entered"
        entered.unlink(missing_ok=True)
        known = self.folder / "known"
        end = self._run(lambda: _stop_where_known(self.run_dir, known, entered))
        if end.code == _AS_BEFORE:
            return _ALIKE
        if end.code:
            return f"exit code {end.code}: {' '.join(end.errors) or end.printed[-500:]}"
        now, expected = tree.contents(self.run_dir), tree.contents(self.finished)
        wrong = sorted(name for name in now.keys() | expected.keys() if now.get(name) != expected.get(name))
        if wrong:
            return f"other results in {', '.join(wrong)}"
        if entered.exists():
            (known / entered.read_text()).touch()
        return _EQUAL

    def _run(self, before: Callable[[], None]) -> forked.End:
        return forked.run(self.command.module, self.command.line(self.run_dir), self._log, before)

    def _outcomes(self) -> dict[str, str]:
        path = self.folder / "outcomes.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _state(self, number: int) -> Path:
        return self.folder / "states" / str(number)


def _spread(operations: int, count: int) -> list[int]:
    """So many numbers of operations, spread over all."""
    return [(2 * one + 1) * operations // (2 * count) for one in range(count)]


def _plain_files(root: Path) -> list[Path]:
    return [path for path in tree.files(root) if "tensorboard" not in path.parts] if root.exists() else []


def _stop_where_known(root: Path, known: Path, entered: Path) -> None:
    """Ends this process once it has opened the run folder, where it has ended well with the files that it finds then.

    It must not have read anything that is not there any more.
    """
    before, read = set(tree.files(root)) if root.exists() else set(), set()
    open_folder = run_folder.RunDir.__enter__

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(arguments[0], int):
            read.add(Path(os.path.abspath(os.fsdecode(arguments[0]))))

    def enter(run: run_folder.RunDir) -> run_folder.RunDir:
        run_folder.RunDir.__enter__ = open_folder  # type: ignore[method-assign]
        if not read & (before - set(tree.files(root))):
            name = tree.digest(root)
            if (known / name).exists():
                os._exit(_AS_BEFORE)
            entered.write_text(name)
        return open_folder(run)

    sys.addaudithook(audit)
    run_folder.RunDir.__enter__ = enter  # type: ignore[assignment, method-assign]
