"""Run by tests/test_devices.py in a process of its own, since TensorFlow splits a CPU into devices at its start only.

Prints what it finds as JSON, by the name of a check. The reference of a step is a loop over the parts of its batch on
one device, with gradients, clipping and descent written out.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

_CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(_CPU, [tf.config.LogicalDeviceConfiguration()] * 4)

import keras  # noqa: E402
import numpy as np  # noqa: E402

from vinnas_tf import kernels  # noqa: E402
from vinnas_tf.architecture.genotype import Edge, Genotype  # noqa: E402
from vinnas_tf.config import DataConfig, DeviceConfig, SearchConfig  # noqa: E402
from vinnas_tf.data.batches import Normalization  # noqa: E402
from vinnas_tf.data.images import load_train  # noqa: E402
from vinnas_tf.devices import Devices  # noqa: E402
from vinnas_tf.errors import UserError  # noqa: E402
from vinnas_tf.methods import make_method, method_from  # noqa: E402
from vinnas_tf.network.build import build_network  # noqa: E402
from vinnas_tf.search.model import SearchModel  # noqa: E402
from vinnas_tf.search.stage import make_model, train_and_choose  # noqa: E402
from vinnas_tf.search.supergraph import Supergraph  # noqa: E402
from vinnas_tf.train.model import TrainModel  # noqa: E402
from vinnas_tf.train.stage import Training  # noqa: E402

EXAMPLES, CLASSES, SMOOTHING, RATE, NORM = 40, 3, 0.1, 0.1, 0.5
GENERATOR = np.random.default_rng(0)
GENOTYPE = Genotype(1, {"normal": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "max_pool_3x3"))})
Settings = dict[str, Any]
QUIET: Settings = {"verbose": 0, "shuffle": False}
Batch = tuple[tf.Tensor, tf.Tensor]


def batch(size: int) -> Batch:
    images = GENERATOR.normal(size=(size, 8, 8, 1)).astype(np.float32)
    return tf.constant(images), tf.constant(GENERATOR.integers(0, CLASSES, size), tf.int32)


def on(count: int) -> Devices:
    return Devices(DeviceConfig(devices=str(count)))


def parts_of(whole: Batch, count: int) -> list[Batch]:
    bounds = [place * len(whole[1]) // count for place in range(count + 1)]
    return [(whole[0][a:b], whole[1][a:b]) for a, b in zip(bounds, bounds[1:], strict=False)]


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    targets = (1 - SMOOTHING) * np.eye(CLASSES, dtype=np.float32)[labels.numpy()] + SMOOTHING / CLASSES
    return -tf.reduce_sum(targets * tf.nn.log_softmax(logits), axis=-1)


def descended(values: list[np.ndarray], gradients: list[np.ndarray], norm: float | None = None) -> list[np.ndarray]:
    """Gradient descent at RATE, the gradients of all together no longer than `norm`."""
    length = np.sqrt(sum(np.sum(np.square(gradient)) for gradient in gradients))
    factor = 1.0 if norm is None else min(1.0, norm / length)
    return [value - RATE * factor * gradient for value, gradient in zip(values, gradients, strict=True)]


def largest(ours: list[Any], theirs: list[np.ndarray]) -> float:
    return max(float(np.abs(np.asarray(a) - b).max()) for a, b in zip(ours, theirs, strict=True))


def copies(variables: list[keras.Variable], count: int) -> float:
    """The largest difference between what the devices hold of the same variables."""
    held = [[copy.numpy() for copy in variable.value.values] for variable in variables]
    assert all(len(on_device) == count for on_device in held)
    return max(float(np.abs(one - on_device[0]).max()) for on_device in held for one in on_device)


def search_model() -> SearchModel:
    """VINNAS with noise, gradient descent on weights, clipped, and Keras's own on alphas."""
    settings: Settings = {
        "cells": "N",
        "states": 1,
        "channels": 2,
        "batch_size": 10,
        "seed": 3,
        "label_smoothing": SMOOTHING,
    }
    method = method_from({"method": "vinnas", **settings})
    model = SearchModel(Supergraph(method, CLASSES), method, EXAMPLES)
    model.build((None, 8, 8, 1))
    model.compile(keras.optimizers.SGD(RATE, global_clipnorm=NORM), keras.optimizers.SGD(RATE))
    for name, gamma in {"kl_weights": 0.7, "kl_alphas": 0.5, "entropy": 0.4}.items():
        model.scheduled[f"gamma_{name}"].assign(gamma)
    return model


