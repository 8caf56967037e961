"""What the export writes for each word of `formats`: the files, and the baselines that they are timed against."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vinnas_tf.export import flatbuffer, interface, onnx
from vinnas_tf.export.measure import predict
from vinnas_tf.export.saved_model import SIGNATURES, write_saved_model
from vinnas_tf.export.source import Source
from vinnas_tf.export.tflite import PRECISIONS, convert

LABELS = f"tflite/{interface.LABELS}"
# Where the sparse encoding is tried. Not in 8 bits: there sparse linear layers fail or answer wrongly.
_SPARSE = ("float32", "float16")
_CHECKED_IMAGES = 64
_SPARSE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Task:
    """What is written, and where to.

    Attributes:
        source: the trained network.
        images: uint8 [n, h, w, c] training images.
        sparse: store weights sparse where that is smaller.
        folder: the export folder.
        scratch: folder for what is not kept.
    """

    source: Source
    images: np.ndarray
    sparse: bool
    folder: Path
    scratch: Path


@dataclass(frozen=True)
class Written:
    """A file that was written.

    Attributes:
        name: its path in the export folder, or the name of a baseline.
        path: where it lies.
        entry: what the manifest says of it; None for a baseline, which is timed beside the others and not kept.
    """

    name: str
    path: Path
    entry: dict[str, Any] | None = None


def write_saved_models(task: Task) -> Iterator[Written]:
    """Writes `saved_model/1`; its baselines store every weight dense, of the stripped and of the unpruned network."""
    source = task.source
    shared: dict[str, Any] = {"class_names": source.class_names, "manifest": task.scratch / "manifest.json"}
    sizes = {}
    baselines = {"saved_model/dense": source.network}
    if source.unpruned is not None:
        baselines["saved_model/unpruned"] = source.unpruned
    for number, (name, network) in enumerate(baselines.items()):
        path = task.scratch / f"dense_{number}"
        sizes[name] = write_saved_model(network, path, **shared, sparse=False).weight_bytes
        yield Written(name, path)
    (task.folder / "saved_model").mkdir()
    path = task.folder / "saved_model" / "1"
    written = write_saved_model(source.network, path, **shared, sparse=task.sparse)
    inputs, outputs = _described_batch(source)
    entry = {
        "format": "SavedModel",
        "signatures": {
            name: {"inputs": {"image": {**inputs["image"], "dtype": dtype.name}}, "outputs": outputs}
            for name, dtype in SIGNATURES.items()
        },
        "labels": f"saved_model/1/assets/{interface.CLASS_NAMES}",
        "weight_bytes": written.weight_bytes,
        "weight_bytes_of": sizes,
    }
    yield Written("saved_model/1", path, entry)


def write_tflite_files(task: Task) -> Iterator[Written]:
    """Writes `tflite/PRECISION.tflite` and the labels; the baseline is the unpruned network in float32."""
    source = task.source
    (task.folder / "tflite").mkdir()
    (task.folder / LABELS).write_text("".join(f"{name}\n" for name in source.class_names), encoding="utf-8")
    for precision in PRECISIONS:
        name = f"tflite/{precision}.tflite"
        content = smallest(task, precision)
        (task.folder / name).write_bytes(content)
        model = flatbuffer.parse(content)
        entry = {
            "format": "TFLite",
            "precision": precision,
            "inputs": [{**_describe(model.inputs[0]), "range": [0, 255]}],
            "outputs": [_describe(model.outputs[0])],
            "labels": LABELS,
        }
        yield Written(name, task.folder / name, entry)
    if source.unpruned is not None:
        path = task.scratch / "unpruned.tflite"
        path.write_bytes(convert(source.unpruned, "float32", task.images, sparse=False))
        yield Written("tflite/unpruned", path)


def write_onnx_file(task: Task) -> Iterator[Written]:
    """Writes `onnx/model.onnx`."""
    name = "onnx/model.onnx"
    path = task.folder / name
    path.parent.mkdir()
    path.write_bytes(onnx.convert(task.source.network, task.source.class_names))
    inputs, outputs = _described_batch(task.source)
    labels = "metadata_props.class_names"
    yield Written(name, path, {"format": "ONNX", "inputs": inputs, "outputs": outputs, "labels": labels})


class Format(NamedTuple):
    """A word of the setting `formats`.

    Attributes:
        write: writes its files one by one.
        files: how many those are, baselines among them, but for `unpruned`.
        unpruned: whether the network before pruning is written too, where there is one.
    """

    write: Callable[[Task], Iterator[Written]]
    files: int
    unpruned: bool


FORMATS = {
    "saved_model": Format(write_saved_models, 2, True),
    "tflite": Format(write_tflite_files, len(PRECISIONS), True),
    "onnx": Format(write_onnx_file, 1, False),
}


def count_steps(source: Source, formats: Sequence[str]) -> int:
    """How many steps an export has: a file written, or the files of a format timed."""
    chosen = [FORMATS[name] for name in formats]
    return sum(one.files + (one.unpruned and source.unpruned is not None) + 1 for one in chosen)


def smallest(task: Task, precision: str) -> bytes:
    """The file with dense tensors, or the one with sparse tensors where that is smaller and answers alike."""
    dense = convert(task.source.network, precision, task.images, sparse=False)
    if precision not in _SPARSE or not task.sparse:
        return dense
    sparse = convert(task.source.network, precision, task.images, sparse=True)
    if len(sparse) >= len(dense):
        return dense
    answers = []
    for name, content in (("dense", dense), ("sparse", sparse)):
        path = task.scratch / f"{name}.tflite"
        path.write_bytes(content)
        answers.append(predict(path, task.images[:_CHECKED_IMAGES]))
    return sparse if np.abs(answers[0] - answers[1]).max() <= _SPARSE_TOLERANCE else dense  # NaN is no number to keep.


def _described_batch(source: Source) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs of a file that takes a batch, as the manifest has them."""
    inputs = {"image": {"dtype": "float32", "shape": [None, *source.image_shape], "range": [0, 255]}}
    outputs = {
        "probabilities": {"dtype": "float32", "shape": [None, len(source.class_names)]},
        "label_id": {"dtype": "int32", "shape": [None]},
    }
    return inputs, outputs


def _describe(tensor: flatbuffer.Tensor) -> dict[str, Any]:
    """A tensor of the signature as the manifest has it."""
    described: dict[str, Any] = {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
    if tensor.scale:
        described["quantization"] = {"scale": tensor.scale[0], "zero_point": tensor.zero_point[0]}
    return described
