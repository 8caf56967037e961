"""Commands in forks of one process that has imported everything and computed nothing: each saves seconds of imports.

TensorFlow survives a fork as long as its runtime has not begun, so that whoever calls `run` must not compute.
"""

import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import tensorflow_datasets  # noqa: F401  # What commands import late.
from tensorflow.python.eager import context

from vinnas_tf.flags import run_cli


class End(NamedTuple):
    """How a command ended.

    Attributes:
        code: its exit code, below 0 where a signal ended it.
        printed: what it printed on stdout and stderr.
    """

    code: int
    printed: str

    @property
    def errors(self) -> list[str]:
        """The lines that tell of an error."""
        return [line for line in self.printed.splitlines() if line.startswith("error: ")]

    @property
    def has_traceback(self) -> bool:
        """Whether Python told of a bug."""
        return bool(re.search("^Traceback", self.printed, re.MULTILINE))


def run(module: str, flags: Sequence[str], log: Path, before: Callable[[], None] = lambda: None) -> End:
    """Runs `python -m MODULE FLAGS` in a fork, to its end.

    Args:
        module: such as "vinnas_tf.search".
        flags: its command line.
        log: file that gets what it prints.
        before: called in the fork first.
    """
    name = module if hasattr(importlib.import_module(module), "main") else f"{module}.__main__"
    main = importlib.import_module(name).main
    assert context.context_safe() is None or not context.context()._initialized
    sys.stdout.flush()
    child = os.fork()
    if not child:
        _become(main, [module, *flags], log, before)
    _, status = os.waitpid(child, 0)
    return End(os.waitstatus_to_exitcode(status), log.read_text(encoding="utf-8", errors="replace"))


def _become(main: Callable[[list[str]], int | None], argv: list[str], log: Path, before: Callable[[], None]) -> None:
    """The fork; never returns."""
    code = 1
    try:
        printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        sys.argv = argv
        before()
        run_cli(lambda flags: sys.exit(main(flags)))  # One of them returns its exit code.
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
