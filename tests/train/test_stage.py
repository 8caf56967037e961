"""A training from Python: the same as the command's, silent, resumed where it stopped; one line on what doesn't fit."""

import doctest
import json
import logging
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.config import DataConfig, RunConfig, TrainConfig
from vinnas_tf.data.images import load_test, load_train
from vinnas_tf.errors import UserError
from vinnas_tf.network.build import build_network
from vinnas_tf.optimizer import PosteriorSGD
from vinnas_tf.run.files import read_metrics
from vinnas_tf.run.folder import RunDir
from vinnas_tf.train import stage
from vinnas_tf.train.__main__ import train
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.result import TrainResult
from vinnas_tf.train.stage import Training, make_model

GENOTYPE = Genotype(1, {"reduction": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "skip"))})
SETTINGS: dict[str, Any] = {
    "epochs": 2, "batch_size": 16, "held_out": 0.2, "gamma_start_epoch": 0, "gamma_end_epoch": 1,
    "log_variance_rate": 20.0, "log_noise_ratio_threshold": 1.0, "fine_tuning_epochs": 1, "seed": 3,
}  # fmt: skip
AUGMENT = ("crop",)
GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.permutation(np.arange(60) % 3).astype(np.int64)
IMAGES = (GENERATOR.integers(80, size=(60, 8, 8)) + 80 * LABELS[:, None, None]).astype(np.uint8)
TEST = np.flip(IMAGES, axis=2).copy(), LABELS


def network(classes: int = 10, **arguments) -> keras.Model:
    size = {"cells": "R", "channels": 4, "image_shape": (8, 8, 1), "classes": classes}
    return build_network(GENOTYPE, **{**size, "seed": 3, **arguments})


@pytest.fixture(scope="module")
def trained():
    return Training(augment=AUGMENT, **SETTINGS).fit(network(3), IMAGES, LABELS)


