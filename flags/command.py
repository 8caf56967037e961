"""How a command-line module ends: its exit code, and one line about what the user can mend."""

import errno
import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from vinnas_tf.errors import UserError
from vinnas_tf.flags.define import spelt_as_flags
from vinnas_tf.run.ending import CODES, asked_to_end
from vinnas_tf.run.files import remedy

# What the user can mend: no space, quota, file size limit, no permission, read-only, files that a process may open.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)
_FREE_THE_DISK = "Free the disk, or name a folder that you may write."
_OF_THE_PROCESS = (errno.EMFILE, errno.ENFILE)
# What NumPy, Python and TensorFlow say where there is none left.
_OF_MEMORY = re.compile(r"OOM when allocating|failed to allocate memory|Cannot allocate memory|std::bad_alloc")


def run_cli(main: Callable[[list[str]], None]) -> NoReturn:
    """Runs a command-line module's `main(argv)` and exits.

    The exit code is 0, or 2 after one line on stderr about what the user can mend (UserError, a disk that is full or
    may not be written, too little memory), or 130 after Ctrl-C and 143 after SIGTERM, which let a file be finished that
    is being written. Any other exception is a bug and keeps its traceback.
    """
    try:
        with asked_to_end():
            main(sys.argv[1:])
            sys.stdout.flush()
    except UserError as error:
        _exit(2, f"error: {spelt_as_flags(str(error))}")
    except KeyboardInterrupt as error:
        _exit(
            CODES[type(error)],
            "interrupted: the same command (without --overwrite) goes on from the last checkpoint.",
        )
    except BrokenPipeError:  # The reader, such as `head`, has left; a second flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        problem = _problem(error)
        if problem is None:
            raise
        _exit(2, f"error: {problem}")
    sys.exit(0)


def _problem(error: Exception) -> str | None:
    """What the machine refused, from the line of the exception's message that tells of it, and what to do.

    TensorFlow's own file system raises no OSError, but gives the same reason, among names of nodes and operations.
    """
    lines = str(error).splitlines() or [""]
    for code in (*_OF_THE_DISK, *_OF_THE_PROCESS):
        for line in lines:
            if os.strerror(code) in line:
                text = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\]", "", line)
                return f"{text}. {remedy(code) if code in _OF_THE_PROCESS else _FREE_THE_DISK}"
    if isinstance(error, MemoryError) or _OF_MEMORY.search(str(error)):
        return (
            f"there is too little memory ({lines[0][:200] or type(error).__name__}): let the process have more, or use "
            "smaller batches or images; what is done is kept."
        )
    return None


def _exit(code: int, message: str) -> NoReturn:
    print(" ".join(message.split()), file=sys.stderr)
    sys.exit(code)