def search_step(count: int) -> dict[str, float]:
    """A weight step and an alpha step on several devices, and by hand on one."""
    halves = (batch(9), batch(9))
    devices = on(count)
    with devices.scope():
        model = search_model()
    model.run_eagerly = True  # Tracing would take longer.
    figures = model.fit(devices.shared(tf.data.Dataset.from_tensors(halves)), steps_per_epoch=1, **QUIET).history
    reference = search_model()
    state = tf.cast(reference.seed_generator.state.value, tf.int32)
    expected: dict[str, float] = {}
    for step, (half, terms) in enumerate(zip(halves, (["kl_weights"], ["kl_alphas", "entropy"]), strict=True)):
        graph = reference.supergraph
        variables = graph.architecture_variables if step else graph.weight_variables
        total = [np.zeros(variable.shape) for variable in variables]
        sums = dict.fromkeys(["ce", *terms], 0.0)
        for place, (images, labels) in enumerate(parts_of(half, count)):
            with tf.GradientTape() as tape:
                draw = reference.method.draw(kernels.fold_in(state + [0, step], place))
                raw = reference.method.values(draw, graph)
                ce = tf.reduce_mean(cross_entropy(labels, graph(images, draw)))
                scale = {name: 1.0 if name == "entropy" else 1 / EXAMPLES for name in terms}
                added = [reference.scheduled[f"gamma_{name}"].value * scale[name] * raw[name] for name in terms]
                loss = ce + tf.add_n(added)
            share = len(labels) / len(half[1])
            for sum_, gradient in zip(total, tape.gradient(loss, [v.value for v in variables]), strict=True):
                sum_ += share * gradient.numpy()
            for name, value in {"ce": ce, **{name: raw[name] for name in terms}}.items():
                sums[name] += share * float(value)
        after = descended([v.numpy() for v in variables], total, None if step else NORM)
        for variable, value in zip(variables, after, strict=True):
            variable.assign(value)
        expected |= {("alpha_" * step + "cross_entropy" if name == "ce" else name): sums[name] for name in sums}
    names = ("weight_variables", "architecture_variables")
    ours, theirs = ([getattr(one.supergraph, name) for name in names] for one in (model, reference))
    return {
        "weights": largest(ours[0], [v.numpy() for v in theirs[0]]),
        "alphas": largest(ours[1], [v.numpy() for v in theirs[1]]),
        "figures": max(abs(figures[name][-1] / value - 1) for name, value in expected.items()),
        "copies": copies([*ours[0], *ours[1]], count),
        "steps": abs(int(model.weight_optimizer.iterations.numpy()) - 1),
    }


def train_model(network: keras.Model) -> TrainModel:
    weights = np.array([0.5, 1.0, 2.0])
    model = TrainModel(
        network, examples=EXAMPLES, label_smoothing=SMOOTHING, auxiliary_weight=0.0, class_weights=weights
    )
    model.compile(keras.optimizers.SGD(RATE, global_clipnorm=NORM))
    return model


def running(network: keras.Model) -> list[keras.Variable]:
    """The running statistics of all normalisations."""
    layers = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return [variable for layer in layers for variable in (layer.moving_mean, layer.moving_variance)]


def train_step(count: int) -> dict[str, float]:
    """A training step with batch normalisation on several devices, and by hand on one."""
    whole, devices = batch(10), on(count)
    network = build_network(
        GENOTYPE, cells="N", channels=2, image_shape=(8, 8, 1), classes=CLASSES, variational=False, seed=1
    )
    reference = keras.models.clone_model(network)
    reference.set_weights(network.get_weights())
    with devices.placed(network) as placed:
        with devices.scope():
            model = train_model(placed)
        data = devices.shared(tf.data.Dataset.from_tensors(whole))
        figures = model.fit(data, steps_per_epoch=1, **QUIET).history
    variables = reference.trainable_variables
    total = [np.zeros(variable.shape) for variable in variables]
    ce, first = 0.0, list[np.ndarray]()
    for images, labels in parts_of(whole, count):
        with tf.GradientTape() as tape:
            weights = np.array([0.5, 1.0, 2.0], np.float32)[labels.numpy()]
            loss = tf.reduce_mean(weights * cross_entropy(labels, reference(images, training=True)))
        share = len(labels) / len(whole[1])
        ce += share * float(loss)
        for sum_, gradient in zip(total, tape.gradient(loss, [v.value for v in variables]), strict=True):
            sum_ += share * gradient.numpy()
        first = first or [variable.numpy() for variable in running(reference)]
    return {
        "weights": largest(network.trainable_variables, descended([v.numpy() for v in variables], total, NORM)),
        "statistics": largest(running(network), first),
        "cross_entropy": abs(figures["cross_entropy"][-1] / ce - 1),
    }


