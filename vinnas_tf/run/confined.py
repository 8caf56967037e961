"""Work on files from others, in a process that may write nothing and is ended when it takes too long.

Linux offers Landlock for this since 5.13: a process gives up rights to files for good. Elsewhere a process keeps its
rights, and the time limit alone holds. The packages that bind Landlock are first drafts, so its three calls stand here.
"""

import ctypes
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vinnas_tf.errors import FileError, UserError, require

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # System calls of all processors.
_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38
# Rights by the version of the interface that brought them: to write, remove and make files; to move them to another
# folder; to cut them; and to listen and connect.
_WRITING = (1 << 1) | sum(1 << bit for bit in range(4, 13))
_MOVING, _CUTTING = 1 << 13, 1 << 14
_NETWORK = (1 << 0) | (1 << 1)


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def forbid_writing(scratch: Path) -> bool:
    """Takes from this process, for good, the right to write files and to open TCP connections.

    It holds for the calling thread, and for threads and processes that it starts from now on: call it before a
    runtime is loaded. Files that are open stay as they are.

    Args:
        scratch: folder in which it may still write; it becomes the one for temporary files.

    Returns:
        Whether the system could do so.
    """
    tempfile.tempdir = os.environ["TMPDIR"] = str(scratch)
    if not sys.platform.startswith("linux"):
        return False
    call = ctypes.CDLL(None, use_errno=True).syscall
    version = call(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    files = _WRITING | (_MOVING if version >= 2 else 0) | (_CUTTING if version >= 3 else 0)
    ruleset = _Ruleset(files, _NETWORK if version >= 4 else 0)
    rules = call(_CREATE_RULESET, ctypes.byref(ruleset), 16 if version >= 4 else 8, 0)
    _require_done(rules)
    try:
        for place in (scratch, Path(os.devnull)):
            folder = os.open(place, os.O_PATH)
            rights = files if place.is_dir() else files & (1 << 1 | _CUTTING)
            done = call(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(_Beneath(rights, folder)), 0)
            os.close(folder)
            _require_done(done)
        _require_done(ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _require_done(call(_RESTRICT_SELF, rules, 0))
    finally:
        os.close(rules)
    return True


def _require_done(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def run_confined(work: Callable[[], Any], what: str, seconds: float) -> Any:
    """What `work` returns, done by a copy of this process that may not write and has no longer than `seconds`.

    Args:
        work: returns what JSON can hold.
        what: names in messages what is worked on.
        seconds: after which the copy is ended.

    Raises:
        FileError: it took too long, or the copy died of it.
        UserError: that `work` raised.
    """
    with tempfile.TemporaryDirectory() as scratch:
        reading, writing = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if not child:
            _answer(work, writing, Path(scratch))
        os.close(writing)
        try:
            text = _read(reading, time.monotonic() + seconds)
        finally:
            os.close(reading)
            os.kill(child, signal.SIGKILL)  # It has ended, or takes too long.
            os.waitpid(child, 0)
    require(text is not None, f"{what} took longer than {seconds:.0f} s and was ended: it may be no export.", FileError)
    try:
        answer = json.loads(text or "")
    except ValueError:
        raise FileError(f"{what} ended the process that ran it: it may be cut off or no export.") from None
    require("error" not in answer, str(answer.get("error")), FileError)
    return answer["result"]


def _answer(work: Callable[[], Any], pipe: int, scratch: Path) -> None:
    """The copy: works, writes the answer as JSON, and ends."""
    code = 1
    try:
        forbid_writing(scratch)
        try:
            answer = {"result": work()}
        except UserError as error:
            answer = {"error": str(error)}
        with os.fdopen(pipe, "wb") as file:
            file.write(json.dumps(answer).encode())
        code = 0
    except Exception:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _read(pipe: int, until: float) -> str | None:
    """All that comes out of a pipe before its end; None where that does not come in time."""
    parts: list[bytes] = []
    while select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
        part = os.read(pipe, 65_536)
        if not part:
            return b"".join(parts).decode()
        parts.append(part)
    return None
