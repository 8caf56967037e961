"""The training step of a found network, as a Keras model."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.kernels.private import BuiltModel, moves_alone
from vinnas_tf.network.build import gaussian_layers, weight_posteriors
from vinnas_tf.network.evaluation import hits
from vinnas_tf.network.pruning import KERNELS
from vinnas_tf.run.files import Value
from vinnas_tf.variational import log_noise_ratio, weight_kl

Batch = tuple[tf.Tensor, tf.Tensor]


class TrainModel(BuiltModel):
    """Trains a network on CE + auxiliary CE + gamma 1 / N KL(w): objective (8) of VINNAS without alphas.

    `gamma` is set by a callback. Made in the scope of several devices, it is trained on all of them, as `SearchModel`
    is; batch normalisation's running statistics are then those of the first device's parts.

    Args:
        network: what `build_network` made, with or without an auxiliary tower, or `deterministic_network` of it.
        examples: N of objective (8), the number of training images.
        label_smoothing: of both cross-entropies.
        auxiliary_weight: weight of the auxiliary tower's cross-entropy.
        class_weights: of both cross-entropies, for the images of each class; None weighs all alike.
        keep_zeros: weights of kernels that are zero stay zero: fine-tuning of a pruned network.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        examples: int,
        label_smoothing: float,
        auxiliary_weight: float = 0.0,
        class_weights: np.ndarray | None = None,
        keep_zeros: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.examples = examples
        self.auxiliary_weight = auxiliary_weight
        classes = tf.nest.flatten(network.output)[0].shape[-1]
        self.class_weights = tf.constant(np.ones(classes) if class_weights is None else class_weights, tf.float32)
        self.keep_zeros = keep_zeros
        self.gamma = self.add_weight(name="gamma_kl_weights", shape=(), initializer="zeros", trainable=False)
        self.smoothed = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
        names = ("cross_entropy", "accuracy", "kl_weights", "kl_weights_weighted")
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    def compile(self, optimizer: keras.Optimizer, jit_compile: bool = False) -> None:
        """Sets the optimizer, built here so that a checkpoint holds it from the first step on.

        `jit_compile` has XLA compile a step as one program, as in `SearchModel`.
        """
        super().compile(optimizer=optimizer, jit_compile=jit_compile)
        optimizer.build(self.network.trainable_variables)
        if self.distribute_strategy.num_replicas_in_sync > 1:
            moves_alone(optimizer)

    @property
    def metrics(self) -> list[keras.Metric]:
        """All running means; Keras resets them at the start of an epoch."""
        return list(self._means.values())

    def figures(self, logs: Mapping[str, float]) -> dict[str, Value]:
        """The figures of an epoch, from its `logs`, as metrics.csv has them."""
        return {**{name: float(logs[name]) for name in self._means}, "gamma_kl_weights": float(self.gamma.numpy())}

    def count_kept(self, threshold: float) -> tuple[int, int]:
        """How many Gaussian weights pruning at `threshold` would keep, and of how many."""
        noise = [log_noise_ratio(layer.mean.value, layer.log_variance.value) for layer in gaussian_layers(self.network)]
        return sum(int(np.sum(ratio < threshold)) for ratio in noise), sum(int(np.size(ratio)) for ratio in noise)

    def train_step(self, data: Batch) -> dict[str, tf.Tensor]:
        """One step of the optimizer."""
        images, labels = data
        variables = self.network.trainable_variables
        values = [variable.value for variable in variables]
        pruned = [variable for variable in variables if variable.name in KERNELS] if self.keep_zeros else []
        kept = [tf.cast(kernel.value != 0, kernel.dtype) for kernel in pruned]
        share = kernels.share_of(images)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            logits, *auxiliary = tf.nest.flatten(self.network(images, training=True))
            targets = tf.one_hot(labels, logits.shape[-1])
            weights = tf.gather(self.class_weights, labels)
            cross_entropy = kernels.own_mean(self.smoothed(targets, logits, weights))
            loss = cross_entropy
            for tower in auxiliary:
                loss += self.auxiliary_weight * kernels.own_mean(self.smoothed(targets, tower, weights))
            divergence = weight_kl(weight_posteriors(self.network))
            weighted = self.gamma.value / self.examples * divergence
            loss = kernels.weighed(share, loss + weighted)
        self.optimizer.apply(kernels.summed(tape.gradient(loss, values)), variables)
        for kernel, mask in zip(pruned, kept, strict=True):
            kernel.assign(kernel.value * mask)
        figures = {"cross_entropy": cross_entropy, "kl_weights": divergence, "kl_weights_weighted": weighted}
        for name, value in figures.items():
            self._means[name].update_state(value, share)
        self._means["accuracy"].update_state(hits(labels, logits))
        return kernels.results(self._means)