def same_images(method: str, count: int, **own: Any) -> float:
    """A step of a method without noise: where all parts are the same images, several devices do what one does."""
    (a, ya), (b, yb) = batch(3), batch(3)
    moved = []
    for devices in (on(count), on(1)):
        settings: Settings = {
            "cells": "N",
            "states": 1,
            "channels": 2,
            "batch_size": 3 * count,
            "seed": 3,
            "epochs": 1,
        }
        method_settings = {"method": method, "weight_epochs": 0, **settings, **own}
        model = make_model(method_from(method_settings), (8, 8, 1), 3, 40, devices=devices)
        model.run_eagerly = True  # Tracing would take longer.
        halves = tuple((tf.tile(x, [count, 1, 1, 1]), tf.tile(y, [count])) for x, y in ((a, ya), (b, yb)))
        model.fit(devices.shared(tf.data.Dataset.from_tensors(halves)), steps_per_epoch=1, **QUIET)
        moved.append([v.numpy() for v in model.supergraph.trainable_variables])
    return largest(*moved)


class Killed(Exception):
    """Ends a search after its first epoch."""


class _Kill(keras.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        raise Killed


def epochs() -> dict[str, Any]:
    """Cross-entropies after three epochs: on one device for three seeds; on two, and after the first epoch on four."""
    dataset = load_train(DataConfig(data_fraction=0.6), 0)
    normalization = Normalization.of(dataset.train)

    def search(seed: int, devices: int, folder: Path | None = None, killed: bool = False) -> Any:
        settings: Settings = {
            "cells": "N",
            "states": 1,
            "channels": 2,
            "epochs": 3,
            "weight_epochs": 1,
            "batch_size": 30,
        }
        method = make_method(SearchConfig(method="darts", seed=seed, weight_learning_rate=0.03, **settings))
        return train_and_choose(
            method,
            method.split(dataset.train, seed),
            normalization,
            10,
            device=DeviceConfig(devices=str(devices)),
            folder=folder,
            begin=lambda _: [_Kill()] if killed else [],
        )

    one = [search(seed, 1).history[-1] for seed in range(3)]
    with tempfile.TemporaryDirectory() as name:
        try:
            search(0, 2, Path(name), killed=True)
        except Killed:
            pass
        several = search(0, 4, Path(name)).history
    keys = ("cross_entropy", "alpha_cross_entropy", "weight_accuracy")
    return {
        "one": [[row[key] for key in keys] for row in one],
        "several": [several[-1][key] for key in keys],
        "rows": len(several),
        "images": several[-1]["alpha_accuracy"] * (len(dataset.train) // 2),
    }


def fine_tuned() -> dict[str, float]:
    """A library's training on two devices, pruned and fine-tuned there too: what the network and the result hold."""
    labels = np.arange(30) % 3
    images = (GENERATOR.integers(80, size=(30, 8, 8)) + 80 * labels[:, None, None]).astype(np.uint8)
    network = build_network(GENOTYPE, cells="N", channels=2, image_shape=(8, 8, 1), classes=3, seed=1)
    before = network.get_weights()
    settings: Settings = {
        "epochs": 1,
        "batch_size": 9,
        "gamma_start_epoch": 0,
        "gamma_end_epoch": 0,
        "held_out": 0.0,
    }
    training = Training(devices=2, fine_tuning_epochs=1, log_noise_ratio_threshold=-9.0, **settings)
    trained = training.fit(network, images, labels)
    zeros = [sum(int(np.sum(v == 0)) for v in net.trainable_weights) for net in (network, trained.networks["pruned"])]
    return {
        "moved": largest(network.get_weights(), before),
        "zeros": zeros[0],
        "kept": zeros[0] - zeros[1],
        "rows": len(trained.history) + len(trained.fine_tuning_history),
    }


def refusals() -> dict[str, str]:
    told = {}
    for name, attempt in {
        "devices": lambda: on(5),
        "batch": lambda: on(4).require_batch(7),
        "fits": lambda: on(4).require_batch(8),
        "all": lambda: str(Devices(DeviceConfig(devices="all")).count),
    }.items():
        try:
            told[name] = str(attempt())
        except UserError as error:
            told[name] = str(error)
    return told


CHECKS: dict[str, Any] = {
    "refusals": refusals,
    "search_step": lambda: search_step(2),
    "train_step": lambda: train_step(4),
    "darts": lambda: same_images("darts", 2, darts_order=2),
    "bayesnas": lambda: same_images("bayesnas", 4),
    "fine_tuned": fine_tuned,
    "epochs": epochs,
}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(CHECKS)
    print(json.dumps({name: CHECKS[name]() for name in chosen}))
