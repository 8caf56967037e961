"""An ONNX file of a network, for onnxruntime and what else reads that format. Needs the optional extra `onnx`."""

import importlib.util
import json
from typing import Any

import keras
import tensorflow as tf

from vinnas_tf.errors import FileError, require
from vinnas_tf.export.runtime import INSTALL_ONNX
from vinnas_tf.kernels.private import with_constants
from vinnas_tf.run.stderr import held_back


def require_onnx() -> None:
    """Raises FileError where a package that ONNX files need is not installed."""
    missing = [name for name in ("tf2onnx", "onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    require(not missing, f"formats=onnx needs {', '.join(missing)}: {INSTALL_ONNX}.", FileError)


def convert(network: keras.Model, class_names: tuple[str, ...]) -> bytes:
    """An ONNX file that classifies raw images; the same bytes each time.

    Input `image`, float32 [n, h, w, c], pixels in 0..255. Outputs `probabilities`, float32 [n, classes], and
    `label_id`, int32 [n]. The metadata `class_names` is a JSON list, in the order of the probabilities.

    Args:
        network: from float32 images in 0..255 to logits.
        class_names: in the order of the logits.
    """
    import tf2onnx

    signature = [tf.TensorSpec((None, *network.input.shape[1:]), tf.float32, name="image")]

    @tf.function(input_signature=signature, autograph=False)
    def run(image: tf.Tensor) -> tf.Tensor:
        return network(image, training=False)

    # Constants first: tensors that a function captures, as a normalisation's means, would be inputs of the file.
    frozen = with_constants(run.get_concrete_function())

    @tf.function(input_signature=signature, autograph=False)
    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        (logits,) = frozen(image)
        return {
            "probabilities": tf.nn.softmax(logits),
            "label_id": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }

    with held_back():  # The converter tells of its steps there.
        model, _ = tf2onnx.convert.from_function(classify, input_signature=signature)
    _number(model.graph)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "n"
    model.metadata_props.add(key="class_names", value=json.dumps(class_names))
    model.doc_string = "Classifies raw images: pixels in 0..255, normalisation inside."
    return model.SerializeToString(deterministic=True)


def _number(graph: Any) -> None:
    """Numbers nodes and tensors by their place: the converter's names and its order of constants differ each time."""
    names = {tensor.name: tensor.name for tensor in (*graph.input, *graph.output)}
    names[""] = ""  # An optional input that is left out.
    graph.name, graph.doc_string = "vinnas", ""
    for place, node in enumerate(graph.node):
        node.name = str(place)
        for ends in (node.input, node.output):
            ends[:] = [names.setdefault(name, str(len(names))) for name in ends]
    for constant in graph.initializer:
        constant.name = names[constant.name]
    graph.initializer.sort(key=lambda constant: int(constant.name))
    del graph.value_info[:]  # Shapes of tensors under their old names.
