"""What is exported: the trained network of a run folder, held to what the training wrote about it."""

import hashlib
import json
from dataclasses import dataclass
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
    """A finished training.

    Attributes:
        network: pruned and stripped; float32 images [n, h, w, c] in 0..255 to logits [n, classes].
        unpruned: the same network before pruning, of the same inputs and outputs.
        genotype: the found cells, as their JSON file holds them.
        genotype_sha256: of that file.
        network_sha256: of the network's file.
        dataset: name of the data set.
        class_names: name of each class, in the order of the logits.
        preparation: how pictures become the network's input.
        test_fingerprint: of the test images.
        record: the training's part of config.json: settings, versions, fingerprint of the data.
    """

    network: keras.Model
    unpruned: keras.Model
    genotype: dict[str, Any]
    genotype_sha256: str
    network_sha256: str
    dataset: str
    class_names: tuple[str, ...]
    preparation: Preparation
    test_fingerprint: str
    record: dict[str, Any]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[height, width, channels] of the images."""
        return self.network.input.shape[1:]

    @property
    def data(self) -> DataConfig:
        """The images that the network was trained on."""
        return restored(DataConfig, self.record["settings"])

    @property
    def seed(self) -> int:
        """The training's seed."""
        return self.record["settings"]["seed"]


def read_source(run_dir: Path) -> Source:
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
    source = Source(
        network=load_network(folder / "network.keras"),
        unpruned=load_network(folder / "network_dense.keras"),
        genotype=json.loads(_read(folder / "genotype.json")),
        genotype_sha256=hashes["genotype.json"],
        network_sha256=hashes["network.keras"],
        dataset=dataset,
        class_names=class_names,
        preparation=preparation,
        test_fingerprint=test_fingerprint,
        record=record,
    )
    for name, network in (("network.keras", source.network), ("network_dense.keras", source.unpruned)):
        require(
            tuple(network.input.shape[1:]) == tuple(image_shape) and network.output.shape[-1] == len(class_names),
            f"{folder / name} takes images of {network.input.shape[1:]} and knows {network.output.shape[-1]} classes; "
            f"result.json says {tuple(image_shape)} and {len(class_names)}. {_TRAIN}",
            FileError,
        )
    return source


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
