"""The proof of a file: what it answers to every test image, held against the stripped Keras network and a bar.

A file that misses its bar is told with what to try.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.picture import at_once
from vinnas_tf.errors import FileError, UserError, require
from vinnas_tf.export import flatbuffer
from vinnas_tf.export.measure import predict
from vinnas_tf.run.digest import files_of

_BATCH = 256


@dataclass(frozen=True)
class Bar:
    """What a file must reach against the stripped network: least share of equal answers, largest loss of accuracy."""

    agreement: float
    accuracy_drop: float


BARS = {
    "float32": Bar(0.999, 0.002),
    "float16": Bar(0.995, 0.002),
    "dynamic_int8": Bar(0.98, 0.01),
    "full_int8": Bar(0.98, 0.01),
}

# What to try where a file of that precision misses its bar.
_INSTEAD = {
    "float32": "its runtime computes otherwise than Keras, so use another file",
    "float16": "its weights need more than 16 bits, so use float32",
    "dynamic_int8": "its weights need more than 8 bits, so use float16",
    "full_int8": "its activations need more than 8 bits, so use dynamic_int8 or float16",
}
_UNDECIDED = 0.01  # Difference of an image's two largest probabilities below which an answer is a matter of rounding.
_RAW, _STEPS = ((1.0,), (0,)), ((1 / 256,), (0,))  # Scale and zero point of 8-bit inputs and outputs.


def reference_probabilities(network: keras.Model, images: ImageSet) -> np.ndarray:
    """Softmax of the network's logits, float32 [n, classes]."""
    size = at_once(_BATCH, images.image_shape)
    logits = [network.predict(block.astype(np.float32), batch_size=size, verbose=0) for block in images.blocks()]
    return np.asarray(keras.ops.softmax(np.concatenate(logits)))


def precision(path: Path) -> str:
    """Which bar holds for a TFLite or ONNX file, or the folder of a SavedModel.

    Raises:
        FileError: it is none of them, or a part of a TFLite file or a SavedModel only.
    """
    if path.is_dir():
        require(
            (path / "saved_model.pb").is_file(),
            f"{path} holds no saved_model.pb: give the version folder of a SavedModel, such as saved_model/1, or a "
            ".tflite or .onnx file.",
            FileError,
        )
        return "float32"
    if path.suffix == ".onnx":
        return "float32"
    return read_tflite(path).precision


def read_tflite(path: Path) -> flatbuffer.Model:
    """Reads a TFLite file; raises FileError where it is missing, none, or cut off."""
    try:
        return flatbuffer.parse(path.read_bytes())
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}.") from error
    except UserError as error:
        raise FileError(f"{path} can't be read ({error}): export it anew.") from error


def prove(path: Path, test: ImageSet, reference: np.ndarray | None) -> dict[str, Any]:
    """Figures of a file over all test images, run in a fresh process.

    Args:
        path: a TFLite or ONNX file, or the folder of a SavedModel.
        test: the test images.
        reference: probabilities [n, classes] of the stripped network; None where there is nothing to compare with.

    Returns:
        Figures by name. "failures" among them: one text for each part of the bar that the file misses; where there are
        any, "advice": the likely reason and what to try. "pixel_range" of a full int8 file: pixels beyond count as its
        ends.

    Raises:
        FileError: the file can't be run, or is of another image shape or other classes than the test images.
    """
    kind = precision(path)
    bar = BARS[kind]
    probabilities = np.concatenate([predict(path, block) for block in test.blocks()])
    classes = test.labels.max() + 1 if reference is None else reference.shape[1]
    require(
        probabilities.shape[1] == classes or (reference is None and probabilities.shape[1] > classes),
        f"{path} knows {probabilities.shape[1]} classes, and there are {classes} here: give the --dataset that its "
        "network was trained with.",
        FileError,
    )
    require(
        probabilities.max(initial=0, where=np.isfinite(probabilities)) > 0,
        f"{path} gives no probability to any class of any image: export it anew.",
        FileError,
    )
    answers = probabilities.argmax(axis=-1)
    accuracy = float((answers == test.labels).mean())
    figures: dict[str, Any] = {"images": len(test), "accuracy": accuracy, **size(path)}
    failures = [] if np.isfinite(probabilities).all() else ["some probabilities are not finite"]
    if not path.is_dir() and path.suffix != ".onnx":
        model = read_tflite(path)
        figures["sparse_tensors"] = [
            {"name": tensor.name, "shape": tensor.shape, "density": round(tensor.density, 4)}
            for tensor in model.constants
            if tensor.sparse
        ]
        if model.pixel_range is not None:
            figures["pixel_range"] = [round(end, 2) for end in model.pixel_range]
        if kind == "full_int8":
            failures += _misquantized(model)
    if reference is not None:
        agreement = float((answers == reference.argmax(axis=-1)).mean())
        drop = float((reference.argmax(axis=-1) == test.labels).mean()) - accuracy
        figures["agreement"] = agreement
        figures["largest_difference"] = float(np.abs(probabilities - reference).max())
        if agreement < bar.agreement:
            failures.append(f"top-1 agreement {agreement:.2%} is below {bar.agreement:.1%}")
        if drop > bar.accuracy_drop + 1e-12:  # A drop of 0.2 points exactly may come out a hair larger.
            failures.append(f"accuracy drops by {100 * drop:.2f} points, more than {100 * bar.accuracy_drop:.1f}")
    if failures:
        undecided = None if reference is None else _undecided(reference[answers != reference.argmax(axis=-1)])
        dense = "try it without sparse weights (sparse=False, --nosparse)"
        instead = dense if figures.get("sparse_tensors") else _INSTEAD[kind]
        figures["advice"] = undecided or instead
    return {**figures, "failures": failures}


def _misquantized(model: flatbuffer.Model) -> list[str]:
    """A text for each end of a full int8 file that is not a raw pixel, or not a probability in steps of 1/256."""
    ends = (("input", model.inputs[0], _RAW), ("output", model.outputs[0], _STEPS))
    return [
        f"its {end} has scale {tensor.scale} and zero point {tensor.zero_point} instead of {scale} and {zero_point}"
        for end, tensor, (scale, zero_point) in ends
        if (tensor.dtype, tensor.scale, tensor.zero_point) != ("uint8", scale, zero_point)
    ]


def _undecided(reference: np.ndarray) -> str | None:
    """A text where the network's probabilities of images with another answer, [n, classes], are mostly ties."""
    largest = np.sort(reference, axis=-1)
    ties = int((largest[:, -1] - largest[:, -2] < _UNDECIDED).sum())
    if 2 * ties <= len(reference):
        return None
    return (
        f"the Keras network itself is undecided on {ties} of the {len(reference)} images with another answer (two "
        f"classes within {_UNDECIDED}), so train it longer"
    )


def size(path: Path) -> dict[str, int]:
    """Bytes as they lie on the disk, and gzipped, file by file."""
    contents = [file.read_bytes() for file in files_of(path)]
    return {"bytes": sum(map(len, contents)), "gzip_bytes": sum(len(gzip.compress(c, mtime=0)) for c in contents)}
