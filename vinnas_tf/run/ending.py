"""A command that is asked to end, by Ctrl-C or SIGTERM: it ends once the file that is being written is whole."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came, as KeyboardInterrupt says of SIGINT."""


CODES = {KeyboardInterrupt: 130, Terminated: 143}  # 128 and the number of the signal, as shells have it.
_RAISED = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
_writes = 0  # That are under way.
_asked: int | None = None  # The signal that came in one of them.


@contextlib.contextmanager
def asked_to_end() -> Iterator[None]:
    """Has Ctrl-C and SIGTERM raise KeyboardInterrupt and Terminated in the block, outside of `finishing` alone.

    A signal that the process was started deaf to, as a shell starts what runs in its background, stays ignored.
    """
    before = {number: signal.getsignal(number) for number in _RAISED}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, _come)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


@contextlib.contextmanager
def finishing() -> Iterator[None]:
    """Around a write: a signal that comes meanwhile is raised behind it."""
    global _writes, _asked
    _writes += 1
    try:
        yield
    finally:
        _writes -= 1
        if not _writes and _asked is not None:
            number, _asked = _asked, None
            raise _RAISED[signal.Signals(number)]


def _come(number: int, frame: FrameType | None) -> None:
    global _asked
    if not _writes:
        raise _RAISED[signal.Signals(number)]
    _asked = number
