"""Where a network to compress comes from, and the images that it is compressed with."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from vinnas_tf.config import CompressConfig
from vinnas_tf.data import record as image_record
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.images import Dataset
from vinnas_tf.errors import DataError, FileError, did_you_mean, require
from vinnas_tf.export.source import FinishedNetwork
from vinnas_tf.network.backbones import BACKBONES, BackboneSettings, make_backbone
from vinnas_tf.network.backbones.from_keras import as_plain, called_once, load
from vinnas_tf.network.layer_kinds import input_tensors
from vinnas_tf.run.digest import sha256_of
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.train.images import TrainingImages

# Networks of the package that need no settings of their own.
PACKAGED = tuple(name for name, kind in BACKBONES.items() if not kind.reads and not kind.file)
_LEVELS = 255  # Pixels lie in 0..255, and a `Normalization` counts in 0..1.


@dataclass(frozen=True, eq=False)
class Given:
    """A network to compress.

    Attributes:
        network: in plain layers, from images that are normalised to logits.
        images: what it is compressed with, and the normalisation that it takes.
        trained: whether it is; else it is trained first.
        note: what a person should know about the images; may be empty.
    """

    network: keras.Model
    images: TrainingImages
    trained: bool = True
    note: str = ""


def require_known(config: CompressConfig) -> None:
    """Raises SettingError unless `network` names a file or a network of the package, and reads what else is set."""
    network, names = config.network, ", ".join(PACKAGED)
    require(
        not network or Path(network).suffix == ".keras" or network in PACKAGED,
        f"unknown network={network}: "
        + did_you_mean(network, PACKAGED, f"there are {names}, and files of Keras's named NAME.keras."),
    )
    default = CompressConfig()
    for name, read, by in (
        ("dense_epochs", network in PACKAGED, f"with network={names.replace(', ', ' or ')}"),
        ("held_out", bool(network), "with network=..., not of a run folder, which has held out its own"),
    ):
        require(read or getattr(config, name) == getattr(default, name), f"{name} is read only {by}: leave it out.")


def sha256(network: str) -> str:
    """What tells the network that the setting `network` names from others: the SHA-256 of its file, else nothing.

    Raises:
        FileError: the file can't be read.
    """
    return "" if network in PACKAGED else sha256_of(network)


def of_package(config: CompressConfig, dataset: Dataset) -> Given:
    """An untrained network of the package, for images that are scaled and not centred.

    So a pixel that is black in all images is 0, and the weights that read it are seen to do nothing.

    Raises:
        SettingError: the images do not fit.
        DataError: no image can be held out.
    """
    images = _held_out(dataset, config)
    settings = BackboneSettings(backbone=config.network)
    network = make_backbone(settings, dataset.train.image_shape, len(dataset.class_names), config.seed)
    scaled = Normalization((0.0,) * len(images.normalization.std), images.normalization.std)
    return Given(network, dataclasses.replace(images, normalization=scaled), trained=False, note=images.note)


def of_file(config: CompressConfig, dataset: Dataset) -> Given:
    """The network of a `.keras` file.

    Raises:
        FileError: the file can't be loaded, or holds a network that can't be compressed; all its layers that can't be
            followed are named.
        DataError: no image can be held out.
    """
    file = Path(config.network)
    images = _held_out(dataset, config)
    network, own = _read(load(file, "compressed"), dataset, str(file))
    note = f"Whether {file} has learnt from the {len(images.held_out):,} held-out images is not known here."
    if own is not None:
        images = dataclasses.replace(images, normalization=own)
    return Given(network, images, note=" ".join([images.note, note]).strip())


def of_run(run_dir: Path, finished: FinishedNetwork, dataset: Dataset) -> Given:
    """The network that a training or a search of channels left in a run folder, and the images that it held out.

    Raises:
        FileError: the network can't be compressed.
        DataError: the images are not those of the stage, or it held none out.
    """
    stage = finished.stage
    path = finished_file(run_dir, stage, image_record.NAME)
    require(
        dataset.fingerprint == finished.record["data_fingerprint"] and path.exists(),
        f"the training images of {dataset.name} are not those of the {stage} in {run_dir} (their fingerprint differs "
        "from config.json's): leave the settings of images out, or restore them.",
        DataError,
    )
    kept = image_record.held_out(path)
    require(
        len(kept) > 0,
        f"the {stage} in {run_dir} held no images out, and the point of the curve is chosen by those: train with "
        "held_out=0.05 first.",
        DataError,
    )
    network, own = _read(finished.source.network, dataset, str(run_dir / stage))
    assert own is not None  # What is shipped takes pixels.
    train = dataset.train
    if dataset.validation is not None and np.isin(dataset.validation.digests, kept).all():
        held_out = dataset.validation
    else:
        held_out = train.take(np.flatnonzero(np.isin(train.digests, kept)))
    learnt = image_record.learnt(path)
    rest = train.take(np.flatnonzero(np.isin(train.digests, learnt) & ~np.isin(train.digests, held_out.digests)))
    return Given(network, TrainingImages(rest, held_out, own))


def _held_out(dataset: Dataset, config: CompressConfig) -> TrainingImages:
    images = TrainingImages.of(dataset, config.held_out, config.seed)
    require(
        len(images.held_out) > 0,
        f"of {len(dataset.train)} training images held_out={config.held_out:g} takes none, and the point of the curve "
        "is chosen by those: use more images of each class, or a larger share.",
        DataError,
    )
    return images


def _read(model: keras.Model, dataset: Dataset, name: str) -> tuple[keras.Model, Normalization | None]:
    """The plain network of normalised images, and the normalisation that the model starts with, if it does."""
    refusal = f"{name} can't be compressed"
    normalization, loaded = None, model
    model = called_once(model, refusal)
    readers = [layer for layer in model.layers if any(one is model.inputs[0] for one in input_tensors(layer))]
    if len(readers) == 1 and isinstance(readers[0], (keras.layers.Normalization, keras.layers.Rescaling)):
        # Of the loaded layer: numbers that it has adapted to data are no weights, and the new one lacks them.
        normalization = _normalization_of(loaded.get_layer(readers[0].name), dataset.train.image_shape[-1], refusal)
        model = keras.Model(readers[0].output, model.outputs)
    return as_plain(model, dataset.train.image_shape, len(dataset.class_names), refusal), normalization


def _normalization_of(layer: keras.layers.Layer, channels: int, refusal: str) -> Normalization:
    """The mean and deviation that a first layer takes pixels to 0 and 1 by."""
    if isinstance(layer, keras.layers.Rescaling):
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation = 1 / np.ravel(layer.scale).astype(float)
            mean = -np.ravel(layer.offset) * deviation
    else:
        mean, deviation = np.ravel(layer.mean).astype(float), np.sqrt(np.ravel(layer.variance).astype(float))
        require(not layer.invert, f"{refusal}: its layer {layer.name} undoes a normalisation.", FileError)
    fits = all(one.size in (1, channels) and np.isfinite(one).all() for one in (mean, deviation))
    require(
        fits and bool(np.all(deviation > 0)),
        f"{refusal}: its layer {layer.name} must have a mean, and a deviation above 0, for all channels or each.",
        FileError,
    )
    means, deviations = (np.broadcast_to(one / _LEVELS, channels).tolist() for one in (mean, deviation))
    return Normalization(tuple(means), tuple(deviations))
