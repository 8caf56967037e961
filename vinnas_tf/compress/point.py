"""A point of a compression's curve: a network that was compressed at one penalty, fine-tuned and stripped."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vinnas_tf.compress.model import CompressModel, WeighByEvidence, measure_by
from vinnas_tf.compress.units import Units, count_units
from vinnas_tf.config import SGD, CompressConfig, TrainConfig
from vinnas_tf.export.tflite import convert
from vinnas_tf.network.costs import costs, largest_difference
from vinnas_tf.network.evaluation import evaluate, set_best_statistics
from vinnas_tf.network.files import save_network
from vinnas_tf.network.pruning import count_parameters, total
from vinnas_tf.network.stripping import strip
from vinnas_tf.run.digest import sha256_of, sha256_of_json
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.outputs import NETWORK
from vinnas_tf.train.callbacks import Rows
from vinnas_tf.train.epochs import run_epochs
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.progress import LOGGER, Progress
from vinnas_tf.train.stage import make_model

_NAME = "point.json"
_SEAL = "sha256"  # Of the rest of the file.
_TOLERANCE = 1e-5  # Of logits that stripping leaves as they were, relative to the largest.


@dataclass(frozen=True)
class Point:
    """What compression at one penalty left, as a row of curve.csv holds it.

    Attributes:
        penalty: lambda_w; 0 for the network that compression starts from.
        accuracy: share of right answers to held-out images.
        standard_error: of this accuracy, as `Evaluation` defines it.
        parameters: of the stripped network.
        parameters_nonzero: those that are not zero.
        bytes: of its float32 TFLite file, weights stored dense.
        flops: operations for an image.
        connected: whether its answers depend on the image.
    """

    penalty: float
    accuracy: float
    standard_error: float
    parameters: int
    parameters_nonzero: int
    bytes: int
    flops: int
    connected: bool = True


@dataclass(frozen=True, eq=False)
class Compressed:
    """A network that was made smaller, and what is known of it without a test image.

    Attributes:
        point: its figures.
        network: in plain Keras, from raw pixels in 0..255 to logits.
        units: what is left of each layer.
        costs: parameters and operations, of the network and of each layer, before and after.
        stripping_error: largest difference of a logit that stripping made.
        history: figures of the epochs of compression.
        fine_tuning_history: and of fine-tuning.
    """

    point: Point
    network: keras.Model
    units: tuple[Units, ...]
    costs: Mapping[str, Any]
    stripping_error: float
    history: Rows
    fine_tuning_history: Rows

    def save(self, folder: Path) -> None:
        """Writes network.keras, and then point.json, by which a point is known to be finished.

        Raises:
            FileError: the folder can't be written.
        """
        content = {
            "point": asdict(self.point),
            "units": [asdict(one) for one in self.units],
            "costs": self.costs,
            "stripping_error": self.stripping_error,
            "history": self.history,
            "fine_tuning_history": self.fine_tuning_history,
            "network_sha256": save_network(self.network, folder / NETWORK),
        }
        write_atomically(folder / _NAME, json.dumps({**content, _SEAL: sha256_of_json(content)}, indent=2) + "\n")


def read_compressed(folder: Path) -> Compressed | None:
    """The point that was finished in a folder, with its network; None where there is none, or a file was changed.

    The latter is told; a point is made again from its checkpoints.
    """
    if not (folder / _NAME).exists():
        return None
    try:
        content = json.loads((folder / _NAME).read_bytes())
        same = content.pop(_SEAL) == sha256_of_json(content)
        same = same and sha256_of(folder / NETWORK) == content["network_sha256"]
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        same = False
    if not same:
        LOGGER.warning("%s is damaged, or its network is: makes that point of the curve again.", folder / _NAME)
        return None
    return Compressed(
        Point(**content["point"]),
        keras.models.load_model(folder / NETWORK, compile=False),
        tuple(Units(**one) for one in content["units"]),
        content["costs"],
        content["stripping_error"],
        content["history"],
        content["fine_tuning_history"],
    )


def phase(config: CompressConfig, epochs: int) -> TrainConfig:
    """Epochs of a compression's training, as the settings of a training of deterministic weights."""
    return TrainConfig(
        variational=False,
        optimizer=SGD,
        epochs=epochs,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        label_smoothing=0.0,
        seed=config.seed,
    )


