"""What a trained network is worth: the statistics it is evaluated with, its accuracy, and how far to trust it."""

from collections.abc import Iterable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

_CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """Figures of one network on one set of images.

    Attributes:
        accuracy: share of images whose most probable class is the right one.
        nll: mean negative log-likelihood of the right class, in nats.
        ece: expected calibration error (Guo et al. 2017, eq. 3): the mean distance between confidence and accuracy over
            15 equal bins of confidence, weighted by their counts.
        images: how many images.
    """

    accuracy: float
    nll: float
    ece: float
    images: int


def evaluate(model: keras.Model, batches: tf.data.Dataset) -> Evaluation:
    """Evaluates a network.

    Args:
        model: images to logits.
        batches: pairs of images and labels.
    """
    # Eagerly: for the few batches of an evaluation, tracing a network anew would take longer than running it.
    pairs = [(tf.nn.log_softmax(model(images, training=False)).numpy(), labels.numpy()) for images, labels in batches]
    log_probabilities, labels = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    return measure(log_probabilities, labels)


def measure(log_probabilities: np.ndarray, labels: np.ndarray) -> Evaluation:
    """The figures of predictions [n, classes] for labels [n]."""
    confidence = np.exp(log_probabilities.max(axis=1).astype(np.float64))
    right = log_probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * _CALIBRATION_BINS).astype(int) - 1, 0, _CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=_CALIBRATION_BINS)
    return Evaluation(
        accuracy=float(right.mean()),
        nll=float(-log_probabilities[np.arange(len(labels)), labels].mean(dtype=np.float64)),
        ece=float(np.abs(gaps).sum() / len(labels)),
        images=len(labels),
    )


def hits(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1.0 where the largest logit is that of the label, else 0.0: [n] and [n, classes] to [n]."""
    predicted = tf.argmax(logits, axis=-1, output_type=labels.dtype)
    return tf.cast(predicted == labels, tf.float32)


def update_evaluation(
    metrics: dict[str, keras.metrics.Mean], labels: tf.Tensor, logits: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Adds a batch to the running means "loss", cross-entropy without smoothing, and "accuracy"; returns both."""
    metrics["loss"].update_state(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))
    metrics["accuracy"].update_state(hits(labels, logits))
    return {name: metric.result() for name, metric in metrics.items()}


def recompute_batch_statistics(model: keras.Model, batches: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> None:
    """Sets batch normalisation's running statistics to the mean over `batches`, by their images, in place.

    In training they follow activations with noise, and kernels that pruning has changed since; a network without noise
    needs its own.

    Args:
        model: a network without noise, as `point_network` makes it.
        batches: training images as the network takes them, and labels, which are not used.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    try:
        seen = 0
        for images, _ in batches:
            for layer in layers:
                # Turns the moving average into the mean over all images so far.
                layer.momentum = seen / (seen + len(images))
            model(images, training=True)
            seen += len(images)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def choose_batch_statistics(model: keras.Model, recomputed_on: tf.data.Dataset, judged_on: tf.data.Dataset) -> bool:
    """Leaves `model` the better of its running statistics and of those recomputed; whether it is the latter.

    Those of training are of activations under noise and augmentation; those without are not what later layers saw in
    training. The more accurate ones are taken, and of equally accurate ones those of the higher likelihood.

    Args:
        model: a network without noise, as `point_network` makes it.
        recomputed_on: batches of training images.
        judged_on: batches of images kept from training; where none were, the same as `recomputed_on`.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    of_training = [(variable, variable.numpy()) for layer in layers for variable in layer.non_trainable_variables]
    before = evaluate(model, judged_on)
    recompute_batch_statistics(model, recomputed_on)
    after = evaluate(model, judged_on)
    if (after.accuracy, -after.nll) > (before.accuracy, -before.nll):
        return True
    for variable, value in of_training:
        variable.assign(value)
    return False
