"""SavedModel with sparse storage: the file holds the weights that are not zero, and one bit for each weight."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.export.interface import CLASS_NAMES

SIGNATURES = {"serving_default": tf.float32, "serving_uint8": tf.uint8}
# What the graph grows by for a weight that is stored sparse, about: below it nothing is saved.
_GRAPH_BYTES = 256


class SparseWeights(tf.saved_model.experimental.TrackableResource):
    """Weights that are stored sparse and read dense.

    They are made dense once, when the model is loaded, in one variable: TensorFlow runs `_create_resource` and
    `_initialize` then, in Python and in its C++ loader alike. A call cuts that variable in pieces.

    Args:
        weights: float32, of any shapes.
    """

    def __init__(self, weights: Sequence[np.ndarray]) -> None:
        super().__init__()
        flat = np.concatenate([weight.ravel() for weight in weights])
        self._shapes = [weight.shape for weight in weights]
        self._size = flat.size
        self._values = flat[flat != 0]
        self._bitmap = np.packbits(flat != 0)
        # The loader keeps variables by name: that of another model in the same process must differ.
        self._name = f"weights_{hashlib.sha256(flat.tobytes()).hexdigest()}"

    @property
    def stored_bytes(self) -> int:
        """Bytes of the values and of the bitmap."""
        return self._values.nbytes + self._bitmap.nbytes

    def read(self) -> list[tf.Tensor]:
        """The dense weights, float32."""
        flat = tf.raw_ops.ReadVariableOp(resource=self.resource_handle, dtype=tf.float32)
        sizes = [int(np.prod(shape)) for shape in self._shapes]
        pieces = tf.split(tf.ensure_shape(flat, [self._size]), sizes)
        return [tf.reshape(piece, shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def _create_resource(self) -> tf.Tensor:
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[self._size], shared_name=self._name)

    def _initialize(self) -> None:
        shifts = tf.constant([7, 6, 5, 4, 3, 2, 1, 0], tf.uint8)
        bits = tf.bitwise.right_shift(tf.constant(self._bitmap)[:, None], shifts) & 1
        positions = tf.where(tf.reshape(bits, [-1]))
        flat = tf.scatter_nd(positions, tf.constant(self._values), [self._size])
        tf.raw_ops.AssignVariableOp(resource=self.resource_handle, value=flat)


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
    class names, one a line, and the manifest. Images of another shape are an error at run time.

    Args:
        network: from float32 images in 0..255 to logits.
        folder: the version folder to write; the folder that it lies in must exist.
        class_names: in the order of the logits.
        manifest: file to add to the assets.
        sparse: store sparse what is smaller so; False makes every weight a variable, as is usual.
    """
    module = tf.Module()
    values = {id(weight): np.asarray(weight, np.float32) for weight in network.weights}
    chosen = [key for key, value in values.items() if sparse and _saved_bytes(value) > _GRAPH_BYTES]
    module.sparse = SparseWeights([values[key] for key in chosen]) if chosen else None
    module.dense = [] if sparse else [tf.Variable(value, trainable=False) for value in values.values()]
    labels = manifest.with_name(CLASS_NAMES)
    labels.write_text("".join(f"{name}\n" for name in class_names), encoding="utf-8")
    module.assets = [tf.saved_model.Asset(str(labels)), tf.saved_model.Asset(str(manifest))]

    @tf.function(autograph=False)
    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        if sparse:
            weights = {key: tf.constant(value) for key, value in values.items() if key not in chosen}
            weights.update(zip(chosen, module.sparse.read() if chosen else [], strict=True))
        else:
            weights = {key: variable.read_value() for key, variable in zip(values, module.dense, strict=True)}
        logits, _ = network.stateless_call(
            [weights[id(weight)] for weight in network.trainable_variables],
            [weights[id(weight)] for weight in network.non_trainable_variables],
            image,
            training=False,
        )
        label_id = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return {"probabilities": tf.nn.softmax(logits), "label_id": label_id}

    @tf.function(autograph=False)
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        # A loader does not hold what is fed against the signature: a network that pools over the whole image would
        # answer for images of another size too, and wrongly.
        return classify(tf.cast(tf.ensure_shape(image, shape), tf.float32))

    shape = (None, *network.input.shape[1:])
    signatures = {
        name: serve.get_concrete_function(tf.TensorSpec(shape, dtype, name="image"))
        for name, dtype in SIGNATURES.items()
    }
    tf.saved_model.save(module, str(folder), signatures=signatures)
    dense_bytes = sum(value.nbytes for value in values.values())
    stored_dense = sum(value.nbytes for key, value in values.items() if key not in chosen)
    return Written(stored_dense + (module.sparse.stored_bytes if chosen else 0), dense_bytes)


def _saved_bytes(weight: np.ndarray) -> float:
    """What sparse storage of a weight takes less than dense storage."""
    return weight.nbytes - np.count_nonzero(weight) * weight.itemsize - weight.size / 8
