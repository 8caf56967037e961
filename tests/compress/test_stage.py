"""A compression from a network to its curve: what it loses, that it goes on where it was killed, and chooses again."""

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from vinnas_tf.compress.point import assess, phase, read_compressed
from vinnas_tf.compress.source import Given
from vinnas_tf.compress.stage import Compression, compress
from vinnas_tf.config import CompressConfig
from vinnas_tf.errors import UserError
from vinnas_tf.network.evaluation import evaluate
from vinnas_tf.run.files import read_metrics
from vinnas_tf.train.progress import LOGGED

CONFIG = CompressConfig(
    penalties=(1e-2, 1e-4),
    epochs=6,
    fine_tuning_epochs=1,
    batch_size=32,
    learning_rate=0.05,
    max_accuracy_loss=0.05,
    seed=4,
)


@pytest.fixture(scope="module")
def finished(given: Given, tmp_path_factory: pytest.TempPathFactory) -> tuple[Compression, Path]:
    folder = tmp_path_factory.mktemp("finished")
    return compress(given, (), CONFIG, folder), folder


def test_exactly_the_inputs_that_do_not_matter_are_lost(finished: tuple[Compression, Path], given: Given) -> None:
    compression, _ = finished
    chosen = compression.compressed
    assert chosen.point.penalty == 1e-2
    assert chosen.units[0].inputs == 12 and chosen.units[0].inputs_left == 4
    # What is read of an image is its first row: all else may be anything.
    images = given.images.held_out.images.astype("float32")
    other = images.copy()
    other[:, 1:] = np.random.default_rng(0).uniform(0, 255, other[:, 1:].shape)
    np.testing.assert_array_equal(chosen.network(images), chosen.network(other))
    for pixel in range(4):
        moved = images.copy()
        moved[:, 0, pixel] += 20
        assert np.abs(chosen.network(images) - chosen.network(moved)).max() > 0.01
    assert compression.dense.point.accuracy > 0.8
    assert chosen.point.accuracy > compression.dense.point.accuracy - 0.05


def test_the_curve_holds_what_its_networks_have(finished: tuple[Compression, Path], given: Given) -> None:
    compression, folder = finished
    rows = read_metrics(folder / "curve.csv")
    assert [row["penalty"] for row in rows] == [0.0, 1e-4, 1e-2]
    labels, images = given.images.held_out.labels, given.images.held_out.images.astype("float32")
    for row in rows[1:]:
        of_point = folder / "points" / f"{row['penalty']:g}"
        network = keras.models.load_model(of_point / "network.keras")
        assert row["accuracy"] == pytest.approx(np.mean(network(images).numpy().argmax(axis=1) == labels))
        assert row["parameters"] == sum(int(np.prod(one.shape)) for one in network.trainable_weights)
        assert 4 * row["parameters"] < row["bytes"] < 4 * row["parameters"] + 4000
        assert {type(layer).__module__.split(".")[0] for layer in network.layers} == {"keras"}
    assert rows[2]["parameters"] < rows[1]["parameters"] <= rows[0]["parameters"] == 12 * 12 + 12 + 12 * 4 + 4
    assert compression.compressed.stripping_error < 1e-5
    assert len(compression.history) == 7


def test_a_stripped_network_answers_as_the_masked_one(given: Given) -> None:
    network = keras.models.clone_model(given.network)
    network.set_weights(given.network.get_weights())
    hidden = network.get_layer("hidden")
    hidden.kernel.assign(hidden.kernel * np.arange(12)[:, None] % 3 * 0.7)
    found = assess(network, given.network, given.images, 0.1, [], [])
    logits = network(given.images.normalization.layer()(given.images.held_out.images))
    np.testing.assert_allclose(found.network(given.images.held_out.images.astype("float32")), logits, atol=1e-5)
    assert found.point.accuracy == evaluate(network, given.images.batches(given.images.held_out)).accuracy
    cut = assess(_without(network, "hidden"), given.network, given.images, 0.1, [], [])
    assert not cut.point.connected and found.point.connected


def _without(network: keras.Model, layer: str) -> keras.Model:
    network.get_layer(layer).kernel.assign(np.zeros_like(network.get_layer(layer).kernel))
    return network


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if epoch + 1 == self.after:
            raise Killed


def killing(fit: int, after: int) -> Callable:
    """A progress that kills the fit of this number after so many of its epochs."""
    fits = itertools.count(1)
    return lambda *_: Kill(after if next(fits) == fit else 0)


def point_of(folder: Path) -> dict:
    content = json.loads((folder / "point.json").read_text())
    for rows in (content["history"], content["fine_tuning_history"]):
        for row in rows:
            del row["seconds"]
    del content["network_sha256"], content["sha256"]  # The file holds the date.
    return content


@pytest.mark.cpu
def test_a_compression_that_was_killed_ends_with_the_same_points(
    finished: tuple[Compression, Path], given: Given, tmp_path: Path
) -> None:
    """In the first point's epochs, and behind its fine-tuning."""
    for fit, after in ((1, 4), (2, 1)):
        with pytest.raises(Killed):
            compress(given, (), CONFIG, tmp_path, dataclasses.replace(LOGGED, watch=killing(fit, after)))
    compress(given, (), CONFIG, tmp_path)
    assert (tmp_path / "curve.csv").read_bytes() == (finished[1] / "curve.csv").read_bytes()
    for name in ("0.0001", "0.01"):
        ours, theirs = tmp_path / "points" / name, finished[1] / "points" / name
        assert point_of(ours) == point_of(theirs)
        weights = [keras.models.load_model(folder / "network.keras").get_weights() for folder in (ours, theirs)]
        assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_a_point_that_was_damaged_is_none_and_that_is_told(
    finished: tuple[Compression, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "point"
    shutil.copytree(finished[1] / "points" / "0.01", folder)
    assert read_compressed(folder).point == finished[0].compressed.point
    assert read_compressed(tmp_path) is None and not caplog.messages
    for name in ("point.json", "network.keras"):
        good = (folder / name).read_bytes()
        places = range(0, len(good), len(good) // 23)
        turned = [good[:at] + bytes([good[at] ^ 1 << at % 7]) + good[at + 1 :] for at in places]
        for content in (b"", good[: len(good) // 2], good[:-3], *turned):
            (folder / name).write_bytes(content)
            caplog.clear()
            assert read_compressed(folder) is None
            (line,) = caplog.messages
            assert line.startswith(f"{folder / 'point.json'} is damaged, or its network is")
        (folder / name).write_bytes(good)
    (folder / "network.keras").unlink()
    assert read_compressed(folder) is None


def test_points_are_kept_and_only_the_choice_is_made_again(finished: tuple[Compression, Path], given: Given) -> None:
    def refuse(*_: object) -> keras.callbacks.Callback:
        raise AssertionError("nothing is to be trained")

    progress = dataclasses.replace(LOGGED, watch=refuse)
    tight = dataclasses.replace(CONFIG, max_accuracy_loss=0.0, max_parameters=1000)
    again = compress(given, (), tight, finished[1], progress)
    assert again.chosen.point.accuracy == max(point.accuracy for point in again.points)
    none = dataclasses.replace(tight, max_parameters=3)
    with pytest.raises(
        UserError, match="no point of the curve is within max_parameters=3: the nearest, of penalty 0.01"
    ):
        compress(given, (), none, finished[1], progress)


def test_the_phases_are_trainings_of_deterministic_weights() -> None:
    training = phase(CONFIG, 7)
    assert (training.variational, training.optimizer, training.epochs, training.batch_size) == (False, "sgd", 7, 32)
    assert training.label_smoothing == training.weight_decay == 0
