"""What a trained network is worth: the statistics it is evaluated with, its accuracy, and how far to trust it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels

_CALIBRATION_BINS = 15


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of one network on one set of images.

    Attributes:
        accuracy: share of images whose most probable class is the right one.
        nll: mean negative log-likelihood of the right class, in nats.
        ece: expected calibration error (Guo et al. 2017, eq. 3): the mean distance between confidence and accuracy over
            15 equal bins of confidence, weighted by their counts.
        confusion: images of each class, in rows, that were taken for each class, in columns; int [classes, classes].
    """

    accuracy: float
    nll: float
    ece: float
    confusion: np.ndarray

    @property
    def images(self) -> int:
        """How many images."""
        return int(self.confusion.sum())

    @property
    def recall(self) -> list[float | None]:
        """Of each class, the share of its images that were taken for it; None for a class without images."""
        counts = self.confusion.sum(axis=1)
        return [
            float(right / count) if count else None
            for right, count in zip(self.confusion.diagonal(), counts, strict=True)
        ]

    @property
    def standard_error(self) -> float:
        """Standard error of the accuracy, as another draw of as many images would show it; one image at the least.

        The binomial's is smaller than that where next to all images are right, and zero where all are.
        """
        return max(math.sqrt(self.accuracy * (1 - self.accuracy) / self.images), 1 / self.images)

    def figures(self) -> dict[str, Any]:
        """What result.json holds."""
        return {
            "accuracy": self.accuracy,
            "nll": self.nll,
            "ece": self.ece,
            "images": self.images,
            "recall": self.recall,
        }


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
    classes = log_probabilities.shape[1]
    confidence = np.exp(log_probabilities.max(axis=1).astype(np.float64))
    predicted = log_probabilities.argmax(axis=1)
    right = predicted == labels
    bins = np.clip(np.ceil(confidence * _CALIBRATION_BINS).astype(int) - 1, 0, _CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=_CALIBRATION_BINS)
    confusion = np.bincount(labels.astype(int) * classes + predicted, minlength=classes**2)
    return Evaluation(
        accuracy=float(right.mean()),
        nll=float(-log_probabilities[np.arange(len(labels)), labels].mean(dtype=np.float64)),
        ece=float(np.abs(gaps).sum() / len(labels)),
        confusion=confusion.reshape(classes, classes),
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
    return kernels.results(metrics)


def set_batch_statistics(model: keras.Model, batches: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> None:
    """Sets batch normalisation's running statistics to the mean over `batches`, by their images, in place.

    Those of training lag behind, follow activations with noise, and kernels that pruning has changed since.

    Args:
        model: a network without noise, as `deterministic_network` makes it.
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


def set_best_statistics(
    model: keras.Model, candidates: Sequence[tf.data.Dataset], judged_on: tf.data.Dataset
) -> tuple[tf.data.Dataset, Evaluation]:
    """Sets the batch statistics under which `model` is the likeliest, in place.

    Args:
        model: as for `set_batch_statistics`.
        candidates: each as for `set_batch_statistics`.
        judged_on: batches of images kept from training, as the network takes them, and labels.

    Returns:
        The batches whose statistics were set, and the figures on `judged_on` that came of them.
    """
    found = []
    for batches in candidates:
        set_batch_statistics(model, batches)
        found.append(evaluate(model, judged_on))
    best = min(range(len(found)), key=lambda number: found[number].nll)
    if best != len(found) - 1:
        set_batch_statistics(model, candidates[best])
    return candidates[best], found[best]
