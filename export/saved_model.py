"""SavedModel with sparse storage: a kernel's file holds its non-zero values and one bit for each entry."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

SIGNATURES = {"serving_default": tf.float32, "serving_uint8": tf.uint8}
CLASS_NAMES = "class_names.txt"
# What the functions that rebuild one sparse kernel take in the file, about: below that nothing is saved.
_GRAPH_BYTES = 4096


class SparseKernel(tf.saved_model.experimental.TrackableResource):
    """A kernel that is stored sparse and read dense.

    The dense variable is made once, when the model is loaded: TensorFlow runs `_create_resource` and `_initialize`
    then, in Python and in its C++ loader alike. So a call costs what it costs with a dense kernel.

    Args:
        name: unique in the model.
        kernel: float32 of any shape.
    """

    def __init__(self, name: str, kernel: np.ndarray) -> None:
        super().__init__()
        # The loader keeps variables by name: that of another model's kernel must differ, in the same process too.
        self._name = f"{name}/{hashlib.sha256(kernel.tobytes()).hexdigest()}"
        self._shape = kernel.shape
        self._values = kernel[kernel != 0]
        self._bitmap = np.packbits(kernel.ravel() != 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the dense kernel."""
        return self._shape

    @property
    def stored_bytes(self) -> int:
        """Bytes of the values and of the bitmap."""
        return self._values.nbytes + self._bitmap.nbytes

    def read_value(self) -> tf.Tensor:
        """The dense kernel, float32."""
        value = tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=tf.float32)
        return tf.ensure_shape(value, self._shape)

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=self._shape, shared_name=self._name)

    def _initialize(self) -> None:
        shifts = tf.constant([7, 6, 5, 4, 3, 2, 1, 0], tf.uint8)
        bits = tf.bitwise.right_shift(tf.constant(self._bitmap)[:, None], shifts) & 1
        positions = tf.where(tf.reshape(bits, [-1]))
        size = int(np.prod(self._shape))
        kernel = tf.reshape(tf.scatter_nd(positions, tf.constant(self._values), [size]), self._shape)
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=kernel)


class Written(NamedTuple):
    """Weights of a written model: the bytes they take in it, and those that its float32 weights would take dense."""

    weight_bytes: int
    dense_weight_bytes: int


def write_saved_model(
    network: keras.Model, folder: Path, *, class_names: tuple[str, ...], manifest: Path, sparse: bool = True
) -> Written:
    """Writes a SavedModel that classifies raw images.

    Its signatures take a batch `image` [n, h, w, c] of pixels in 0..255, float32 (`serving_default`) or uint8
    (`serving_uint8`), and return `probabilities`, float32 [n, classes], and `label_id`, int32 [n]. Its assets are the
    class names, one a line, and the manifest.

    Args:
        network: from float32 images in 0..255 to logits.
        folder: the version folder to write; the folder that it lies in must exist.
        class_names: in the order of the logits.
        manifest: file to add to the assets.
        sparse: store sparse what is smaller so; False stores every weight dense.
    """
    module = tf.Module()
    weights = {id(weight): _store(weight, sparse) for weight in network.weights}
    module.weights = [weight for weight in weights.values() if not isinstance(weight, np.ndarray)]
    labels = manifest.with_name(CLASS_NAMES)
    labels.write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
    module.assets = [tf.saved_model.Asset(str(labels)), tf.saved_model.Asset(str(manifest))]

    @tf.function
    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits, _ = network.stateless_call(
            [_read(weights[id(weight)]) for weight in network.trainable_variables],
            [_read(weights[id(weight)]) for weight in network.non_trainable_variables],
            image,
            training=False,
        )
        label_id = tf.argmax(logits, axis=-1, output_type=tf.int32, name="label_id")
        return {"probabilities": tf.nn.softmax(logits), "label_id": label_id}

    @tf.function
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return classify(tf.cast(image, tf.float32))

    shape = (None, *network.input.shape[1:])
    signatures = {
        name: serve.get_concrete_function(tf.TensorSpec(shape, dtype, name="image"))
        for name, dtype in SIGNATURES.items()
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    dense_bytes = sum(4 * int(np.prod(weight.shape)) for weight in network.weights)
    saved = [4 * np.prod(w.shape) - w.stored_bytes for w in weights.values() if isinstance(w, SparseKernel)]
    return Written(dense_bytes - int(sum(saved)), dense_bytes)


def _store(weight: keras.Variable, sparse: bool) -> Any:
    """A sparse kernel or, where that takes more, a constant; a variable, the usual way, where all is to be dense."""
    value = np.asarray(weight, np.float32)
    if not sparse:
        return tf.Variable(value, trainable=False, name=weight.path.replace("/", "_"))
    kernel = SparseKernel(weight.path, value)
    return kernel if kernel.stored_bytes + _GRAPH_BYTES < value.nbytes else value


def _read(weight: Any) -> tf.Tensor:
    return tf.constant(weight) if isinstance(weight, np.ndarray) else weight.read_value()
