"""Standard streams that are there, and take any text, whatever a command was started by."""

import io
import os
import sys
from typing import TextIO

# C0 but for tab, line feed and carriage return; delete; C1.
_SHOWN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in (9, 10, 13)}


def open_standard_streams() -> None:
    """Puts the null device where a standard stream is closed, and lets every text be printed in any encoding."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # Or the next file opened gets the number, and what C++ prints is written into it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # The lowest number that is free, so this one.
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)
    sys.stdout, sys.stderr = _plain(sys.stdout), _plain(sys.stderr)


class _PlainText(io.TextIOWrapper):
    """A stream that shows control characters instead of obeying them: names of classes and files may hold any."""

    def write(self, text: str) -> int:
        super().write(text.translate(_SHOWN))
        return len(text)


def _plain(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, _PlainText):
        return stream
    line_buffering, write_through, encoding = stream.line_buffering, stream.write_through, stream.encoding
    return _PlainText(
        stream.detach(), encoding, "backslashreplace", line_buffering=line_buffering, write_through=write_through
    )
