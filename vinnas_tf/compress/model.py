"""The training step of a compression, and what happens between its epochs."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.compress.group_lasso import GroupLasso
from vinnas_tf.compress.kernel_groups import groups_of
from vinnas_tf.curvature import Curvature
from vinnas_tf.data.batches import spread_batches
from vinnas_tf.proximal import ProximalSGD
from vinnas_tf.run.files import Value
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.model import TrainModel

# What the curvature is measured on. So many draws have a standard error of 14 percent, and omega half of that.
_IMAGES, _BATCH, _DRAWS = 1000, 50, 100
_SEED = 21  # What distinguishes its draws from all others of a seed.


class CompressModel(TrainModel):
    """Trains a network on its cross-entropy and a group lasso, by gradient descent and proximal steps.

    Args:
        network: of Keras's own layers; it is trained in place.
        groups: what weights go together, one of config.GROUPS.
        penalty: lambda_w, in nats an image.
        learning_rate: of all steps. It is constant, so that all epochs shrink alike.
        **kwargs: of `TrainModel`.
    """

    def __init__(
        self, network: keras.Model, *, groups: str, penalty: float, learning_rate: float, **kwargs: Any
    ) -> None:
        super().__init__(network, label_smoothing=0.0, **kwargs)
        self.lasso = GroupLasso(network, groups, penalty, self.add_weight)
        self.compile(ProximalSGD(learning_rate, proximal=self.lasso.shrink))

    def figures(self, logs: Mapping[str, float]) -> dict[str, Value]:
        """The figures of an epoch, from its `logs`, as metrics.csv has them."""
        means = {name: float(logs[name]) for name in ("cross_entropy", "accuracy")}
        return {**means, "penalty": self.lasso.value, "groups_kept": self.lasso.count_groups()}

    def count_kept(self, threshold: float) -> tuple[int, int]:
        """How many weights of kernels are in groups that are kept, and of how many."""
        return self.lasso.count()


def measure_by(network: keras.Model, images: TrainingImages, seed: int) -> Callable[[int], list[np.ndarray]]:
    """What measures the curvature of the mean cross-entropy in all kernels of a network before an epoch.

    A draw takes one backward pass, which tells of all kernels, and of a convolution's with the products of all places
    that share its weights. A pass for each class would be exact for linear layers only, and take longer the more
    classes there are.

    Args:
        network: of normalised images.
        images: those to learn from, of which up to 1,000 are read, as they are.
        seed: of the draws; together with the number of the epoch.
    """
    size = min(_BATCH, len(images.learnt_from))
    batches = spread_batches(images.learnt_from, batch_size=size, at_most=_IMAGES, normalization=images.normalization)
    pixels = [x for x, _ in batches]
    kernels = [of.kernel.value for of in groups_of(network, "input")]
    draws = -(-_DRAWS // len(pixels))
    curvature = Curvature(lambda x: network(x, training=False), kernels, (draws, size, network.output.shape[-1]))
    return lambda epoch: curvature(pixels, tf.random.fold_in([seed, _SEED], epoch))


class WeighByEvidence(keras.callbacks.Callback):
    """Weighs and prunes groups before each epoch but the first, before which it only weighs them.

    The state at the end of an epoch is what a checkpoint holds; so an update that was interrupted is done again.

    Args:
        measure: as `measure_by` makes it.
        determined: least share of a group's weights that the data have to determine.
    """

    model: CompressModel

    def __init__(self, measure: Callable[[int], list[np.ndarray]], determined: float) -> None:
        super().__init__()
        self.measure = measure
        self.determined = determined

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Updates the penalty before `epoch`; after the last one, it is called with their number."""
        self.model.lasso.update(self.measure(epoch), self.determined, prune=epoch > 0)
