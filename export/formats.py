"""What the export writes for each word of --formats: the files, and the baselines that they are timed against."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vinnas_tf.export import flatbuffer
from vinnas_tf.export.measure import predict
from vinnas_tf.export.saved_model import CLASS_NAMES, SIGNATURES, write_saved_model
from vinnas_tf.export.source import Source
from vinnas_tf.export.tflite import PRECISIONS, convert

LABELS = "tflite/labels.txt"
# Where the sparse encoding is tried. Not in 8 bits: there sparse linear layers fail or answer wrongly.
_SPARSE = ("float32", "float16")
_CHECKED_IMAGES = 64
_SPARSE_TOLERANCE = 1e-3


@dataclass
class Family:
    """Files of one runtime.

    Attributes:
        files: by path in the export folder, what the manifest says of the file.
        baselines: by name, files to be timed beside them; they are not kept.
    """

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    baselines: dict[str, Path] = field(default_factory=dict)


def write_saved_models(source: Source, images: np.ndarray, folder: Path, scratch: Path) -> Family:
    """Writes `saved_model/1`; its baselines store every weight dense, of the stripped and of the unpruned network."""
    manifest = scratch / "manifest.json"
    (folder / "saved_model").mkdir()
    shared = {"class_names": source.class_names, "manifest": manifest}
    written = write_saved_model(source.network, folder / "saved_model" / "1", **shared)
    baselines = {"saved_model/dense": source.network, "saved_model/unpruned": source.unpruned}
    family = Family()
    sizes = {}
    for number, (name, network) in enumerate(baselines.items()):
        family.baselines[name] = scratch / f"dense_{number}"
        sizes[name] = write_saved_model(network, family.baselines[name], **shared, sparse=False).weight_bytes
    batch = [None, *source.image_shape]
    family.files["saved_model/1"] = {
        "format": "SavedModel",
        "signatures": {
            name: {
                "inputs": {"image": {"dtype": dtype.name, "shape": batch, "range": [0, 255]}},
                "outputs": {
                    "probabilities": {"dtype": "float32", "shape": [None, len(source.class_names)]},
                    "label_id": {"dtype": "int32", "shape": [None]},
                },
            }
            for name, dtype in SIGNATURES.items()
        },
        "labels": f"saved_model/1/assets/{CLASS_NAMES}",
        "weight_bytes": written.weight_bytes,
        "weight_bytes_of": sizes,
    }
    return family


def write_tflite_files(source: Source, images: np.ndarray, folder: Path, scratch: Path) -> Family:
    """Writes `tflite/PRECISION.tflite` and the labels; the baseline is the unpruned network in float32."""
    (folder / "tflite").mkdir()
    (folder / LABELS).write_text("".join(f"{name}\n" for name in source.class_names), encoding="utf-8")
    family = Family()
    for precision in PRECISIONS:
        content = _smallest(source.network, precision, images, scratch)
        (folder / "tflite" / f"{precision}.tflite").write_bytes(content)
        model = flatbuffer.parse(content)
        family.files[f"tflite/{precision}.tflite"] = {
            "format": "TFLite",
            "precision": precision,
            "inputs": [{**_describe(model.inputs[0]), "range": [0, 255]}],
            "outputs": [_describe(model.outputs[0])],
            "labels": LABELS,
        }
    family.baselines["tflite/unpruned"] = scratch / "unpruned.tflite"
    family.baselines["tflite/unpruned"].write_bytes(convert(source.unpruned, "float32", images, sparse=False))
    return family


FORMATS: dict[str, Callable[[Source, np.ndarray, Path, Path], Family]] = {
    "saved_model": write_saved_models,
    "tflite": write_tflite_files,
}


def _smallest(network: keras.Model, precision: str, images: np.ndarray, scratch: Path) -> bytes:
    """The file with dense tensors, or the one with sparse tensors where that is smaller and answers alike."""
    dense = convert(network, precision, images, sparse=False)
    if precision not in _SPARSE:
        return dense
    sparse = convert(network, precision, images, sparse=True)
    if len(sparse) >= len(dense):
        return dense
    answers = []
    for name, content in (("dense", dense), ("sparse", sparse)):
        path = scratch / f"{name}.tflite"
        path.write_bytes(content)
        answers.append(predict(path, images[:_CHECKED_IMAGES]))
    return sparse if np.abs(answers[0] - answers[1]).max() <= _SPARSE_TOLERANCE else dense  # NaN is no number to keep.


def _describe(tensor: flatbuffer.Tensor) -> dict[str, Any]:
    """A tensor of the signature as the manifest has it."""
    described: dict[str, Any] = {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
    if tensor.scale:
        described["quantization"] = {"scale": tensor.scale[0], "zero_point": tensor.zero_point[0]}
    return described
