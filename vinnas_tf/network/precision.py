"""The precision that a network computes in."""

import keras

from vinnas_tf.config import FLOAT32


def in_precision(network: keras.Model, precision: str) -> keras.Model:
    """A copy of a Functional network, with its weights, whose layers compute in a precision.

    Variables are float32, and so is what the last layers compute: the logits.

    Args:
        network: of layers that are called once.
        precision: one of config.PRECISIONS.
    """
    last = {id(tensor) for tensor in network.outputs}

    def with_policy(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if "dtype" in config:
            config["dtype"] = FLOAT32 if id(layer.output) in last else precision
        return type(layer).from_config(config)

    copy = keras.models.clone_model(network, clone_function=with_policy)
    copy.set_weights(network.get_weights())
    return copy
