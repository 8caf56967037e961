"""SavedModel and TFLite files of a trained network, and the proof that they work. Imported as `vinnas_tf.export`."""
