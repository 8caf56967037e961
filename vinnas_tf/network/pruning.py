"""Pruning of a trained network by its posterior, and the counts of what is left."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras
import numpy as np

from vinnas_tf.network.build import evaluation_network, gaussian_layers
from vinnas_tf.network.evaluation import Evaluation
from vinnas_tf.variational import PRUNING_THRESHOLD, log_noise_ratio

# Names of the variables that a shipped network holds. A log-variance serves training only, and the running statistics
# of batch normalisation say nothing that its scale and shift could not.
KERNELS = ("mean", "kernel")
_OTHERS = ("bias", "gamma", "beta")
_ROUNDING = 1e-9  # Accuracies are quotients of whole numbers.


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of a layer or of a network at evaluation, dense and not zero.

    Attributes:
        kernel_dense: entries of kernels of convolutions and of the classifier, which pruning can make zero.
        kernel_nonzero: those that are not zero.
        other_dense: biases, and batch normalisation's scales and shifts.
        other_nonzero: those that are not zero.
    """

    kernel_dense: int = 0
    kernel_nonzero: int = 0
    other_dense: int = 0
    other_nonzero: int = 0

    @property
    def params_dense(self) -> int:
        """All parameters."""
        return self.kernel_dense + self.other_dense

    @property
    def params_nonzero(self) -> int:
        """All parameters that are not zero."""
        return self.kernel_nonzero + self.other_nonzero

    def __add__(self, other: "ParameterCount") -> "ParameterCount":
        return ParameterCount(
            self.kernel_dense + other.kernel_dense,
            self.kernel_nonzero + other.kernel_nonzero,
            self.other_dense + other.other_dense,
            self.other_nonzero + other.other_nonzero,
        )


def prune(model: keras.Model, threshold: float = PRUNING_THRESHOLD) -> None:
    """Sets each Gaussian weight with log lambda >= `threshold` to an exact zero, in place (VINNAS, section V-B).

    A weight that is zero stays zero. Log-variances do not move.
    """
    for layer in gaussian_layers(model):
        noise = log_noise_ratio(layer.mean.value, layer.log_variance.value)
        layer.mean.assign(np.where(noise >= threshold, np.float32(0), layer.mean))


def count_parameters(model: keras.Model) -> dict[str, ParameterCount]:
    """Counts by layer, without layers that have no parameters and without the auxiliary tower.

    The network may be a trained one or a stripped one; `total` sums them up.
    """
    counts = {}
    for layer in evaluation_network(model).layers:
        kernels = [variable.numpy() for variable in layer.variables if variable.name in KERNELS]
        others = [variable.numpy() for variable in layer.variables if variable.name in _OTHERS]
        if kernels or others:
            counts[layer.name] = ParameterCount(*_count(kernels), *_count(others))
    return counts


def total(counts: dict[str, ParameterCount]) -> ParameterCount:
    """The whole network's count."""
    return sum(counts.values(), ParameterCount())


@dataclass(frozen=True)
class ThresholdPoint:
    """What pruning at `threshold` leaves.

    Attributes:
        threshold: value of log lambda.
        accuracy: share of right answers.
        standard_error: of this accuracy, as `Evaluation` defines it: how far other images would move it. As a curve's
            accuracies are of the same images, they move together, and their differences less.
        params_nonzero: parameters that are not zero.
    """

    threshold: float
    accuracy: float
    standard_error: float
    params_nonzero: int


def threshold_curve(
    model: keras.Model, thresholds: Iterable[float], evaluate: Callable[[keras.Model], Evaluation]
) -> list[ThresholdPoint]:
    """Accuracy and non-zero parameters against the threshold.

    Args:
        model: a trained network; it is pruned on the way and has its weights back afterwards.
        thresholds: values of log lambda, falling: a lower threshold prunes all that a higher one does.
        evaluate: returns the figures of the network that it is given, on held-out data.
    """
    means = [(layer.mean, layer.mean.numpy()) for layer in gaussian_layers(model)]
    points = []
    try:
        for threshold in thresholds:
            prune(model, threshold)
            found = evaluate(model)
            left = total(count_parameters(model)).params_nonzero
            points.append(ThresholdPoint(threshold, found.accuracy, found.standard_error, left))
    finally:
        for variable, value in means:
            variable.assign(value)
    return points


def sparsest_within_error(points: Iterable[ThresholdPoint]) -> ThresholdPoint:
    """The point with the fewest parameters whose accuracy is within one standard error of the best one's.

    The one-standard-error rule of Breiman et al. (1984), so that a few images more or less do not decide. Of points
    with as many parameters it is the one with the highest threshold.
    """
    points = list(points)
    best = max(points, key=lambda point: point.accuracy)
    least = best.accuracy - best.standard_error - _ROUNDING
    return min(
        (point for point in points if point.accuracy >= least),
        key=lambda point: (point.params_nonzero, -point.threshold),
    )


def _count(arrays: list[np.ndarray]) -> tuple[int, int]:
    return sum(array.size for array in arrays), sum(int(np.count_nonzero(array)) for array in arrays)
