"""Variational-inference neural architecture search for Keras 3 and TensorFlow."""

import os
from pathlib import Path

__version__ = "0.1.0"

# TensorFlow's start-up remarks about oneDNN and missing GPUs are not for the people who run a command;
# what goes wrong later still surfaces as an exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# In a bare checkout `flags/` and `export/` lie beside this package; an installed wheel holds them inside it.
_ROOT = Path(__file__).resolve().parent.parent
if not (Path(__file__).resolve().parent / "flags").is_dir() and (_ROOT / "flags").is_dir():
    __path__.append(str(_ROOT))
