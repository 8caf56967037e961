"""The alternating step: what moves, what does not, and the objective against NumPy; evaluation image by image."""

import subprocess
import sys
from typing import Any, TypeAlias

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.config import PRECISIONS, DataConfig, DeviceConfig, SearchConfig
from vinnas_tf.data.batches import Normalization, evaluation_batches, training_batches
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.images import load_train, split_halves
from vinnas_tf.devices import Devices
from vinnas_tf.methods import make_method, method_from
from vinnas_tf.search.callbacks import MeasureStatistics
from vinnas_tf.search.model import SearchModel
from vinnas_tf.search.stage import make_model

SIDE, CLASSES, EXAMPLES, BATCH = 8, 3, 40, 10
Searched: TypeAlias = tuple[SearchModel, MeasureStatistics, ImageSet, Normalization, float]


def small_model(**settings: Any) -> SearchModel:
    method = method_from({"cells": "NR", "states": 1, "channels": 4, "batch_size": BATCH, "seed": 3, **settings})
    return make_model(method, (SIDE, SIDE, 1), CLASSES, EXAMPLES)


def batch(seed: int = 0) -> tuple[tf.Tensor, tf.Tensor]:
    generator = np.random.default_rng(seed)
    images = generator.normal(size=(BATCH, SIDE, SIDE, 1)).astype("float32")
    return tf.constant(images), tf.constant(generator.integers(0, CLASSES, BATCH), tf.int32)


def values(variables: list[keras.Variable]) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables]


def changed(before: list[np.ndarray], variables: list[keras.Variable]) -> list[bool]:
    return [not np.array_equal(old, new) for old, new in zip(before, values(variables), strict=True)]


def test_weight_step_moves_all_weights_and_no_alpha() -> None:
    model = small_model()
    weights, alphas = values(model.supergraph.weight_variables), values(model.supergraph.architecture_variables)
    model.scheduled["gamma_kl_weights"].assign(1.0)
    model.descend(batch(), weights=True)
    assert all(changed(weights, model.supergraph.weight_variables))
    assert not any(changed(alphas, model.supergraph.architecture_variables))


def test_alpha_step_moves_all_alphas_and_no_weight() -> None:
    model = small_model()
    weights, alphas = values(model.supergraph.weight_variables), values(model.supergraph.architecture_variables)
    model.descend(batch(), architecture=True, logged_as="alpha")
    assert all(changed(alphas, model.supergraph.architecture_variables))
    assert not any(changed(weights, model.supergraph.weight_variables))


def test_the_two_kinds_of_variables_are_disjoint_and_complete() -> None:
    supergraph = small_model().supergraph
    weights = {id(variable) for variable in supergraph.weight_variables}
    alphas = {id(variable) for variable in supergraph.architecture_variables}
    assert not weights & alphas
    assert weights | alphas == {id(variable) for variable in supergraph.trainable_variables}


def test_fit_holds_the_alphas_until_they_are_searched() -> None:
    model = small_model()
    model.searches_architecture = False
    alphas = values(model.supergraph.architecture_variables)
    data = tf.data.Dataset.from_tensors((batch(0), batch(1))).repeat(2)
    model.fit(data, verbose=0)
    assert not any(changed(alphas, model.supergraph.architecture_variables))
    model.searches_architecture = True
    model.make_train_function(force=True)
    model.fit(data, verbose=0)
    assert all(changed(alphas, model.supergraph.architecture_variables))


def numpy_kl(mean: np.ndarray, log_variance: np.ndarray) -> float:
    log_lambda = log_variance.astype(float) - np.log(np.maximum(mean.astype(float) ** 2, 1e-300))
    k1, k2, k3 = 0.63576, 1.8732, 1.48695
    negative = k1 / (1 + np.exp(-k2 - k3 * log_lambda)) - 0.5 * np.log1p(np.exp(-log_lambda)) - k1
    return float(-negative.sum())


def test_logged_terms_are_those_of_objective_8() -> None:
    model = small_model()
    gammas = {"kl_weights": 0.7, "kl_alphas": 0.3, "entropy": 0.2}
    for name, gamma in gammas.items():
        model.scheduled[f"gamma_{name}"].assign(gamma)
    weight_kl = sum(
        numpy_kl(layer.mean.numpy(), layer.log_variance.numpy())
        for layer in model.supergraph._flatten_layers()
        if getattr(layer, "log_variance", None) is not None
    )
    alphas = {name: value.numpy() for name, value in model.supergraph.architecture.items()}
    alpha_kl = sum(numpy_kl(alphas[f"{name}/mean"], alphas[f"{name}/log_variance"]) for name in model.supergraph.groups)
    model.descend(batch(), weights=True)
    model.descend(batch(1), architecture=True, logged_as="alpha")
    logged = {metric.name: float(metric.result()) for metric in model.metrics}
    np.testing.assert_allclose(logged["kl_weights"], weight_kl, rtol=1e-3)
    np.testing.assert_allclose(logged["kl_alphas"], alpha_kl, rtol=1e-3)
    # Alphas start at 0 +- 0.001 +- exp(-5), so each edge's mixing weights are all but uniform.
    edges = sum(len(group.edges) for group in model.supergraph.groups.values())
    np.testing.assert_allclose(logged["entropy"], edges * np.log(10), rtol=1e-3)
    for name, divisor in {"kl_weights": EXAMPLES, "kl_alphas": EXAMPLES, "entropy": 1}.items():
        np.testing.assert_allclose(logged[f"{name}_weighted"], gammas[name] * logged[name] / divisor, rtol=1e-5)


