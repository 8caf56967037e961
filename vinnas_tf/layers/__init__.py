"""Keras layers of the supergraph and of found networks."""
