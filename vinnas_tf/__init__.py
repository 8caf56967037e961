"""Variational-inference neural architecture search for Keras 3 and TensorFlow."""

from pathlib import Path

__version__ = "0.1.0"

# In a bare checkout `flags/` and `export/` lie beside this package; an installed wheel holds them inside it.
_ROOT = Path(__file__).resolve().parent.parent
if not (Path(__file__).resolve().parent / "flags").is_dir() and (_ROOT / "flags").is_dir():
    __path__.append(str(_ROOT))
