"""Networks that are brought along, and those of run folders: what is read of them, and what is refused."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from vinnas_tf.compress.__main__ import Origin
from vinnas_tf.compress.source import of_file, of_package, of_run, require_known, sha256
from vinnas_tf.config import CompressConfig, DataConfig, SearchConfig, TrainConfig
from vinnas_tf.data import record as image_record
from vinnas_tf.data.images import Dataset, load_train
from vinnas_tf.errors import DataError, FileError, UserError
from vinnas_tf.export.source import read_finished
from vinnas_tf.network.files import save_network
from vinnas_tf.run.folder import RunDir
from vinnas_tf.run.outputs import trained_stage
from vinnas_tf.train.images import TrainingImages

Layers = list[keras.layers.Layer]


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_train(DataConfig(data_fraction=0.3), 0)


def saved(layers: Layers, folder: Path) -> CompressConfig:
    keras.utils.set_random_seed(0)
    file = folder / "network.keras"
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(file)
    return CompressConfig(network=str(file))


def adapted() -> keras.layers.Layer:
    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng(1).uniform(0, 255, (50, 8, 8, 1)))
    return layer


FIRST = {
    "rescaling": lambda: keras.layers.Rescaling(1 / 127.5, offset=-1.0),
    "normalization": lambda: keras.layers.Normalization(mean=[30.0], variance=[900.0]),
    "adapted": adapted,
    "none": lambda: None,
}


@pytest.mark.parametrize("first", FIRST)
def test_a_file_is_a_network_of_the_images_that_it_was_made_for(first: str, digits: Dataset, tmp_path: Path) -> None:
    layer = FIRST[first]()
    rest: Layers = [
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ]
    config = saved([*([layer] if layer else []), *rest], tmp_path)
    given = of_file(config, digits)
    brought = keras.models.load_model(config.network)
    raw = given.images.held_out.images.astype("float32")
    normalized = given.images.normalization.layer()(raw)
    np.testing.assert_allclose(given.network(normalized), brought(raw if layer else normalized), rtol=1e-4, atol=1e-4)
    assert given.trained and "has learnt from the" in given.note
    expected = TrainingImages.of(digits, config.held_out, config.seed).normalization
    assert (given.images.normalization == expected) == (layer is None)
    assert [one.name for one in given.network.layers if isinstance(one, type(layer))] == []


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (
            lambda: [keras.layers.Flatten(), keras.layers.Dense(9, activation="tanh", name="one"),
                     keras.layers.LayerNormalization(name="two"), keras.layers.Dense(10)],
            "the layer one can't be masked, as activation=tanh; the layer two can't be masked, as it is a "
            "LayerNormalization; what can be masked is Conv2D",
        ),
        (lambda: [keras.layers.Flatten(), keras.layers.Dense(7)], "it returns (7,), the data set has 10 classes"),
        (
            lambda: [keras.layers.Rescaling(0.0), keras.layers.Flatten(), keras.layers.Dense(10)],
            "must have a mean, and a deviation above 0, for all channels or each",
        ),
        (
            lambda: [keras.layers.Normalization(axis=(1, 2, 3), mean=np.zeros((8, 8, 1)), variance=np.ones((8, 8, 1))),
                     keras.layers.Flatten(), keras.layers.Dense(10)],
            "must have a mean, and a deviation above 0, for all channels or each",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_compressed_is_said_with_all_its_reasons(layers, says, digits: Dataset, tmp_path: Path) -> None:
    config = saved(layers(), tmp_path)
    with pytest.raises(FileError) as caught:
        of_file(config, digits)
    assert str(caught.value).startswith(f"{config.network} can't be compressed: ") and says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_networks_are_known_by_name_or_as_files(tmp_path: Path) -> None:
    for name in ("", "lenet_5", "lenet_300_100", "some/where.keras"):
        require_known(CompressConfig(network=name))
    with pytest.raises(UserError, match="unknown network=lenet5: did you mean lenet_5"):
        require_known(CompressConfig(network="lenet5"))
    with pytest.raises(UserError, match=r"unknown network=x.h5: there are lenet_300_100, lenet_5, and files .* NAME"):
        require_known(CompressConfig(network="x.h5"))
    with pytest.raises(UserError, match="dense_epochs is read only with network=lenet_300_100 or lenet_5: leave it"):
        require_known(CompressConfig(network="x.keras", dense_epochs=3))
    with pytest.raises(UserError, match="held_out is read only with network=..., not of a run folder"):
        require_known(CompressConfig(held_out=0.2))
    (tmp_path / "a.keras").write_bytes(b"abc")
    assert sha256(str(tmp_path / "a.keras")) == hashlib.sha256(b"abc").hexdigest()
    assert sha256("lenet_5") == ""
    with pytest.raises(FileError, match="can't read .*b.keras: No such file"):
        sha256(str(tmp_path / "b.keras"))


def test_a_network_of_the_package_is_untrained_and_sees_black_as_0(digits: Dataset) -> None:
    given = of_package(CompressConfig(network="lenet_300_100"), digits)
    assert not given.trained
    assert np.all(given.images.normalization.layer()(np.zeros((1, 8, 8, 1))) == 0)
    few = dataclasses.replace(digits, train=digits.train.take(np.unique(digits.train.labels, return_index=True)[1]))
    with pytest.raises(DataError, match="of 10 training images held_out=0.1 takes none"):
        of_package(CompressConfig(network="lenet_300_100"), few)


def write_stage(run_dir: Path, digits: Dataset, held_out: float, stage: str = "train", origin: Origin | None = None):
    """What a training, or a compression, leaves that is read of it; returns its images and the network's SHA-256."""
    images = TrainingImages.of(digits, held_out, 7)
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 1)), images.normalization.layer(), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    stacked = keras.Sequential([*layers, keras.layers.Dense(10)])
    network = keras.Model(stacked.inputs[0], stacked.outputs[0])
    own: dict[str, list[Any]] = {
        "train": [TrainConfig()],
        "search": [SearchConfig()],
        "compress": [CompressConfig(), origin],
    }
    architecture = {"train": "genotype", "search": "masks", "compress": "compression"}[stage]
    everything = [DataConfig(), *own[stage]]
    with RunDir(run_dir, stage=stage, settings=everything, data_fingerprint=digits.fingerprint) as run:
        named = ("weights", "watched") if stage == "search" else ("training", "held_out")
        parts = dict(zip((*named, "test"), (images.learnt_from, images.held_out, images.held_out), strict=True))
        image_record.write(run.file(image_record.NAME), parts, digits.class_names)
        run.file(f"{architecture}.json").write_text("{}")
        result = {
            "dataset": "digits",
            "class_names": digits.class_names,
            "image_shape": [8, 8, 1],
            "preparation": dataclasses.asdict(digits.preparation),
            "test_fingerprint": "",
            f"{architecture}_sha256": "",
            "network_sha256": save_network(network, run.file("network.keras")),
            "dense_network_sha256": save_network(network, run.file("network_dense.keras")),
        }
        run.file("result.json").write_text(json.dumps(result))
        run.mark_finished()
    return images, result["network_sha256"]


