"""What tells an exported file or folder from any other."""

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    r"""SHA-256 of a file; of a folder, that of its listing as `sha256sum` prints it, sorted by path.

    In a shell: find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum | sha256sum
    """
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    listing = [f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files_of(path)]
    return hashlib.sha256("".join(listing).encode()).hexdigest()


def files_of(path: Path) -> list[Path]:
    """The file itself, or all files of a folder, sorted by path."""
    if not path.is_dir():
        return [path]
    return sorted((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.as_posix())
