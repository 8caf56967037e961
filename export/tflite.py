"""TFLite files of one network in four precisions, with weights encoded sparse where that is correct and smaller."""

import itertools
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.export import flatbuffer
from vinnas_tf.run.stderr import held_back

PRECISIONS = ("float32", "float16", "dynamic_int8", "full_int8")


def convert(network: keras.Model, precision: str, images: np.ndarray, *, sparse: bool) -> bytes:
    """A TFLite file that classifies one raw image.

    Input `image` [1, h, w, c], pixels in 0..255: float32, or uint8 for "full_int8". Output: probabilities [1, classes],
    float32, or uint8 in steps of 1/256 for "full_int8". The batch is fixed, for with a free one the converter splits a
    dilated depthwise convolution into several operations.

    Args:
        network: from float32 images in 0..255 to logits.
        precision: of PRECISIONS. "dynamic_int8" has 8-bit weights and float activations, "full_int8" both in 8 bits.
        images: uint8 [n, h, w, c] training images, from which "full_int8" takes the range of each activation.
        sparse: encode tensors sparse.
    """
    renamed = _with_short_names(network)
    # Constants: of variables that it is handed, the converter leaves some as resources.
    trainable = [np.asarray(weight) for weight in network.trainable_variables]
    others = [np.asarray(weight) for weight in network.non_trainable_variables]

    @tf.function(
        input_signature=[tf.TensorSpec((1, *network.input.shape[1:]), tf.float32, name="image")], autograph=False
    )
    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits, _ = renamed.stateless_call(
            [tf.constant(weight) for weight in trainable], [tf.constant(weight) for weight in others], image
        )
        return {"probabilities": tf.nn.softmax(logits)}

    module = tf.Module()  # With it the file gets a signature, which names its input and output.
    module.classify = classify
    converter = tf.lite.TFLiteConverter.from_concrete_functions([classify.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY] if sparse else []
    if precision != "float32":
        converter.optimizations.append(tf.lite.Optimize.DEFAULT)
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "full_int8":

        def representative() -> Iterator[list[np.ndarray]]:
            for one in images:
                yield [one[None].astype(np.float32)]

        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    with held_back():  # The converter tells of its settings there.
        content = converter.convert()
    return flatbuffer.with_raw_input(content) if precision == "full_int8" else content


def _with_short_names(network: keras.Model) -> keras.Model:
    """The network, its weights left out, with numbers for names: the file holds the names of layers several times over.

    They were a third of the float32 file of a network with 19,000 weights of which a tenth is not zero.
    """
    numbers = itertools.count()

    def rename(layer: keras.layers.Layer) -> keras.layers.Layer:
        return type(layer).from_config({**layer.get_config(), "name": str(next(numbers))})

    return keras.models.clone_model(network, clone_function=rename)
