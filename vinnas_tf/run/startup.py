"""Importing this makes the process ready for a command, whatever it was started in; a command imports it first.

Every command ends with the same result in a notebook, under cron, or on a machine that is set up for another project:
standard streams are there and take any text, Keras and Matplotlib have their own defaults, and a library's warning ends
nothing. Processes that the command starts inherit all that. Library modules don't import this, so that who imports them
keeps the environment.
"""

import os
import resource
import sys
import warnings

from vinnas_tf.run.stderr import held_back
from vinnas_tf.run.streams import open_standard_streams

# Keras looks for its configuration file in this folder, and finds nothing.
_SET = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": os.devnull, "MPLBACKEND": "agg"}
# The first two cut a training short without a word.
_UNSET = (
    "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED", "PYTHONWARNINGS", "TF_USE_LEGACY_KERAS",
)  # fmt: skip
# What the smallest search takes on two cores, and some more: below it TensorFlow aborts, or imports fail.
_LEAST = {
    resource.RLIMIT_AS: (3 * 2**30, 2**30, "GiB of address space", "ulimit -v"),
    resource.RLIMIT_NOFILE: (64, 1, "open files", "ulimit -n"),
}


def _require_limits() -> None:
    """Ends the process with one line where the shell allows it too little."""
    for kind, (least, unit, what, name) in _LEAST.items():
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY and limit < least:
            needed = f"{what}, and a command needs {least // unit}: let it have more."
            print(f"error: {name} allows {limit / unit:.3g} {needed}", file=sys.stderr)
            sys.exit(2)


def _ignore_what_python_ignores() -> None:
    """Python's own filters of warnings, instead of those of -W and PYTHONWARNINGS."""
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", module="PIL")  # Of remarks in a picture's file that do not matter to its pixels.


open_standard_streams()
_require_limits()
_ignore_what_python_ignores()
os.environ.update(_SET)
# TensorFlow's remarks about oneDNN and missing GPUs are not for the people who run a command; what goes wrong later
# still surfaces as an exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
for name in _UNSET:
    os.environ.pop(name, None)

# TensorFlow tells of oneDNN and of missing GPUs before any setting of its log level takes effect, so that a person who
# mistyped a flag would have to find the line that matters among them. Should an import fail, all of it is shown.
with held_back():
    import keras  # noqa: F401
    import matplotlib.font_manager  # Tells of a cache folder that can't be written.
    import tensorflow as tf  # noqa: F401

    matplotlib.rcdefaults()  # A matplotlibrc may ask for LaTeX, or for other sizes.
