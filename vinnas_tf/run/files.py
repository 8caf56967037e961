"""Files that a crash never leaves half-written: any content, and the metrics of a run as CSV; paths that users name."""

import contextlib
import csv
import errno
import io
import numbers
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vinnas_tf.errors import FileError
from vinnas_tf.run.ending import finishing
from vinnas_tf.run.lock import require_held

Value = int | float | None


def user_path(text: str) -> Path:
    """The path that a user wrote; ~ and ~NAME at its start stand for home folders.

    Raises:
        FileError: this machine knows no such home folder.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        home = Path(text).parts[0]
        raise FileError(f"{text}: there is no home folder {home} on this machine: write the path out.") from error


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file, without a byte order mark; raises FileError where it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FileError(f"can't read {path}: it isn't UTF-8 text.") from error
    if "\0" in text:  # As in UTF-16 without its mark.
        raise FileError(f"can't read {path}: it isn't UTF-8 text.")
    return text


def remedy(code: int | None) -> str:
    """What to do where a file can't be written, by the number of the error."""
    if code in (errno.EMFILE, errno.ENFILE):
        return "Let the process have more open files (ulimit -n)."
    if code == errno.ENOENT:
        return "Its folder was removed or moved: let it stay where it is, or choose another run_dir."
    return "Free the disk, or choose another run_dir."


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around writes at `path`: turns an OSError into a FileError that says where and why.

    Raises:
        RunFolderError: the run folder that this process opened was removed or replaced; nothing is made in its place.
    """
    require_held(path)
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise FileError(f"can't write {where}: {error.strerror}. {remedy(error.errno)}") from error


def write_atomically(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes a file so that `path` holds either its old content or all of the new, even if the machine stops.

    Ctrl-C and SIGTERM end a command behind it.

    Raises:
        FileError: the disk is full or the folder can't be written; no part of the new content is left.
        RunFolderError: the run folder that this process opened was removed or replaced.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    with finishing(), writing(path):
        try:
            with open(temporary, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as an .npz file, whole or not at all; raises FileError where it cannot be written."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Value]]:
    """Reads a metrics file's rows, bit for bit as they were written; none where there is no file.

    Raises:
        FileError: it can't be read, or is no table of numbers.
    """
    if not Path(path).exists():
        return []
    rows = csv.reader(io.StringIO(read_text(path)))
    try:
        names = next(rows, [])
        return [dict(zip(names, map(_number, row), strict=True)) for row in rows]
    except (ValueError, csv.Error) as error:
        raise FileError(f"{path} is no table of figures that vinnas_tf wrote ({error}).") from error


def write_metrics(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Value]]) -> None:
    """Writes a metrics file: a header from the first row's names, then one line a row, floats in full precision.

    The file is replaced as a whole, so a crash never leaves half a row; a value of None is an empty cell.

    Raises:
        ValueError: a row has other names than the first.
        FileError: the file can't be written.
    """
    names = list(rows[0]) if rows else []
    if any(list(row) != names for row in rows):
        raise ValueError(f"every row of {path} must have the columns {', '.join(names)}")
    lines = [",".join(names), *(",".join(_text(value) for value in row.values()) for row in rows)]
    write_atomically(path, "\n".join(lines) + "\n")


def _text(value: Any) -> str:  # NumPy's numbers too
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, numbers.Integral) else repr(float(value))


def _number(text: str) -> Value:
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)
