"""The search of an architecture: `python -m vinnas_tf.search`."""
