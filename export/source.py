"""What is exported: a network, such as that of a run folder, held to what the training wrote about it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from vinnas_tf.config import DataConfig, restored
from vinnas_tf.data.picture import Preparation
from vinnas_tf.errors import FileError, require
from vinnas_tf.run.folder import stage_record

_TRAIN = "Run python -m vinnas_tf.train with this --run_dir first."
# What result.json calls the files whose SHA-256 it holds.
_HASHED = {"genotype": "genotype.json", "network": "network.keras", "dense_network": "network_dense.keras"}


@dataclass(frozen=True)
class Source:
    """A network that is exported, and what is known of it.

    Attributes:
        network: float32 images [n, h, w, c] in 0..255 to logits [n, classes].
        class_names: name of each class, in the order of the logits.
        preparation: how pictures become the network's input.
        unpruned: the same network before pruning, of the same inputs and outputs, to compare with; None where there is
            none.
        dataset: name of the data set; empty for one without a name.
        origin: what the manifest says of where the network comes from.
    """

    network: keras.Model
    class_names: tuple[str, ...]
    preparation: Preparation
    unpruned: keras.Model | None = None
    dataset: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[height, width, channels] of the images that the network takes."""
        return self.preparation.shape


@dataclass(frozen=True)
class FinishedTraining:
    """The training of a run folder.

    Attributes:
        source: its network. In the manifest stand the found cells, the SHA-256 of their file and of the network's, and
            the training's part of config.json.
        test_fingerprint: of its test images.
    """

    source: Source
    test_fingerprint: str

    @property
    def record(self) -> dict[str, Any]:
        """The training's part of config.json: settings, versions, fingerprint of the data."""
        return self.source.origin["run"]

    @property
    def data(self) -> DataConfig:
        """The images that the network was trained on."""
        return restored(DataConfig, self.record["settings"])

    @property
    def seed(self) -> int:
        """The training's seed."""
        return self.record["settings"]["seed"]


def read_training(run_dir: Path) -> FinishedTraining:
    """Reads a run folder whose training is finished; nothing is written.

    Raises:
        FileError: no run folder, no finished training, a file that is missing or is not the one the training wrote.
    """
    record = stage_record(run_dir, "train")
    folder = run_dir / "train"
    try:
        result = json.loads(_read(folder / "result.json"))
        hashes = {file: result[f"{name}_sha256"] for name, file in _HASHED.items()}
        dataset, class_names, image_shape = result["dataset"], tuple(result["class_names"]), result["image_shape"]
        preparation, test_fingerprint = Preparation(**result["preparation"]), result["test_fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{folder / 'result.json'} is not a training's result ({error!r}). {_TRAIN}") from error
    for file, sha256 in hashes.items():
        require(
            hashlib.sha256(_read(folder / file)).hexdigest() == sha256,
            f"{folder / file} is not the file that the training wrote (its SHA-256 differs from result.json's): "
            "restore it, or train again with --overwrite.",
            FileError,
        )
    network, unpruned = (load_network(folder / _HASHED[name]) for name in ("network", "dense_network"))
    for name, loaded in (("network.keras", network), ("network_dense.keras", unpruned)):
        require(
            tuple(loaded.input.shape[1:]) == tuple(image_shape) and loaded.output.shape[-1] == len(class_names),
            f"{folder / name} takes images of {loaded.input.shape[1:]} and knows {loaded.output.shape[-1]} classes; "
            f"result.json says {tuple(image_shape)} and {len(class_names)}. {_TRAIN}",
            FileError,
        )
    origin = {
        "genotype": json.loads(_read(folder / "genotype.json")),
        "genotype_sha256": hashes["genotype.json"],
        "network_sha256": hashes["network.keras"],
        "run": record,
    }
    return FinishedTraining(Source(network, class_names, preparation, unpruned, dataset, origin), test_fingerprint)


def load_network(path: Path) -> keras.Model:
    """A saved Keras network; raises FileError where the file is missing or is none."""
    require(path.is_file(), f"{path} is missing. {_TRAIN}", FileError)
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras, zipfile and h5py each raise their own on a file that is cut off.
        reason = " ".join(str(error).split())[:120]
        raise FileError(f"{path} can't be read as a Keras network ({reason}): make it anew.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}. {_TRAIN}") from error
