"""What reads the files that a person may hand over, each with a whole file to damage."""

import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.masks import ChannelGroup, Masks
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.compare.statistics import Result, from_csv, to_csv
from vinnas_tf.data import record
from vinnas_tf.data.picture import Preparation, decode
from vinnas_tf.export import flatbuffer, manifest, pixels
from vinnas_tf.export.interface import read_interface
from vinnas_tf.export.source import load_network
from vinnas_tf.export.tflite import convert
from vinnas_tf.flags import flag_file
from vinnas_tf.run.checkpoint import EpochCheckpoint
from vinnas_tf.run.digest import sha256, sha256_of_json
from vinnas_tf.run.files import read_metrics, read_text
from vinnas_tf.run.folder import stage_record
from vinnas_tf.run.outputs import finished_file, mark


def _as_it_is(content: bytes) -> bytes:
    return content


@dataclass(frozen=True)
class Reader:
    """What reads a kind of file.

    Attributes:
        name: of the kind.
        sample: a whole file.
        read: reads the file of a path; raises UserError where it refuses it.
        file: its path in a run folder.
        is_json: whether its content, before it is sealed, is JSON.
        unseal: the part of a whole file that is damaged.
        seal: makes the whole file of that part.
        cost: how many times fewer files it gets, for its time.
    """

    name: str
    sample: bytes
    read: Callable[[Path], Any]
    file: str
    is_json: bool = False
    unseal: Callable[[bytes], bytes] = _as_it_is
    seal: Callable[[bytes], bytes] = _as_it_is
    cost: int = 1


def readers(folder: Path) -> list[Reader]:
    """All readers, with files that are made in `folder`."""
    cell = (Edge(2, 0, "sep_conv_5x5"), Edge(2, 1, "skip"), Edge(3, 1, "max_pool_3x3"), Edge(3, 2, "dil_conv_3x3"))
    genotype = Genotype(2, {"normal": cell, "reduction": cell})
    shape = (len(VINNAS.edges(2)), len(VINNAS.primitives))
    values = {name: np.linspace(-1, 1, math.prod(shape)).reshape(shape) for name in ("mean", "log_variance")}
    found = Found(VINNAS, 2, VINNAS.primitives, {f"normal/{name}": value for name, value in values.items()})
    masks = Masks({"backbone": "small"}, (8, 8, 1), 2, (ChannelGroup("conv", "images", 0, 3),), (np.ones(3, bool),))
    result = Result("darts", 0, 0.5, 100, 1.0, 2.0, 0.25, "0" * 64)
    search = folder / "search"
    search.mkdir()
    genotype.save(search / "genotype.json")
    mark(search, "search")
    stages = {
        "search": {"settings": {"seed": 0, "cells": "NRN"}, "preset": "", "versions": {}, "data_fingerprint": "0"}
    }
    network = _network()
    network.save(folder / "network.keras")
    images = "part,class,name,digest\ntraining,a,0,00000000000000ff\ntest,b,1,0000000000000001\n"
    described = {
        "format": manifest.FORMAT,
        "dataset": "digits",
        "class_names": ["a", "b"],
        "image": pixels.describe(Preparation(8, 8, 1)),
        "files": {"tflite/float32.tflite": {"sha256": "0", "bytes": 1}},
    }
    picture = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(picture, "PNG")
    checkpoint = EpochCheckpoint(network, [], folder / "checkpoints")
    checkpoint.save(1, [{"epoch": 1, "loss": 0.5}], {"trajectory": np.ones(3)})
    table = "epoch,loss,seconds\n1,0.5,2.0\n2,,1.5\n"

    def interface(path: Path) -> None:
        described = read_interface(path.parent / "tflite" / "float32.tflite")
        assert all(type(name) is str for name in described.class_names)

    return [
        Reader("genotype", genotype.to_json().encode(), Genotype.load, "genotype.json", is_json=True),
        Reader(
            "posterior",
            found.to_json({"normal": values}).encode(),
            Found.load,
            "posterior.json",
            is_json=True,
        ),
        Reader("masks", masks.to_json().encode(), Masks.load, "masks.json", is_json=True),
        Reader(
            "run folder's config",
            _with_sum(json.dumps(stages).encode()),
            lambda path: stage_record(path.parent, "search"),
            "config.json",
            is_json=True,
            unseal=lambda content: json.dumps(json.loads(content)["stages"]).encode(),
            seal=_with_sum,
        ),
        Reader(
            "marker of a finished stage",
            (search / "finished").read_bytes(),
            lambda path: finished_file(path.parent.parent, "search", "genotype.json"),
            "search/finished",
            unseal=lambda content: content[: content.rindex(b"\n", 0, -1) + 1],
            seal=lambda content: content + sha256(content).encode() + b"  finished\n",
        ),
        Reader("record of images", images.encode(), record.learnt, "search/images.csv"),
        Reader("metrics", table.encode(), read_metrics, "search/metrics.csv"),
        Reader("comparison", to_csv([result]).encode(), _read_comparison, "compare/comparison.csv"),
        Reader(
            "checkpoint",
            (folder / "checkpoints" / "epoch-1.npz").read_bytes(),
            lambda path: checkpoint.restore(),
            "checkpoints/epoch-1.npz",
            unseal=lambda content: content[:-64],
            seal=lambda content: content + sha256(content).encode(),
        ),
        Reader("manifest", manifest.dump(described).encode(), interface, "manifest.json", is_json=True),
        Reader("labels", b"a\nb\n", lambda path: read_interface(path.parent / "x.tflite"), "labels/labels.txt"),
        Reader("flag file", b"--epochs=3\n# more\n--cells=NRN\n", _read_flag_file, "my.flags"),
        Reader("picture", picture.getvalue(), decode, "picture.png"),
        Reader(
            "TFLite file, its format",
            convert(network, "float32", np.zeros((1, 8, 8, 1), np.uint8), sparse=False),
            lambda path: flatbuffer.parse(path.read_bytes()),
            "float32.tflite",
        ),
        Reader("network", (folder / "network.keras").read_bytes(), load_network, "network.keras", cost=20),
    ]


def _with_sum(stages: bytes) -> bytes:
    """A config.json of these records."""
    try:
        held = json.loads(stages)
        digest = sha256_of_json(held)
    except (ValueError, RecursionError):
        return stages
    return json.dumps({"format": "vinnas_tf run 1", "stages": held, "sha256": digest}).encode()


def _read_comparison(path: Path) -> None:
    from_csv(read_text(path))


def _read_flag_file(path: Path) -> None:
    list(flag_file.expand([f"--flagfile={path}"]))


def _network() -> keras.Model:
    image = keras.Input((8, 8, 1))
    return keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)))
