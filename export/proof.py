"""The proof of a file: what it answers to every test image, held against the stripped Keras network and a bar."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vinnas_tf.config import ConfigError, require
from vinnas_tf.data import ImageSet
from vinnas_tf.export import flatbuffer
from vinnas_tf.export.measure import predict

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


def reference_probabilities(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Softmax of the network's logits, float32 [n, classes], for uint8 images [n, h, w, c]."""
    logits = network.predict(images.astype(np.float32), batch_size=_BATCH, verbose=0)
    return np.asarray(keras.ops.softmax(logits))


def precision(path: Path) -> str:
    """Which bar holds for a TFLite file or the folder of a SavedModel.

    Raises:
        ConfigError: it is neither, or a part of one only.
    """
    if path.is_dir():
        require(
            (path / "saved_model.pb").is_file(),
            f"{path} holds no saved_model.pb: give the version folder of a SavedModel, such as saved_model/1, or a "
            ".tflite file.",
        )
        return "float32"
    return read_tflite(path).precision


def read_tflite(path: Path) -> flatbuffer.Model:
    """Reads a TFLite file; raises ConfigError where it is missing, none, or cut off."""
    try:
        return flatbuffer.parse(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}.") from error
    except ConfigError as error:
        raise ConfigError(f"{path} can't be read ({error}): export it anew.") from error


def prove(path: Path, test: ImageSet, reference: np.ndarray | None) -> dict[str, Any]:
    """Figures of a file over all test images, run in a fresh process.

    Args:
        path: a TFLite file, or the folder of a SavedModel.
        test: the test images.
        reference: probabilities [n, classes] of the stripped network; None where there is nothing to compare with.

    Returns:
        Figures by name, "failures" among them: one text for each part of the bar that the file misses.

    Raises:
        ConfigError: the file can't be run.
    """
    bar = BARS[precision(path)]
    probabilities = predict(path, test.images)
    require(
        probabilities.max(initial=0, where=np.isfinite(probabilities)) > 0,
        f"{path} gives no probability to any class of any image: export it anew.",
    )
    answers = probabilities.argmax(axis=-1)
    accuracy = float((answers == test.labels).mean())
    figures: dict[str, Any] = {"images": len(test), "accuracy": accuracy, **size(path)}
    if not path.is_dir():
        figures["sparse_tensors"] = [
            {"name": tensor.name, "shape": tensor.shape, "density": round(tensor.density, 4)}
            for tensor in read_tflite(path).constants
            if tensor.sparse
        ]
    failures = [] if np.isfinite(probabilities).all() else ["some probabilities are not finite"]
    if reference is not None:
        agreement = float((answers == reference.argmax(axis=-1)).mean())
        drop = float((reference.argmax(axis=-1) == test.labels).mean()) - accuracy
        figures["agreement"] = agreement
        figures["largest_difference"] = float(np.abs(probabilities - reference).max())
        if agreement < bar.agreement:
            failures.append(f"top-1 agreement {agreement:.2%} is below {bar.agreement:.1%}")
        if drop > bar.accuracy_drop + 1e-12:  # A drop of 0.2 points exactly may come out a hair larger.
            failures.append(f"accuracy drops by {100 * drop:.2f} points, more than {100 * bar.accuracy_drop:.1f}")
    return {**figures, "failures": failures}


def sha256(path: Path) -> str:
    r"""SHA-256 of a file; of a folder, that of its listing as `sha256sum` prints it, sorted by path.

    In a shell: find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum | sha256sum
    """
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    listing = [f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files_of(path)]
    return hashlib.sha256("".join(listing).encode()).hexdigest()


def files_of(path: Path) -> list[Path]:
    """The file itself, or all files of a folder, sorted by path."""
    if not path.is_dir():
        return [path]
    return sorted((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.as_posix())


def size(path: Path) -> dict[str, int]:
    """Bytes as they lie on the disk, and gzipped, file by file."""
    contents = [file.read_bytes() for file in files_of(path)]
    return {"bytes": sum(map(len, contents)), "gzip_bytes": sum(len(gzip.compress(c, mtime=0)) for c in contents)}
