"""The operations of a process in a folder, one after another: opening to write, writing, syncing, renaming, removing.

They are heard of before they happen, by Python's audit hooks and at `os.fsync`. What C++ writes, TensorBoard's logs and
SavedModels, is seen at the next operation of Python's.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events of Python's, and what they do; each tells the path first.
_CHANGES = {
    "os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir", "os.rmdir": "rmdir", "os.truncate": "truncate",
    "os.link": "link", "os.symlink": "link",
}  # fmt: skip


class Operation(NamedTuple):
    """What is about to happen.

    Attributes:
        number: how many came before it.
        kind: such as "rename"; "write" where a file has its first half.
        path: what it changes.
    """

    number: int
    kind: str
    path: Path


def at_each(root: Path, act: Callable[[Operation], None]) -> None:
    """Has this process call `act` before each of its operations under `root`, from now on and to its end."""
    number = 0
    busy = False

    def hear(kind: str, path: Any) -> None:
        nonlocal number, busy
        if busy:
            return
        place = _absolute(path)
        if place is None or not place.is_relative_to(root):
            return
        busy = True
        try:
            act(Operation(number, kind, place))
        finally:
            busy = False
        number += 1

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES:
            hear(_CHANGES[event], _with_folder(event, arguments))
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            hear("open", arguments[0])

    sync = os.fsync

    def fsync(fd: Any) -> None:
        path = f"/proc/self/fd/{fd if isinstance(fd, int) else fd.fileno()}"
        if os.path.isfile(path):
            hear("write", os.readlink(path))
        hear("sync", os.readlink(path))
        sync(fd)

    os.fsync = fsync
    sys.addaudithook(audit)


def reading(root: Path, told: Path) -> None:
    """Has this process write the path in `root` of each file that it opens to read into `told`, from now on."""
    seen = set()
    output = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[2], int) or arguments[2] & _WRITES:
            return
        path = _absolute(arguments[0])
        if path is not None and path.is_relative_to(root) and path not in seen:
            seen.add(path)
            os.write(output, f"{path.relative_to(root).as_posix()}\n".encode())

    sys.addaudithook(audit)


def killing(number: int) -> Callable[[Operation], None]:
    """An act that kills this process at the operation of that number."""

    def act(operation: Operation) -> None:
        if operation.number == number:
            if operation.kind == "write":
                os.truncate(operation.path, half(operation.path))
            os.kill(os.getpid(), signal.SIGKILL)

    return act


def half(path: Path) -> int:
    """Half of a file's bytes: what a kill inside a write leaves."""
    return path.stat().st_size // 2


def _absolute(path: Any) -> Path | None:
    if isinstance(path, int):
        return None
    return Path(os.path.abspath(os.fsdecode(path)))


def _with_folder(event: str, arguments: tuple[Any, ...]) -> Any:
    """The path of an event, which may be told relative to an open folder."""
    path = arguments[0]
    folder = arguments[-2] if event == "os.rename" else arguments[-1]
    if event in ("os.remove", "os.rmdir", "os.mkdir", "os.rename") and isinstance(folder, int) and folder >= 0:
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))
    return path
