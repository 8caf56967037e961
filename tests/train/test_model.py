"""The training step: its objective term by term in NumPy, its gradient by finite differences, zeros that stay."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.network.build import build_network, deterministic_network, gaussian_layers
from vinnas_tf.network.pruning import prune
from vinnas_tf.train.model import TrainModel
from vinnas_tf.variational import kl_divergence

GENOTYPE = Genotype(1, {"reduction": (Edge(2, 0, "sep_conv_3x3"), Edge(2, 1, "skip"))})
IMAGES = np.random.default_rng(0).normal(size=(200, 8, 8, 1)).astype("float32")
LABELS = np.random.default_rng(1).integers(4, size=200).astype(np.int32)
EXAMPLES, SMOOTHING, GAMMA, TOWER = 50, 0.2, 0.7, 0.4


def make(network: keras.Model, rate: float = 0.5, **arguments) -> TrainModel:
    model = TrainModel(network, examples=EXAMPLES, label_smoothing=SMOOTHING, **arguments)
    model.compile(keras.optimizers.SGD(rate))
    return model


def network(**arguments) -> keras.Model:
    return build_network(GENOTYPE, cells="R", channels=3, image_shape=(8, 8, 1), classes=4, **arguments)


def smoothed_cross_entropy(logits: np.ndarray) -> float:
    logits = np.asarray(logits, np.float64)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets = np.eye(4)[LABELS] * (1 - SMOOTHING) + SMOOTHING / 4
    return float(-(targets * log_p).sum(axis=1).mean())


def objective(model: keras.Model, auxiliary: bool) -> float:
    """The loss by its definition; the batch's own statistics, no noise to speak of."""
    outputs = model(IMAGES, training=True)
    logits, tower = outputs if auxiliary else (outputs, None)
    loss = smoothed_cross_entropy(logits)
    if tower is not None:
        loss += TOWER * smoothed_cross_entropy(tower)
    for layer in gaussian_layers(model):
        loss += GAMMA / EXAMPLES * float(tf.reduce_sum(kl_divergence(layer.mean.value, layer.log_variance.value)))
    return loss


@pytest.mark.parametrize("auxiliary", [False, True])
def test_a_step_goes_down_the_gradient_of_the_objective(auxiliary: bool) -> None:
    # With a tower on deterministic weights: its batch normalisation of single values would amplify what noise there is.
    keras.utils.set_random_seed(0)  # For the tower's initial weights.
    net = network(auxiliary=auxiliary, variational=not auxiliary)
    step = 1e-3 if auxiliary else 1e-2  # Small, for the kinks of ReLU, but the noise must not show.
    for layer in gaussian_layers(net):
        layer.log_variance.assign(np.full(layer.log_variance.shape, -26.0))  # Noise below what the difference sees.
    model = make(net, rate=1.0, auxiliary_weight=TOWER)
    model.gamma.assign(GAMMA)
    before = net.get_weights()
    names = [
        (layer, index) for layer in ("stem_conv", "cell_0_0to2_sep_conv_3x3_conv_1", "classifier") for index in (0, 2)
    ]
    expected = []
    for name, index in names:
        mean = net.get_layer(name).mean
        start = mean.numpy()
        differences = []
        for sign in (1, -1):
            moved = start.copy()
            moved.flat[index] += sign * step
            mean.assign(moved)
            differences.append(sign * objective(net, auxiliary))
        mean.assign(start)
        expected.append(sum(differences) / (2 * step))
    net.set_weights(before)
    starts = [net.get_layer(name).mean.numpy().flat[index] for name, index in names]
    model.train_step((tf.constant(IMAGES), tf.constant(LABELS)))
    moves = [
        net.get_layer(name).mean.numpy().flat[index] - start for (name, index), start in zip(names, starts, strict=True)
    ]
    np.testing.assert_allclose(-np.array(moves), expected, rtol=0.03, atol=3e-3)


def test_the_divergence_is_logged_raw_and_as_it_enters_the_loss() -> None:
    net = network()
    model = make(net)
    model.gamma.assign(GAMMA)
    raw = sum(
        float(tf.reduce_sum(kl_divergence(layer.mean.value, layer.log_variance.value)))
        for layer in gaussian_layers(net)
    )
    logs = model.train_step((tf.constant(IMAGES), tf.constant(LABELS)))
    assert float(logs["kl_weights"]) == pytest.approx(raw, rel=1e-4)
    assert float(logs["kl_weights_weighted"]) == pytest.approx(GAMMA / EXAMPLES * raw, rel=1e-4)


def test_fine_tuning_moves_what_is_left_and_no_zero() -> None:
    net = network()
    for layer in gaussian_layers(net):
        ratio = np.random.default_rng(1).uniform(0, 6, layer.mean.shape)
        layer.log_variance.assign(ratio + np.log(layer.mean.numpy() ** 2))
    prune(net)
    point = deterministic_network(net)
    before = {layer.name: layer.mean.numpy() for layer in point.layers if hasattr(layer, "mean")}
    model = make(point, keep_zeros=True)
    model.compile(keras.optimizers.Adam(0.1))  # Adam's momentum would move a zero whose gradient was masked only once.
    for _ in range(3):
        model.train_step((tf.constant(IMAGES), tf.constant(LABELS)))
    for layer in point.layers:
        if layer.name in before:
            zero = before[layer.name] == 0
            assert np.all(layer.mean.numpy()[zero] == 0), layer.name
            assert np.all(layer.mean.numpy()[~zero] != before[layer.name][~zero]), layer.name
    assert sum(int((kernel == 0).sum()) for kernel in before.values()) > 20


def test_class_weights_weigh_each_image_in_both_cross_entropies() -> None:
    """The biases of both classifiers move by the weighted mean of softmax minus targets, which NumPy can tell."""
    weights = np.array([0.2, 1.0, 3.0, 0.7])
    net = network(auxiliary=True, variational=False)
    model = make(net, rate=1.0, auxiliary_weight=TOWER, class_weights=weights)
    outputs = [np.asarray(logits, np.float64) for logits in net(IMAGES, training=True)]
    biases = [net.get_layer(name).bias for name in ("classifier", "auxiliary_classifier")]
    before = [bias.numpy() for bias in biases]
    logs = model.train_step((tf.constant(IMAGES), tf.constant(LABELS)))
    targets = np.eye(4)[LABELS] * (1 - SMOOTHING) + SMOOTHING / 4
    log_p = [logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)) for logits in outputs]
    cross_entropy = -(weights[LABELS] * (targets * log_p[0]).sum(axis=1)).mean()
    assert float(logs["cross_entropy"]) == pytest.approx(cross_entropy, rel=1e-5)
    for bias, start, p, share in zip(biases, before, np.exp(log_p), (1.0, TOWER), strict=True):
        gradient = share * (weights[LABELS][:, None] * (p - targets)).mean(axis=0)
        np.testing.assert_allclose(start - bias.numpy(), gradient, atol=1e-5)
