"""A run folder as the train command leaves it, from a small network that was trained on the digits and pruned."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.config import DataConfig, TrainConfig
from vinnas_tf.data import record as image_record
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.image_set import ImageSet, fingerprint
from vinnas_tf.data.images import Dataset, load_test, load_train
from vinnas_tf.network.build import build_network
from vinnas_tf.network.evaluation import set_batch_statistics
from vinnas_tf.network.stripping import strip
from vinnas_tf.run.folder import RunDir

GENOTYPE = Genotype(
    2,
    {
        "normal": (
            *(Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "conv_7x1_1x7"), Edge(2, 1, "max_pool_3x3")),
            *(Edge(3, 1, "skip"), Edge(3, 2, "dil_conv_3x3")),
        ),
        "reduction": (
            *(Edge(2, 0, "avg_pool_3x3"), Edge(2, 1, "conv_7x1_1x7")),
            *(Edge(3, 1, "skip"), Edge(3, 2, "dil_conv_5x5")),
        ),
    },
)
SPARSITY = 0.93
SIZE: dict[str, Any] = {"cells": "NR", "channels": 16}


class Trained(NamedTuple):
    """A network from raw pixels to logits before (`dense`) and after (`sparse`) pruning, with its data."""

    dense: keras.Model
    sparse: keras.Model
    dataset: Dataset
    test: ImageSet


def keep_largest(network: keras.Model, sparsity: float) -> None:
    """Sets the smallest `sparsity` of each kernel to zero."""
    for layer in network.layers:
        if hasattr(layer, "mean"):
            mean = layer.mean.numpy()
            layer.mean.assign(np.where(np.abs(mean) <= np.quantile(np.abs(mean), sparsity), 0, mean))


class KeepZeros(keras.callbacks.Callback):
    """Weights that are zero when training starts stay zero."""

    def on_train_begin(self, logs=None):
        self.masks = [(layer.mean, layer.mean.numpy() != 0) for layer in self.model.layers if hasattr(layer, "mean")]

    def on_train_batch_end(self, batch, logs=None):
        for mean, mask in self.masks:
            mean.assign(mean * mask)


def train_and_prune() -> Trained:
    """Trains on the digits for some seconds, prunes, and trains on what is left."""
    keras.utils.set_random_seed(0)
    dataset, test = load_train(DataConfig(), seed=0), load_test(DataConfig())
    normalization = Normalization.of(dataset.train)
    network = build_network(GENOTYPE, **SIZE, image_shape=(8, 8, 1), classes=10, variational=False, seed=1)
    network.compile(keras.optimizers.Adam(5e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.asarray(normalization.layer()(dataset.train.images))
    fit = {"batch_size": 64, "verbose": 0}
    batches = [(images, dataset.train.labels)]
    network.fit(images, dataset.train.labels, epochs=4, **fit)
    set_batch_statistics(network, batches)
    dense = strip(network, normalization.layer())
    for sparsity in np.linspace(0.5, SPARSITY, 6):
        keep_largest(network, sparsity)
        network.fit(images, dataset.train.labels, epochs=2, callbacks=[KeepZeros()], **fit)
    network.fit(images, dataset.train.labels, epochs=12, callbacks=[KeepZeros()], **fit)
    set_batch_statistics(network, batches)
    return Trained(dense, strip(network, normalization.layer()), dataset, test)


def write_run(path: Path, trained: Trained) -> None:
    """Writes what a finished training leaves for the export."""
    with RunDir(
        path, stage="train", settings=[DataConfig(), TrainConfig(**SIZE)], data_fingerprint=trained.dataset.fingerprint
    ) as run:
        GENOTYPE.save(run.file("genotype.json"))
        trained.sparse.save(run.file("network.keras"))
        trained.dense.save(run.file("network_dense.keras"))
        files = {
            "genotype": "genotype.json",
            "network": "network.keras",
            "dense_network": "network_dense.keras",
        }
        result = {
            "dataset": "digits",
            "class_names": trained.dataset.class_names,
            "image_shape": [8, 8, 1],
            "preparation": dataclasses.asdict(trained.dataset.preparation),
            "test_fingerprint": fingerprint([trained.test]),
            **{
                f"{name}_sha256": hashlib.sha256(run.file(file).read_bytes()).hexdigest()
                for name, file in files.items()
            },
        }
        run.file("result.json").write_text(json.dumps(result))
        parts = {"training": trained.dataset.train, "test": trained.test}
        image_record.write(run.file(image_record.NAME), parts, trained.dataset.class_names)
        run.mark_finished()


def command(module: str, *flags: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Runs one of the export's commands as a person would, in the checkout."""
    argv = [sys.executable, "-m", module, *map(str, flags)]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True)


class Exported(NamedTuple):
    """A run folder, and what the command printed that exported it."""

    run_dir: Path
    printed: str

    @property
    def folder(self) -> Path:
        return self.run_dir / "export"

    @property
    def manifest(self) -> dict:
        return json.loads((self.folder / "manifest.json").read_text())