@pytest.mark.parametrize("stage", ["train", "search"])
def test_of_a_run_it_is_its_network_and_the_images_that_it_held_out(
    stage: str, digits: Dataset, tmp_path: Path
) -> None:
    images, _ = write_stage(tmp_path, digits, 0.2, stage)
    assert trained_stage(tmp_path) == stage
    finished = read_finished(tmp_path, stage)
    given = of_run(tmp_path, finished, digits)
    assert set(given.images.held_out.digests) == set(images.held_out.digests)
    assert set(given.images.learnt_from.digests) == set(images.learnt_from.digests)
    raw = images.held_out.images.astype("float32")
    np.testing.assert_allclose(
        given.network(given.images.normalization.layer()(raw)), finished.source.network(raw), rtol=1e-4, atol=1e-4
    )
    with pytest.raises(DataError, match=f"training images of digits are not those of the {stage} in"):
        of_run(tmp_path, finished, dataclasses.replace(digits, fingerprint="other"))


def test_a_training_without_held_out_images_is_refused(digits: Dataset, tmp_path: Path) -> None:
    write_stage(tmp_path, digits, 0.0)
    with pytest.raises(DataError, match="held no images out, and the point of the curve is chosen by those: train wi"):
        of_run(tmp_path, read_finished(tmp_path, "train"), digits)


def test_a_network_that_was_trained_anew_since_is_not_exported_as_its_compression(
    digits: Dataset, tmp_path: Path
) -> None:
    _, trained = write_stage(tmp_path, digits, 0.2)
    write_stage(tmp_path, digits, 0.2, "compress", Origin("train", trained))
    assert read_finished(tmp_path).stage == "compress"
    assert read_finished(tmp_path, "train").stage == "train"
    write_stage(tmp_path / "other", digits, 0.2)
    write_stage(tmp_path / "other", digits, 0.2, "compress", Origin("train", "of another"))
    with pytest.raises(FileError, match="holds another network's compression, for the training was done anew: c"):
        read_finished(tmp_path / "other")
