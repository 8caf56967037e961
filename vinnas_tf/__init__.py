"""Variational-inference neural architecture search for Keras 3 and TensorFlow."""

import os
from pathlib import Path

__version__ = "0.1.0"

# TensorFlow's start-up remarks about oneDNN and missing GPUs are not for the people who run a command;
# what goes wrong later still surfaces as an exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# XLA, which draws the noise, leaves the upper half of a processor's 512-bit registers unused unless it is told to; the
# convolutions of oneDNN use all of them anyway. Where there are none this changes nothing, nor any value that is drawn.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_prefer_vector_width=512")

# A file system without symbolic links holds a small file in the place of each.
for _link in ("flags", "export"):
    if not (Path(__file__).resolve().parent / _link).is_dir():
        raise ImportError(
            f"vinnas_tf/{_link} must be a symbolic link to ../{_link} and is none here: check out where links are "
            "allowed (git config core.symlinks true), or install the wheel.",
            name=__name__,
        )
