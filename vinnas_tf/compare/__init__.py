"""The comparison of methods over seeds: `python -m vinnas_tf.compare`."""
