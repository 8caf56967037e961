"""Flag files: `--flagfile=FILE` in a command line stands for the lines of FILE."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vinnas_tf.errors import require
from vinnas_tf.run.files import read_text, user_path


def expand(argv: Sequence[str], within: tuple[Path, ...] = ()) -> Iterator[str]:
    """The words of a command line, with the lines of a flag file where it is named.

    A flag file is UTF-8 text with one flag a line; blank lines and lines that start with # or // are left out. absl's
    own reader takes the encoding of the locale and stumbles over a byte order mark.

    Args:
        argv: the arguments, without the program's name.
        within: the flag files that these words stand in, resolved.

    Raises:
        SettingError: a flag file can't be read, isn't UTF-8 text, or leads back to itself.
    """
    words = iter(argv)
    for word in words:
        name, _, value = word.partition("=")
        if word == "--":  # Flags end here.
            yield word
            yield from words
        elif name in ("--flagfile", "-flagfile"):
            value = value or next(words, "")
            require(bool(value), "--flagfile names no file: write --flagfile=FILE.")
            path = user_path(value)
            resolved = path.resolve()
            require(resolved not in within, f"flag file {value} leads back to itself: take one --flagfile out.")
            yield from expand(lines(path), (*within, resolved))
        else:
            yield word


def lines(path: Path) -> list[str]:
    """The flags in a flag file."""
    stripped = (line.strip() for line in read_text(path).split("\n"))
    return [line for line in stripped if line and not line.startswith(("#", "//"))]
