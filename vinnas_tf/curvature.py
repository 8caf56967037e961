"""The curvature of the loss in single variables: the diagonal of its Gauss-Newton matrix.

With logits f, probabilities p and J = df/dw the curvature of the mean cross-entropy is the mean over the images of J^T
(diag p - p p^T) J; the second derivative of f is left out, so it is never negative. It does not depend on the labels,
smoothed or not.

For a random vector u of mean 0 and covariance diag p - p p^T, independent from image to image, the square of the
derivative of the sum of u f has that mean (Martens, Sutskever and Swersky 2012, Estimating the Hessian by
back-propagating curvature). So one backward pass says something of all variables, batch statistics included, where a
difference would take two forward passes for each of them.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from vinnas_tf.data.picture_index import Watch, unwatched

Logits = Callable[[tf.Tensor], tf.Tensor]


def gauss_newton_diagonal(
    logits: Logits, variables: Sequence[tf.Variable], images: tf.Tensor, draws: tf.Tensor
) -> list[tf.Tensor]:
    """The curvature of the mean cross-entropy of a batch in each of `variables`, estimated.

    The estimate is exact where the mean over S of the products of draws is the identity; where they are random signs,
    its relative standard error is sqrt(2 / S) or less.

    Args:
        logits: maps images to [n, classes]; reads the variables.
        variables: of any shapes.
        images: of one batch, [n, h, w, c].
        draws: [S, n, classes], of mean 0 and variance 1.
    """
    with tf.GradientTape(watch_accessed_variables=False, persistent=True) as tape:
        tape.watch(variables)
        predicted = logits(images)
    directions = with_covariance_of(predicted, draws)

    def squares(direction: tf.Tensor) -> list[tf.Tensor]:
        gradients = tape.gradient(predicted, variables, direction)
        return [tf.square(tf.convert_to_tensor(gradient)) for gradient in gradients]

    # One after the other: side by side they would need as many times the memory.
    each = tf.map_fn(
        squares, directions, fn_output_signature=[variable.dtype for variable in variables], parallel_iterations=1
    )
    count = tf.cast(tf.shape(images)[0], tf.float32)
    return [tf.reduce_mean(square, axis=0) / count for square in each]


def with_covariance_of(logits: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Draws [..., n, classes] of covariance 1 as draws whose covariance is the diag p - p p^T of logits [n, classes].

    It is diag(q) (1 - q q^T)^2 diag(q) with q the square roots of p, for q has length 1.
    """
    roots = tf.sqrt(tf.nn.softmax(logits))
    return roots * (draws - roots * tf.reduce_sum(roots * draws, axis=-1, keepdims=True))


def random_signs(shape: Sequence[int | tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
    """Draws of -1 and 1 from `seed`, int32 [2]: of all draws of mean 0 and variance 1 those of the least kurtosis."""
    return 2.0 * tf.cast(tf.random.stateless_uniform(shape, seed) < 0.5, tf.float32) - 1.0


class Curvature:
    """Measures the curvature of the mean cross-entropy in variables, again and again by one graph.

    Args:
        logits: maps images to [n, classes]; reads the variables.
        variables: of any shapes.
        shape: (draws, images, classes) of a batch.
    """

    def __init__(self, logits: Logits, variables: Sequence[tf.Variable], shape: tuple[int, int, int]) -> None:
        self.shapes = [tuple(variable.shape) for variable in variables]

        self.draws, *of_draw = shape
        self._traced = False

        @tf.function(autograph=False)
        def of_batch(images: tf.Tensor, seed: tf.Tensor, draws: tf.Tensor) -> list[tf.Tensor]:
            return gauss_newton_diagonal(logits, variables, images, random_signs((draws, *of_draw), seed))

        self._of_batch = of_batch

    def __call__(self, batches: Sequence[tf.Tensor], seed: tf.Tensor, watch: Watch = unwatched) -> list[np.ndarray]:
        """The curvature in each variable, over batches of images [n, h, w, c].

        Its relative standard error is sqrt(2 / draws of all batches) or less, beside that of the choice of images.

        Args:
            batches: images of each.
            seed: int32 [2], of the draws.
            watch: goes through the batches, and tells how far it is.
        """
        if not self._traced:
            # Which takes longer than a batch.
            for _ in watch("Prepares to measure the curvature of the loss", [None]):
                self._of_batch(batches[0], seed, tf.constant(1))
            self._traced = True
        draws = tf.constant(self.draws)
        total = [np.zeros(shape) for shape in self.shapes]
        for number, images in watch("Measures the curvature of the loss", list(enumerate(batches))):
            found = self._of_batch(images, tf.random.fold_in(seed, number), draws)
            for sum_, of_variable in zip(total, found, strict=True):
                sum_ += of_variable.numpy()
        return [sum_ / len(batches) for sum_ in total]


def measure_curvature(
    logits: Logits,
    variables: Sequence[tf.Variable],
    batches: Sequence[tf.Tensor],
    *,
    classes: int,
    draws: int,
    seed: tf.Tensor,
    watch: Watch = unwatched,
) -> list[np.ndarray]:
    """As `Curvature` measures it, once.

    Args:
        logits: maps images to [n, classes]; reads the variables.
        variables: of any shapes.
        batches: images [n, h, w, c] of each, of equal size.
        classes: number of classes.
        draws: in all, shared evenly by the batches: the backward passes that this takes, or a few more.
        seed: int32 [2], of the draws.
        watch: goes through the batches, and tells how far it is.
    """
    shape = (-(-draws // len(batches)), len(batches[0]), classes)
    return Curvature(logits, variables, shape)(batches, seed, watch)
