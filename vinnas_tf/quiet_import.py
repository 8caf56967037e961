"""Importing this imports TensorFlow and Keras with what they write to stderr held back, for the commands' sake.

TensorFlow tells of oneDNN and of missing GPUs before any setting of its log level takes effect, so that a person who
mistyped a flag would have to find the line that matters among them. Should the import fail, all of it is shown.
"""

import os
import sys
import tempfile

_stderr = os.dup(2)
with tempfile.TemporaryFile() as held:
    os.dup2(held.fileno(), 2)
    try:
        import keras  # noqa: F401
        import tensorflow as tf  # noqa: F401
    except BaseException:
        os.dup2(_stderr, 2)
        held.seek(0)
        sys.stderr.write(held.read().decode(errors="replace"))
        raise
    finally:
        os.dup2(_stderr, 2)
        os.close(_stderr)
