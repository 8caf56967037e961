"""Standard streams that are there, and take any text, whatever a command was started by."""

import io
import os
import sys


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