def test_alpha_gradient_equals_a_finite_difference_of_the_whole_objective() -> None:
    """With plain gradient descent at rate 1, an alpha step is the negative gradient; noise is equal for equal seeds."""
    model = small_model(label_smoothing=0.1)
    model.architecture_optimizer = keras.optimizers.SGD(1.0)
    model.architecture_optimizer.build(model.supergraph.architecture_variables)
    for name, gamma in {"kl_alphas": 0.5, "entropy": 0.4}.items():
        model.scheduled[f"gamma_{name}"].assign(gamma)
    generator = np.random.default_rng(0)
    for variable in model.supergraph.architecture_variables:
        spread = generator.normal(size=variable.shape)
        variable.assign(spread if variable.name != "log_variance" else spread - 2)
    start = values(model.supergraph.architecture_variables)
    images, labels = batch()
    state = model.seed_generator.state.numpy()

    def restart(alphas: list[np.ndarray]) -> None:
        model.seed_generator.state.assign(state)
        for variable, value in zip(model.supergraph.architecture_variables, alphas, strict=True):
            variable.assign(value)
        for metric in model.metrics:
            metric.reset_state()

    def objective(alphas: list[np.ndarray]) -> float:
        restart(alphas)
        model.descend((images, labels), architecture=True, logged_as="alpha")
        logged = {metric.name: float(metric.result()) for metric in model.metrics}
        return logged["alpha_cross_entropy"] + logged["kl_alphas_weighted"] + logged["entropy_weighted"]

    restart(start)
    model.descend((images, labels), architecture=True, logged_as="alpha")
    gradient = [old - new for old, new in zip(start, values(model.supergraph.architecture_variables), strict=True)]
    for position in range(len(start)):
        direction = [np.zeros_like(value) for value in start]
        direction[position] = generator.normal(size=start[position].shape).astype("float32")
        step = 2e-3
        above = objective([v + step * d for v, d in zip(start, direction, strict=True)])
        below = objective([v - step * d for v, d in zip(start, direction, strict=True)])
        analytic = float(np.sum(gradient[position] * direction[position]))
        np.testing.assert_allclose((above - below) / (2 * step), analytic, rtol=0.05, atol=2e-3)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("own", "name", "edges"),
    [
        ({"method": "vinnas"}, "log_variance", (-40.0, 10.0)),
        ({"method": "si_vdnas"}, "log_rate", (-60.0, 60.0)),
        ({"method": "pgnas", "backbone": "lenet_300_100"}, "logit", (-60.0, 60.0)),
    ],
)
def test_at_the_edges_of_its_parameters_a_step_stays_finite_in_any_precision(precision, own, name, edges) -> None:
    """Exp of -40 and the sigmoid of 60 are beyond what 8 bits of mantissa tell from 0 and 1."""
    method = method_from({**own, "batch_size": BATCH, "seed": 3})
    if own["method"] != "pgnas":
        method = method_from({**own, "cells": "R", "states": 1, "channels": 4, "batch_size": BATCH, "seed": 3})
    model = make_model(method, (SIDE, SIDE, 1), CLASSES, EXAMPLES, devices=Devices(DeviceConfig(precision=precision)))
    for term in method.terms:
        model.scheduled[f"gamma_{term}"].assign(1.0)
    if "annealing" in model.scheduled:
        model.scheduled["annealing"].assign(1.0)
    at_edge = [variable for variable in model.supergraph.trainable_variables if variable.name == name]
    for variable in at_edge:
        variable.assign(np.resize(edges, variable.shape))
    start = values(model.supergraph.trainable_variables)
    method.step.run(model, batch(0), batch(1))
    logged = [float(metric.result()) for metric in model.metrics]
    assert at_edge and np.isfinite(logged).all()
    moved = model.supergraph.trainable_variables
    assert all(np.isfinite(value).all() for value in values(moved)) and any(changed(start, moved))
    kept = [*model.variables, *model.weight_optimizer.variables, *model.architecture_optimizer.variables]
    assert {variable.dtype for variable in kept} <= {"float32", "int64", "uint32"}