@pytest.mark.cpu
def test_it_gives_what_the_command_gives_for_the_same_images(tmp_path, capsys) -> None:
    data, config = DataConfig(data_fraction=0.1, augment=AUGMENT), TrainConfig(cells="R", channels=4, **SETTINGS)
    dataset, test = load_train(data, config.seed), load_test(data)
    with RunDir(tmp_path, stage="train", settings=[data, config, RunConfig()], data_fingerprint="") as run:
        result = train(data, config, GENOTYPE, dataset, run, test_images=0, learnt_before=np.zeros(0, np.uint64))
    capsys.readouterr()
    parts = TrainingImages.of(dataset, config.held_out, config.seed)
    ours, held_out = ((part.images[::-1], part.labels[::-1]) for part in (parts.learnt_from, parts.held_out))
    trained = Training(augment=AUGMENT, **SETTINGS).fit(network(), *ours, validation=held_out)
    assert capsys.readouterr() == ("", "")
    command = keras.models.load_model(tmp_path / "train" / "network.keras", compile=False)
    for mine, theirs in zip(trained.network.get_weights(), command.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    varies = ("train_seconds", "class_counts")
    figures = json.loads(json.dumps(trained.figures()))
    assert {k: v for k, v in figures.items() if k not in varies} == {k: result[k] for k in figures if k not in varies}
    assert {**result["class_counts"], **figures["class_counts"]} == result["class_counts"]
    assert trained.evaluate(test.images, test.labels).figures() == result["test"]["stripped"]
    rows = read_metrics(tmp_path / "train" / "metrics.csv")
    assert [{**row, "seconds": 0} for row in trained.history] == [{**row, "seconds": 0} for row in rows]


def test_the_network_is_plain_keras_from_raw_pixels_and_pruned(trained) -> None:
    assert {type(layer).__module__.split(".")[0] for layer in trained.network.layers} == {"keras"}
    logits = trained.network.predict(TEST[0][..., None].astype(np.float32), verbose=0)
    assert np.mean(logits.argmax(axis=1) == TEST[1]) == pytest.approx(trained.evaluate(TEST).accuracy)
    count = sum(np.count_nonzero(weight) for weight in trained.network.trainable_weights)
    assert count == trained.costs["params_stored_nonzero"] < trained.costs["params_dense"]
    (used,) = (point for point in trained.curve if point.threshold == 1)
    assert used.params_nonzero < max(point.params_nonzero for point in trained.curve)


def test_what_is_saved_is_read_back(trained, tmp_path) -> None:
    trained.save(tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    images = TEST[0][..., None].astype(np.float32)
    for name, model in (("network", trained.network), ("network_dense", trained.dense)):
        again = keras.models.load_model(folder / f"{name}.keras")
        np.testing.assert_array_equal(again.predict(images, verbose=0), model.predict(images, verbose=0))
    result = json.loads((folder / "result.json").read_text())
    assert result["held_out"]["stripped"]["accuracy"] == trained.held_out["stripped"].accuracy
    assert result["class_names"] == ["0", "1", "2"]
    assert "test" not in result
    assert read_metrics(folder / "metrics.csv") == trained.history
    assert read_metrics(folder / "fine_tuning.csv") == trained.fine_tuning_history
    assert len(read_metrics(folder / "threshold.csv")) == len(trained.curve)


class Interrupt(keras.callbacks.Callback):
    """Ends the training after its first epoch, as Ctrl-C does."""

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        assert "val_accuracy" in (logs or {})
        raise KeyboardInterrupt


@pytest.mark.cpu
def test_an_interrupted_training_goes_on_with_the_same_result(trained, tmp_path) -> None:
    training = Training(augment=AUGMENT, **SETTINGS)
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).shuffle(60, seed=1).batch(7)
    with pytest.raises(KeyboardInterrupt):
        training.fit(network(3), pairs, checkpoints=tmp_path / "state", callbacks=[Interrupt()])
    resumed = training.fit(network(3), pairs, checkpoints=tmp_path / "state")
    for mine, whole in zip(resumed.network.get_weights(), trained.network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, whole)
    assert len(resumed.history) == 2
    sparser = Training(augment=AUGMENT, **{**SETTINGS, "log_noise_ratio_threshold": -2.0, "fine_tuning_epochs": 0})
    again = sparser.fit(network(3), pairs, checkpoints=tmp_path / "state")
    assert again.history == resumed.history
    assert again.costs["params_nonzero"] < resumed.costs["params_nonzero"]
    for other, model, named in (
        (Training(augment=AUGMENT, **{**SETTINGS, "seed": 4}), network(3), "seed"),
        (training, network(3, channels=6), "network"),
    ):
        with pytest.raises(UserError, match=rf"holds another training \({named} differ\)"):
            other.fit(model, pairs, checkpoints=tmp_path / "state")


RECIPE: dict[str, Any] = {
    "variational": False, "epochs": 3, "batch_size": 16, "held_out": 0.2, "optimizer": "sgd", "learning_rate": 0.1,
    "warm_up_epochs": 1, "schedule": "linear", "final_learning_rate": 0.01, "weight_decay": 3e-4, "clip_norm": 5.0,
}  # fmt: skip


class Rates(keras.callbacks.Callback):
    """Keeps the learning rate of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self.rates.append(float(self.model.optimizer.learning_rate))


@pytest.mark.cpu
def test_a_published_recipe_reaches_the_steps_and_resumes(tmp_path) -> None:
    training, rates = Training(augment=("crop", "flip", "cutout"), **RECIPE), Rates()

    def fit(**arguments) -> TrainResult:
        return training.fit(network(3, variational=False), IMAGES, LABELS, **arguments)

    whole = fit(callbacks=[rates])
    # Two steps an epoch: in the first of three the rate rises, then it falls in four steps.
    np.testing.assert_allclose(rates.rates, [0, 0.05, 0.1, 0.0775, 0.055, 0.0325], atol=1e-7)
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoints=tmp_path, callbacks=[Interrupt()])
    for mine, expected in zip(
        fit(checkpoints=tmp_path).network.get_weights(), whole.network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, expected)


def test_the_settings_reach_the_optimizer() -> None:
    net = network(3, variational=False)
    # Three steps an epoch, of which one of three warms up.
    for own, rates in (
        ({"schedule": "steps", "schedule_epochs": (2,), "final_learning_rate": 0.0}, [0.1, 0.1, 0.1, 0.01, 0.01]),
        ({"schedule": "restarts", "schedule_epochs": (1,)}, [0.1, 0.0775, 0.0325, 0.1, 0.0939711]),
    ):
        schedule = make_model(net, TrainConfig(**RECIPE | own), 48).optimizer._learning_rate
        np.testing.assert_allclose([float(schedule(step)) for step in range(3, 8)], rates, rtol=1e-5)
    optimizer = make_model(net, TrainConfig(**RECIPE), 48).optimizer
    assert isinstance(optimizer, PosteriorSGD)
    assert (optimizer.momentum, optimizer.l2, optimizer.global_clipnorm) == (0.9, 3e-4, 5.0)
    assert make_model(net, TrainConfig(log_variance_rate=7.0), 48).optimizer.log_variance_rate == 7.0


def test_verbose_prints_the_commands_table_and_else_a_log_tells(capsys, caplog) -> None:
    settings: dict[str, Any] = {**SETTINGS, "epochs": 2, "fine_tuning_epochs": 0}
    Training(**settings).fit(network(3), IMAGES, LABELS, verbose=1)
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("  1/2 ", "  2/2 ")) for line in lines) == 2
    assert max(map(len, lines)) <= 80
    assert not any("--" in line for line in lines)
    with caplog.at_level(logging.INFO, logger="vinnas_tf"):
        Training(**settings).fit(network(3), IMAGES, LABELS)
    assert capsys.readouterr().out == ""
    assert [record.message.split(":")[0] for record in caplog.records if record.message.startswith("epoch")] == [
        "epoch 1/2",
        "epoch 2/2",
    ]


def test_images_that_were_learnt_from_are_told(trained, caplog) -> None:
    trained.evaluate(IMAGES[:5], LABELS[:5])
    assert "5 of 5 images" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 3}, "knows no setting epoch: did you mean epochs?"),
        ({"zzz": 3}, "knows no setting zzz: it knows variational, epochs"),
        ({"cells": "NR"}, "cells='NR' shapes the network: give it to build_network"),
        ({"epochs": 3}, "gamma_end_epoch must be below epochs=3"),
        ({"augment": ["blur"]}, "augment knows resized_crop"),
    ],
)
def test_settings_that_do_not_fit_are_told_in_one_line(settings, message) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Training(**settings)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


@pytest.mark.parametrize(
    ("built", "settings", "labels", "message"),
    [
        ({"image_shape": (9, 8, 1)}, {}, LABELS, "must be of 9 x 8 x 1 .* got 8 x 8 x 1"),
        ({"classes": 2}, {}, LABELS, "must lie below 2, the number of classes, got 2"),
        ({"variational": False}, {}, LABELS, "variational=True and the network was built without"),
        ({"drop_path": 0.1}, {}, LABELS, "drop_path=0.0 and the network was built with drop_path"),
        ({}, {"auxiliary_weight": 0.4}, LABELS, "auxiliary_weight=0.4 and the network was built without auxiliary"),
        ({}, {"batch_size": 500}, LABELS, "batch_size=500 is more than"),
        ({}, {}, LABELS * 0, "all images are of class 0"),
        ({}, {"learning_rate": 1e30}, LABELS, "the loss is not finite in epoch 1. Train a new network"),
    ],
)
def test_what_can_not_be_trained_is_told_in_one_line(built, settings, labels, message) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Training(**{**SETTINGS, **settings}).fit(network(**{"classes": 3, **built}), IMAGES, labels)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


def test_a_network_of_another_make_is_refused() -> None:
    plain = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(UserError, match="must be one that build_network made"):
        Training(**SETTINGS).fit(plain, IMAGES, LABELS)


def test_the_example_runs() -> None:
    assert doctest.testmod(stage).failed == 0
