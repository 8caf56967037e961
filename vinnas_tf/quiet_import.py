"""Importing this imports TensorFlow and Keras with what they write to stderr held back, for the commands' sake.

TensorFlow tells of oneDNN and of missing GPUs before any setting of its log level takes effect, so that a person who
mistyped a flag would have to find the line that matters among them. Should the import fail, all of it is shown.
"""

from vinnas_tf.stderr import held_back

with held_back():
    import keras  # noqa: F401
    import tensorflow as tf  # noqa: F401
