"""A step that several devices share: each computes a part of the batch, a replica, and all move by the same gradient.

Outside of such a step everything here is as if there were no devices but one.
"""

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf


def replicas() -> int:
    """How many replicas the step at hand has; 1 where one device computes it."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def share_of(images: tf.Tensor) -> tf.Tensor | None:
    """The share of the step's images [n, ...] that this replica has; None where it has all of them.

    A mean over the step's images is the sum over the replicas of share times their own mean.
    """
    if replicas() == 1:
        return None
    own = tf.cast(tf.shape(images)[0], tf.float32)
    return own / summed([own])[0]


def weighed(share: tf.Tensor | None, loss: tf.Tensor) -> tf.Tensor:
    """What a replica adds to the step's loss, of its own loss and of `share_of` its images."""
    return loss if share is None else share * loss


def own_mean(loss: tf.Tensor) -> tf.Tensor:
    """The mean over a replica's images out of a Keras loss, which Keras divides by the number of replicas."""
    return loss if replicas() == 1 else loss * float(replicas())


def summed(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The sums over all replicas; the same on each of them, bit for bit."""
    if replicas() == 1:
        return list(tensors)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(tensors))


def results(means: Mapping[str, keras.metrics.Mean]) -> dict[str, tf.Tensor]:
    """The running means over the images of all replicas, by the same names; a replica's own state holds its images."""
    if replicas() == 1:
        return {name: mean.result() for name, mean in means.items()}
    states = tf.stack([[mean.total.value, mean.count.value] for mean in means.values()])
    (of_all,) = summed([states])
    return dict(zip(means, tf.unstack(tf.math.divide_no_nan(of_all[:, 0], of_all[:, 1])), strict=True))
