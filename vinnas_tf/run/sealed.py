"""Arrays in a file that tells whether it is as it was written: an .npz that ends with the SHA-256 of the rest."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vinnas_tf.errors import FileError
from vinnas_tf.run.digest import sha256
from vinnas_tf.run.files import write_atomically

_DIGEST = len(sha256(b""))


def write_sealed(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays whole or not at all; raises FileError where they can't be written."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"0" * _DIGEST  # Its last bytes.
    content = buffer.getvalue()[:-_DIGEST]
    write_atomically(path, content + sha256(content).encode())


def read_sealed(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a sealed file, in their order; None where it was cut or changed.

    Raises:
        FileError: it can't be read, or was never one of these.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}.") from error
    if sha256(content[:-_DIGEST]).encode() != content[-_DIGEST:]:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # Zip, NumPy's format and compression each raise their own.
        raise FileError(f"{path} is sealed, and still holds no arrays ({error}): start anew with overwrite.") from error
