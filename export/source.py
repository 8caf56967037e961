"""What is exported: a network, such as that of a run folder, held to what the training wrote about it."""

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
from vinnas_tf.run.outputs import NETWORK, finished_file, network_stage

_REMEDY = "Run python -m vinnas_tf.train, or a search that leaves a network, with this --run_dir first."


@dataclass(frozen=True)
class _Kind:
    """What a stage leaves beside result.json.

    Attributes:
        name: the stage in words.
        architecture: what result.json calls the architecture; its file has the same name.
        networks: files of the networks, by what result.json calls them.
    """

    name: str
    architecture: str
    networks: Mapping[str, str]


_KINDS = {
    "train": _Kind("training", "genotype", {"network": NETWORK, "dense_network": "network_dense.keras"}),
    "search": _Kind("search", "masks", {"network": NETWORK}),
    "compress": _Kind("compression", "compression", {"network": NETWORK, "dense_network": "network_dense.keras"}),
}


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
class FinishedNetwork:
    """The network of a run folder: of its compression or training, or of a search that leaves one.

    Attributes:
        stage: that made it, "compress", "train" or "search".
        source: the network. In the manifest stand the stage, the architecture (found cells, masks, or what compression
            left of each layer), the SHA-256 of its file and of the network's, and the stage's part of config.json.
        test_fingerprint: of its test images.
    """

    stage: str
    source: Source
    test_fingerprint: str

    @property
    def record(self) -> dict[str, Any]:
        """The stage's part of config.json: settings, versions, fingerprint of the data."""
        return self.source.origin["run"]

    @property
    def data(self) -> DataConfig:
        """The images that the network was trained on."""
        return restored(DataConfig, self.record["settings"])

    @property
    def seed(self) -> int:
        """The stage's seed."""
        return self.record["settings"]["seed"]


def read_finished(run_dir: Path, stage: str = "") -> FinishedNetwork:
    """Reads a run folder in which a network is finished; nothing is written.

    Args:
        run_dir: the run folder.
        stage: whose network it is; empty: the one that the folder ships.

    Raises:
        FileError: no run folder, no finished stage, a file that is missing or is not the one that the stage wrote, or
            a network that was trained anew after it was compressed.
    """
    stage = stage or network_stage(run_dir)
    record = stage_record(run_dir, stage)
    folder = run_dir / stage
    kind = _KINDS[stage]
    for file in ("result.json", f"{kind.architecture}.json", *kind.networks.values()):
        finished_file(run_dir, stage, file)
    try:
        result = json.loads(_read(folder / "result.json"))
        hashes = {name: result[name] for name in (f"{kind.architecture}_sha256", "network_sha256")}
        dataset, class_names, image_shape = result["dataset"], tuple(result["class_names"]), result["image_shape"]
        preparation, test_fingerprint = Preparation(**result["preparation"]), result["test_fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{folder / 'result.json'} is not a {kind.name}'s result ({error!r}). {_REMEDY}") from error
    if stage == "compress":
        _require_current(run_dir, record["settings"])
    networks = {name: load_network(folder / file) for name, file in kind.networks.items()}
    for name, loaded in networks.items():
        require(
            tuple(loaded.input.shape[1:]) == tuple(image_shape) and loaded.output.shape[-1] == len(class_names),
            f"{folder / kind.networks[name]} takes images of {loaded.input.shape[1:]} and knows "
            f"{loaded.output.shape[-1]} classes; result.json says {tuple(image_shape)} and {len(class_names)}. "
            f"{_REMEDY}",
            FileError,
        )
    origin = {
        kind.architecture: json.loads(_read(folder / f"{kind.architecture}.json")),
        **hashes,
        "stage": stage,
        "run": record,
    }
    source = Source(networks["network"], class_names, preparation, networks.get("dense_network"), dataset, origin)
    return FinishedNetwork(stage, source, test_fingerprint)


def _require_current(run_dir: Path, settings: Mapping[str, Any]) -> None:
    """Raises FileError where the network that was compressed is not any more that of the run folder."""
    stage = settings["origin"]
    if stage in _KINDS:
        made = json.loads(_read(run_dir / stage / "result.json")).get("network_sha256")
        require(
            made == settings["origin_sha256"],
            f"{run_dir / 'compress'} holds another network's compression, for the {_KINDS[stage].name} was done anew: "
            f"compress with overwrite, or remove that folder to export the {_KINDS[stage].name}.",
            FileError,
        )


def load_network(path: Path) -> keras.Model:
    """A saved Keras network; raises FileError where the file is missing or is none."""
    require(path.is_file(), f"{path} is missing. {_REMEDY}", FileError)
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras, zipfile and h5py each raise their own on a file that is cut off.
        reason = " ".join(str(error).split())[:120]
        raise FileError(f"{path} can't be read as a Keras network ({reason}): make it anew.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}. {_REMEDY}") from error
