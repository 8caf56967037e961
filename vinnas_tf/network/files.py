"""Networks as files."""

import tempfile
from pathlib import Path

import keras

from vinnas_tf.run.digest import sha256
from vinnas_tf.run.files import write_atomically


def save_network(model: keras.Model, path: Path) -> str:
    """Writes a .keras file whole or not at all, and returns its SHA-256; raises FileError where it can't be written."""
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / path.name)
        content = (Path(folder) / path.name).read_bytes()
    write_atomically(path, content)
    return sha256(content)
