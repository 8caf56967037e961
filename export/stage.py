"""The export as a library: from a network to files of several formats, each proven on images."""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.config import ExportConfig
from vinnas_tf.data.arrays import image_set, require_fit
from vinnas_tf.data.folder_layout import require_class_name
from vinnas_tf.data.image_set import ImageSet, fingerprint
from vinnas_tf.data.picture import Preparation
from vinnas_tf.errors import FileError, SettingError, UserError, require
from vinnas_tf.export import manifest, table
from vinnas_tf.export.formats import FORMATS, Task
from vinnas_tf.export.measure import time_calls
from vinnas_tf.export.onnx import require_onnx
from vinnas_tf.export.proof import prove, reference_probabilities, size
from vinnas_tf.export.source import Source
from vinnas_tf.run.digest import sha256_of
from vinnas_tf.run.files import write_atomically, writing
from vinnas_tf.run.leftovers import BUILDING, SCRATCH
from vinnas_tf.run.outputs import OUTPUTS
from vinnas_tf.train.result import TrainResult

_ANSWERS = 8  # That tell probabilities from logits.
_LOGGER = logging.getLogger("vinnas_tf")


@dataclass(frozen=True, eq=False)
class ExportResult:
    """What an export wrote; its text is a table of the files.

    Attributes:
        folder: where the files lie.
        manifest: what they are and what was measured, as manifest.json holds it.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def paths(self) -> dict[str, Path]:
        """Where each file lies, by its name in the manifest, such as "tflite/float32.tflite"."""
        return {name: self.folder / name for name in self.manifest["files"]}

    @property
    def failed(self) -> list[str]:
        """Names of the files that missed their bar; the table says why, and what to try."""
        return table.failed(self.manifest)

    def __str__(self) -> str:
        return table.describe(self.manifest)


class Exporter:
    """Writes a trained network as SavedModel, TFLite and ONNX, and proves every file.

    Args:
        formats: any of config.EXPORT_FORMATS; "onnx" needs the packages of the extra `onnx`.
        sparse: store weights sparse where that is smaller.

    Raises:
        SettingError: an unknown format, or none.
        FileError: a package that a format needs is not installed.

    Example:
        >>> import keras, numpy as np, tempfile
        >>> from pathlib import Path
        >>> keras.utils.set_random_seed(0)
        >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> network = keras.Sequential([*layers[:2], keras.layers.Rescaling(1 / 255), layers[2]])
        >>> images = np.random.default_rng(0).integers(256, size=(20, 8, 8)).astype(np.uint8)
        >>> labels = network.predict(images[..., None] * 1.0, verbose=0).argmax(axis=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = Exporter(formats=["tflite"]).write(
        ...         network, folder, proof=(images, labels), calibration=images
        ...     )
        ...     files.paths["tflite/float32.tflite"].exists()
        True
        >>> "tflite/float32.tflite" in files.failed
        False
    """

    def __init__(self, formats: Sequence[str] = ("saved_model", "tflite"), sparse: bool = True) -> None:
        self.config = ExportConfig(formats=tuple(formats), sparse=sparse)
        if "onnx" in self.config.formats:
            require_onnx()

    def write(
        self,
        trained: TrainResult | keras.Model,
        folder: str | os.PathLike[str],
        *,
        proof: Any,
        calibration: Any = None,
        class_names: Sequence[str] | None = None,
    ) -> ExportResult:
        """Writes the files and manifest.json; each file answers all images of `proof` in a process of its own.

        Args:
            trained: what `Training.fit` returned, or a Keras model from raw pixels in 0..255 to logits.
            folder: where to write; files of an earlier export there are replaced.
            proof: images and labels that the network has not learnt from, as a pair or a `tf.data.Dataset`, as
                `image_set` takes them.
            calibration: uint8 training images [n, h, w, c] or [n, h, w], or what `proof` may be; TFLite takes the range
                of activations from them. A TrainResult brings some.
            class_names: name of each class, in the order of the logits; None takes the training's, or else "0", "1"
                and so on.

        Raises:
            DataError: the images can't be used, or do not fit the network.
            SettingError: the names do not fit the network, or TFLite has nothing to calibrate with.
            FileError: the folder can't be written, or holds what no export wrote.
        """
        source = _source(trained, class_names)
        test = image_set(proof)
        require_fit(test, source.image_shape, len(source.class_names), "images of proof")
        learnt_from = None
        if isinstance(trained, TrainResult):
            calibration = trained.samples if calibration is None else calibration
            learnt_from = int(np.isin(test.digests, trained.digests).sum())
            if learnt_from:
                _LOGGER.warning("%d of %d images of proof were learnt from.", learnt_from, len(test))
        else:
            _require_logits(source.network, test)
        images = _calibration(calibration, source, "tflite" in self.config.formats)
        folder = Path(folder)
        taken = [name for name in OUTPUTS["export"] if (folder / name).exists()]
        require(
            not taken or manifest.NAME in taken,
            f"{folder} holds {' and '.join(taken)}, which no export wrote: name another folder.",
            FileError,
        )
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        result = write_files(source, self.config, folder, test, images, learnt_from=learnt_from, step=_LOGGER.info)
        return ExportResult(folder, result)


def write_files(
    source: Source,
    config: ExportConfig,
    folder: Path,
    test: ImageSet,
    images: np.ndarray,
    *,
    learnt_from: int | None,
    step: Callable[[str], None],
    dataset: str = "",
) -> dict[str, Any]:
    """Writes, proves and times the files that `config` asks for, and returns the manifest.

    Args:
        source: the network.
        config: which formats.
        folder: where to; it exists. What an export wrote there before is replaced at the end.
        test: the images to prove the files on.
        images: uint8 [n, h, w, c] training images.
        learnt_from: how many of the test images the network learnt from; None where that is not known.
        step: is told of each step, as many as `count_steps` says.
        dataset: where the test images lie, if not where the source says.

    Raises:
        FileError: the folder can't be written.
    """
    reference = reference_probabilities(source.network, test)
    building, scratch = folder / BUILDING, folder / SCRATCH
    for place in (building, scratch):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
    described = manifest.describe(source)
    (scratch / manifest.NAME).write_text(manifest.dump(described), encoding="utf-8")
    files: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    task = Task(source, images, config.sparse, building, scratch)
    for name in config.formats:
        working: dict[str, Path] = {}
        beside: dict[str, Path] = {}
        for written in FORMATS[name].write(task):
            if written.entry is None:
                beside[written.name] = written.path
                step(f"{written.name} written, to compare with")
                continue
            figures = _prove(written.path, test, reference)
            files[written.name] = {**written.entry, "sha256": sha256_of(written.path), "figures": figures}
            if "accuracy" in figures:
                working[written.name] = written.path
            step(f"{written.name} written and proven")
        timed = {**working, **beside}
        latencies = dict(zip(timed, time_calls(list(timed.values()), test.read(np.arange(1))[0]), strict=True))
        step(f"{name} timed")
        baselines |= {other: {**size(path), "latency": latencies[other]} for other, path in beside.items()}
        for file in working:
            files[file]["figures"]["latency"] = latencies[file]
            files[file]["figures"]["latency_ratio"] = {
                other: _ratio(latencies[file], latencies[other]) for other in beside
            }
    result = {
        **described,
        **({"dataset": dataset} if dataset else {}),
        "test": {
            "images": len(test),
            "fingerprint": fingerprint([test]),
            "learnt_from": learnt_from,
            "accuracy": float((reference.argmax(axis=-1) == test.labels).mean()),
        },
        "files": files,
        "baselines": baselines,
    }
    for name in OUTPUTS["export"]:
        shutil.rmtree(folder / name, ignore_errors=True)
        if (building / name).exists():
            os.replace(building / name, folder / name)
    write_atomically(folder / manifest.NAME, manifest.dump(result))
    for place in (building, scratch):
        shutil.rmtree(place)
    return result


def _source(trained: TrainResult | keras.Model, class_names: Sequence[str] | None) -> Source:
    """What is exported of a training, or of a plain network."""
    if isinstance(trained, TrainResult):
        known, preparation = trained.class_names, trained.preparation
        network, unpruned = trained.network, trained.dense
    else:
        network, unpruned = trained, None
        image: Any
        logits: Any
        image, logits = (getattr(network, name, None) for name in ("input_shape", "output_shape"))
        if not (_is_shape(image, 4) and image[3] in (1, 3) and _is_shape(logits, 2)):
            raise SettingError(
                "the network must be a Keras model from images [n, height, width, 1 or 3] of one size to logits "
                f"[n, classes], got {type(network).__name__} from {image} to {logits}."
            )
        network = keras.Model(network.inputs[0], network.outputs[0])  # Of a Sequential, what has an `input`.
        known, preparation = tuple(map(str, range(logits[1]))), Preparation(*image[1:])
    names = known if class_names is None else tuple(class_names)
    require(
        len(names) == len(set(names)) == len(known),
        f"class_names must name each of the {len(known)} classes once, got {', '.join(names)}.",
    )
    for name in names:
        require_class_name(name, "class_names")
    return Source(network, names, preparation, unpruned)


def _is_shape(shape: Any, rank: int) -> bool:
    """Whether a Keras shape is that of one tensor of this rank, only its batch free."""
    return isinstance(shape, tuple) and len(shape) == rank and None not in shape[1:]


def _require_logits(network: keras.Model, test: ImageSet) -> None:
    """Raises SettingError where a network's last layer is a softmax, to which the files would add another."""
    answers = np.asarray(network(test.read(np.arange(min(_ANSWERS, len(test)))).astype(np.float32), training=False))
    require(
        bool(answers.min() < 0) or not np.allclose(answers.sum(axis=-1), 1, atol=1e-3),
        "the network answers probabilities, and logits are expected: leave the softmax of its last layer out.",
    )


def _calibration(images: Any, source: Source, needed: bool) -> np.ndarray:
    """Some training images, uint8 [n, h, w, c]; none where none are needed and none were given."""
    if images is None:
        require(
            not needed,
            "an 8-bit TFLite file needs some training images: give calibration=images, uint8 [n, h, w, c].",
        )
        return np.zeros((0, *source.image_shape), np.uint8)
    labelled = isinstance(images, tf.data.Dataset | tuple)
    given = image_set(images) if labelled else image_set(images, np.zeros(len(images), np.int32))
    require_fit(given, source.image_shape, len(source.class_names), "images of calibration")
    return given.sample()


def _prove(path: Path, test: ImageSet, reference: np.ndarray) -> dict[str, Any]:
    try:
        return prove(path, test, reference)
    except UserError as error:  # The other files are still to be written.
        return {**size(path), "failures": [str(error)]}


def _ratio(latency: dict[str, Any], baseline: dict[str, Any]) -> dict[str, float]:
    """Median latency as a multiple of a baseline's, for each number of threads."""
    return {t: round(latency[t]["median_ms"] / baseline[t]["median_ms"], 3) for t in latency}
