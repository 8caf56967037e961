"""The accuracy of every epoch of a small training, against copies of its network that are evaluated afterwards."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.config import DataConfig, TrainConfig
from vinnas_tf.data.images import load_train
from vinnas_tf.network.build import deterministic_network
from vinnas_tf.network.evaluation import evaluate
from vinnas_tf.run.files import read_metrics
from vinnas_tf.train.epochs import run_epochs
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.stage import make_model, make_network

GENOTYPE = Genotype(1, {"reduction": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "skip"))})


class Copies(keras.callbacks.Callback):
    """Keeps the network of each epoch, with mean weights."""

    def __init__(self) -> None:
        super().__init__()
        self.networks: list[keras.Model] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.networks.append(deterministic_network(self.model.network))


def normalised_by(network: keras.Model, images: np.ndarray) -> None:
    """Gives each batch normalisation the mean and variance of what it is fed, layer by layer, in NumPy."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            fed = keras.Model(network.input, layer.input)(images).numpy().astype(np.float64)
            layer.moving_mean.assign(fed.mean(axis=(0, 1, 2)))
            layer.moving_variance.assign(fed.var(axis=(0, 1, 2)))


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_each_epochs_accuracy_is_that_of_its_mean_network(trained: tuple, batch: int) -> None:
    rows, networks, images = trained
    assert len(rows) == len(networks) == 4
    order = np.random.default_rng(0).permutation(len(images.held_out))
    shuffled = images.held_out.take(order)
    pixels = images.normalization.layer()(shuffled.images)
    batches = tf.data.Dataset.from_tensor_slices((pixels, shuffled.labels)).batch(batch)
    for row, network in zip(rows, networks, strict=True):
        found = evaluate(network, batches)
        assert row["held_out_accuracy"] == found.accuracy
        assert row["held_out_loss"] == pytest.approx(found.nll, rel=1e-3)


def test_a_network_that_has_learnt_is_not_shown_as_chance(trained: tuple) -> None:
    """Six steps an epoch: a moving average of momentum 0.99 would still be of its initial values."""
    rows, _, _ = trained
    assert rows[-1]["held_out_accuracy"] > 0.25


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """Rows of metrics.csv, networks of all epochs with statistics of their own, and the images."""
    folder: Path = tmp_path_factory.mktemp("training")
    data = DataConfig(data_fraction=0.2)
    config = TrainConfig(
        cells="R", channels=8, epochs=4, batch_size=32, held_out=0.2, gamma_start_epoch=0, gamma_end_epoch=2
    )
    dataset = load_train(data, config.seed)
    images = TrainingImages.of(dataset, config.held_out, config.seed)
    network = make_network(config, GENOTYPE, (8, 8, 1), 10)
    model = make_model(network, config, len(images.learnt_from))
    copies = Copies()
    run_epochs(
        model, images, data.augment, config, epochs=config.epochs, seed=config.seed, folder=folder, callbacks=[copies]
    )
    for copy in copies.networks:
        normalised_by(copy, images.normalization.layer()(images.learnt_from.images))
    return read_metrics(folder / "metrics.csv"), copies.networks, images