def compress_at(
    penalty: float,
    start: keras.Model,
    images: TrainingImages,
    augment: tuple[str, ...],
    config: CompressConfig,
    folder: Path,
    progress: Progress,
) -> Compressed:
    """Compresses a copy of a network at one penalty, or goes on doing so (BayesNAS, algorithm 3).

    Args:
        penalty: lambda_w.
        start: the trained network, in plain layers, of normalised images.
        images: those to learn from, and those held out.
        augment: how the former are augmented, any of config.AUGMENTATIONS.
        config: epochs, groups and rates.
        folder: where the state is kept, and the result written.
        progress: where words go.

    Raises:
        DataError: the images do not fill a batch.
        DivergenceError: the loss, or its curvature, stopped being finite.
    """
    network, examples = _copy(start), len(images.learnt_from)
    model = CompressModel(
        network, groups=config.groups, penalty=penalty, learning_rate=config.learning_rate, examples=examples
    )
    weigh = WeighByEvidence(measure_by(network, images, config.seed), config.determined)
    compression = phase(config, config.epochs)
    history = run_epochs(
        model,
        images,
        augment,
        compression,
        epochs=compression.epochs,
        seed=config.seed,
        folder=folder,
        callbacks=[weigh],
        progress=progress,
    )
    weigh.set_model(model)
    weigh.on_epoch_begin(compression.epochs)
    fine_tuning: Rows = []
    if config.fine_tuning_epochs:
        progress.tell("Fine-tunes what is left.")
        tuning = phase(config, config.fine_tuning_epochs)
        fine_tuning = run_epochs(
            make_model(network, tuning, examples, keep_zeros=True),
            images,
            augment,
            tuning,
            epochs=tuning.epochs,
            seed=config.seed + config.epochs,  # Other orders and crops than before.
            folder=folder / "fine_tuning",
            progress=progress,
        )
    set_best_statistics(network, images.for_statistics(augment, config.seed), images.batches(images.held_out))
    found = assess(network, start, images, penalty, history, fine_tuning)
    found.save(folder)
    return found


def assess(
    network: keras.Model,
    start: keras.Model,
    images: TrainingImages,
    penalty: float,
    history: Rows,
    fine_tuning: Rows,
) -> Compressed:
    """Strips a network, and measures what is left.

    Args:
        network: of normalised images, with zeros where groups were pruned.
        start: what it was before.
        images: normalisation and held-out images.
        penalty: at which it was compressed.
        history: figures of its epochs.
        fine_tuning: figures of its epochs of fine-tuning.
    """
    stripped = strip(network, images.normalization.layer())
    raw, normalized = (images.batches(images.held_out, normalized=one) for one in (False, True))
    found = evaluate(stripped, raw)
    few, _ = next(iter(raw))
    logits = np.asarray(stripped(few, training=False))
    error = largest_difference((network, normalized), (stripped, raw))
    bar = _TOLERANCE * max(1.0, float(np.abs(logits).max()))
    if not error <= bar:
        LOGGER.warning("Stripping at penalty %g moved a logit by %.1e, and %.1e is the bar.", penalty, error, bar)
    counted, left = costs(start, network, stripped), total(count_parameters(stripped))
    point = Point(
        penalty=penalty,
        accuracy=found.accuracy,
        standard_error=found.standard_error,
        parameters=left.params_dense,
        parameters_nonzero=left.params_nonzero,
        bytes=len(convert(stripped, "float32", few[:1].numpy(), sparse=False)),
        flops=counted["flops"]["stripped"],
        connected=bool((np.ptp(logits, axis=0) > bar).any()),
    )
    return Compressed(point, stripped, count_units(start, stripped), counted, error, history, fine_tuning)


def _copy(network: keras.Model) -> keras.Model:
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy
