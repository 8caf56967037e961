"""The training of a found network: `python -m vinnas_tf.train`."""