def test_a_step_in_bfloat16_is_close_to_one_in_float32_and_not_the_same() -> None:
    figures = []
    for precision in PRECISIONS:
        method = method_from({"cells": "R", "states": 1, "channels": 4, "batch_size": BATCH, "seed": 3})
        model = make_model(
            method, (SIDE, SIDE, 1), CLASSES, EXAMPLES, devices=Devices(DeviceConfig(precision=precision))
        )
        model.descend(batch(), weights=True, architecture=True)
        figures.append([float(model._means[name].result()) for name in ("cross_entropy", "kl_weights", "kl_alphas")])
        assert model.supergraph(batch()[0], method.draw(tf.constant([1, 2]))).dtype == tf.float32
    np.testing.assert_allclose(figures[1][0], figures[0][0], rtol=0.03)
    assert figures[1][0] != figures[0][0] and figures[1][1:] == figures[0][1:]  # Terms know no images.


def test_evaluation_is_of_the_mean_network() -> None:
    model = small_model()
    images, labels = batch()
    model.measure_statistics([batch(1), batch(2)])
    first = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert first == model.evaluate(images, labels, verbose=0, return_dict=True)
    logits = model(images).numpy()
    np.testing.assert_allclose(first["accuracy"], (logits.argmax(axis=-1) == labels.numpy()).mean(), rtol=1e-6)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(first["loss"], -log_probabilities[np.arange(BATCH), labels].mean(), rtol=1e-4)


def test_an_evaluation_by_statistics_that_were_never_measured_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no statistics to evaluate with: call measure_statistics first"):
        small_model().evaluate(*batch(), verbose=0)


@pytest.fixture(scope="module")
def searched() -> Searched:
    """A small search of the digits, its alpha half sorted by class, and the last accuracy that it saw."""
    config = SearchConfig(space="nasbench201", method="darts", cells="N", states=3, channels=8, batch_size=32, epochs=8)
    train = load_train(DataConfig(dataset="digits"), config.seed).train
    weight_half, alpha_half = split_halves(train, config.seed)
    by_class = alpha_half.take(np.argsort(alpha_half.labels, kind="stable"))
    normalization = Normalization.of(train)
    model = make_model(make_method(config), train.images.shape[1:], 10, len(weight_half))
    batches = [
        training_batches(
            half, batch_size=32, normalization=normalization, augment=(), seed=seed, first_epoch=0, epochs=config.epochs
        )
        for seed, half in enumerate((weight_half, alpha_half))
    ]
    measuring = MeasureStatistics(weight_half, normalization)
    history = model.fit(
        tf.data.Dataset.zip(*batches),
        validation_data=evaluation_batches(by_class, batch_size=32, normalization=normalization),
        steps_per_epoch=len(weight_half) // 32,
        epochs=config.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[measuring],
    )
    return model, measuring, by_class, normalization, history.history["val_accuracy"][-1]


@pytest.mark.parametrize("batch_size", [3, 64, 719])
def test_the_accuracy_of_a_search_depends_neither_on_the_order_of_images_nor_on_batches(
    batch_size: int, searched: Searched
) -> None:
    model, measuring, by_class, normalization, accuracy = searched
    assert len(by_class) == 719  # So that the last batches of 3 and of 64 are short.
    order = np.random.default_rng(0).permutation(719)
    predict = tf.function(model, input_signature=[tf.TensorSpec((None, 8, 8, 1))])
    predictions = []
    for images in (by_class, by_class.take(order)):
        batches = evaluation_batches(images, batch_size=batch_size, normalization=normalization)
        figures = model.evaluate(batches, callbacks=[measuring], verbose=0, return_dict=True)
        assert figures["accuracy"] == pytest.approx(accuracy, rel=1e-6)
        predictions.append(np.concatenate([predict(x) for x, _ in batches]))
    np.testing.assert_allclose(predictions[0][order], predictions[1], atol=1e-5)
    # By the statistics of its batches, each of one class or two, it would be near chance.
    assert accuracy > 0.8


def test_replicas_evaluate_as_one_device_does() -> None:
    """In a process of its own, since TensorFlow splits a CPU into two devices at its start only."""
    program = """
import vinnas_tf, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
from vinnas_tf.config import SearchConfig
from vinnas_tf.methods import make_method
from vinnas_tf.methods import make_method
from vinnas_tf.search.stage import make_model
generator = np.random.default_rng(0)
images, labels = generator.normal(size=(30, 8, 8, 1)).astype("float32"), generator.integers(0, 3, 30).astype("int32")
config = SearchConfig(space="nasbench201", method="darts", cells="N", states=3, channels=4, batch_size=8)
losses = []
for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
    with tf.distribute.MirroredStrategy(devices).scope():
        model = make_model(make_method(config), (8, 8, 1), 3, 40)
    for shift in (1.0, 0.0):  # The second time the statistics of all replicas have to move.
        model.measure_statistics([(tf.constant(images + shift), labels)])
    losses.append(model.evaluate(images, labels, batch_size=8, verbose=0)[0])
print(*losses)
"""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    one, two = map(float, output.split())
    assert one == pytest.approx(two, rel=1e-5)
