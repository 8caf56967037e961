"""What tells a file, a folder or a record from any other: its SHA-256."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from vinnas_tf.errors import FileError


def sha256(content: bytes | str) -> str:
    """SHA-256 of bytes, or of a text in UTF-8, as hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def sha256_of_json(content: Any) -> str:
    """SHA-256 of what a JSON file holds, however it is laid out; the order of keys does not count."""
    return sha256(json.dumps(content, sort_keys=True))


def sha256_of(path: str | os.PathLike[str]) -> str:
    r"""SHA-256 of a file; of a folder, that of its listing as `sha256sum` prints it, sorted by path.

    In a shell: find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum | sha256sum

    Raises:
        FileError: a file can't be read.
    """
    path = Path(path)
    if path.is_dir():
        return sha256("".join(f"{sha256_of(file)}  {file.relative_to(path).as_posix()}\n" for file in files_of(path)))
    try:
        return sha256(path.read_bytes())
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}.") from error


def files_of(path: Path) -> list[Path]:
    """The file itself, or all files of a folder, sorted by path."""
    if not path.is_dir():
        return [path]
    return sorted((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.as_posix())
