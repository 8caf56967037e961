"""The lock of a run folder: one process works in it, and as long as it is that folder."""

import fcntl
import os
from pathlib import Path

from vinnas_tf.errors import RunFolderError, require

NAME = ".lock"
_held: dict[Path, int] = {}  # The open lock of each run folder that this process works in.


class Lock:
    """A run folder's lock, held from now on; the kernel releases it too when the process dies, however it dies.

    Raises:
        RunFolderError: another process holds it.
        OSError: it can't be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.abspath(folder))
        lock = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 20).decode(errors="replace")
            os.close(lock)
            raise RunFolderError(
                f"run folder {folder} is in use by process {owner}: wait for it, or choose another --run_dir."
            ) from None
        os.truncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        _held[self._folder] = lock

    def release(self) -> None:
        """Lets others work in the folder; a second time does nothing."""
        lock = _held.pop(self._folder, None)
        if lock is not None:
            os.close(lock)


def require_held(path: Path) -> None:
    """Raises RunFolderError where `path` lies in a run folder that isn't the one any more that this process opened.

    A folder of the same name may be another process's by now, and what is written into it would be taken for its own.
    """
    place = Path(os.path.abspath(path))
    for folder, lock in _held.items():
        if place.is_relative_to(folder):
            try:
                same = os.path.samestat(os.stat(folder / NAME), os.fstat(lock))
            except OSError:
                same = False
            require(
                same,
                f"run folder {folder} was removed, moved or replaced while it was worked in: this command ends, and "
                "writes nothing more into it.",
                RunFolderError,
            )
