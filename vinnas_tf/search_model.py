"""The alternating training step of the search, as a Keras model."""

from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.config import SearchConfig
from vinnas_tf.evaluation import hits, update_evaluation
from vinnas_tf.layers.convolution import Shape
from vinnas_tf.methods.base import Method
from vinnas_tf.supergraph import Supergraph

Batch = tuple[tf.Tensor, tf.Tensor]


class SearchModel(keras.Model):
    """Trains a supergraph by Algorithm 1 of VINNAS: a weight step on one half of the data, an alpha step on the other.

    `fit` takes a data set of ((weight images, labels), (alpha images, labels)); `evaluate` takes (images, labels) and
    uses the mean weights and mean alphas. `gammas` (set by a callback) weigh the method's terms; `search_alphas`
    switches the alpha steps on, and takes effect when the train function is made anew.

    Args:
        supergraph: the network that is searched.
        method: the search method.
        config: label smoothing and seed.
        examples: N of objective (8), the number of examples in either half.
    """

    def __init__(
        self, supergraph: Supergraph, method: Method, config: SearchConfig, examples: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.supergraph = supergraph
        self.method = method
        self.examples = examples
        self.search_alphas = True
        self.gammas = {
            name: self.add_weight(name=f"gamma_{name}", shape=(), initializer="zeros", trainable=False)
            for name in method.terms
        }
        self.seed_generator = keras.random.SeedGenerator(config.seed)
        self.cross_entropy = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=config.label_smoothing, reduction="sum_over_batch_size"
        )
        names = ["cross_entropy", "weight_accuracy", "alpha_cross_entropy"]
        names += [name + suffix for name in method.terms for suffix in ("", "_weighted")]
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self._evaluation = {"loss": keras.metrics.Mean(name="loss"), "accuracy": keras.metrics.Mean(name="accuracy")}

    def build(self, input_shape: Shape) -> None:
        """Builds the supergraph for images of `input_shape`."""
        self.supergraph.build(input_shape)

    def compile(
        self, weight_optimizer: keras.Optimizer, alpha_optimizer: keras.Optimizer, jit_compile: bool | str = "auto"
    ) -> None:
        """Sets the two optimizers; both are built here, so that a checkpoint holds them from the first step on."""
        super().compile(jit_compile=jit_compile)
        weight_optimizer.build(self.supergraph.weight_variables)
        alpha_optimizer.build(self.supergraph.alpha_variables)
        self.weight_optimizer = weight_optimizer
        self.alpha_optimizer = alpha_optimizer

    @property
    def metrics(self) -> list[keras.Metric]:
        """All running means; Keras resets them at the start of an epoch and of an evaluation."""
        return [*self._means.values(), *self._evaluation.values()]

    @property
    def alpha_step_metrics(self) -> list[str]:
        """Names of the metrics that only alpha steps fill."""
        terms = [name for name, term in self.method.terms.items() if not term.of_weights]
        return ["alpha_cross_entropy", *terms, *(f"{name}_weighted" for name in terms)]

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Logits with the mean weights and the mean alphas."""
        return self.supergraph(images, self._strengths(None))

    def train_step(self, data: tuple[Batch, Batch]) -> dict[str, tf.Tensor]:
        """One iteration of Algorithm 1: stage (1) on the weights, stage (2) on the architecture parameters."""
        weight_batch, alpha_batch = data
        self.weight_step(*weight_batch)
        if self.search_alphas:
            self.alpha_step(*alpha_batch)
        return {name: metric.result() for name, metric in self._means.items()}

    def test_step(self, data: Batch) -> dict[str, tf.Tensor]:
        """Cross-entropy and accuracy of one batch, with mean weights and mean alphas."""
        images, labels = data
        logits = self(images)
        return update_evaluation(self._evaluation, labels, logits)

    def weight_step(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        """Stage (1) of Algorithm 1: one step of the weight optimizer; the architecture parameters do not move."""
        seed = self._next_seed()
        strengths = {name: tf.stop_gradient(z) for name, z in self._strengths(seed).items()}
        variables = self.supergraph.weight_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            logits = self.supergraph(images, strengths, seed=seed)
            cross_entropy = self._cross_entropy(labels, logits)
            terms = self.method.weight_terms(list(self.supergraph.weight_posteriors()))
            loss = cross_entropy + self._weigh(terms)
        self.weight_optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        self._means["cross_entropy"].update_state(cross_entropy)
        self._means["weight_accuracy"].update_state(hits(labels, logits))

    def alpha_step(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        """Stage (2) of Algorithm 1: one step of the alpha optimizer; the weights do not move."""
        seed = self._next_seed()
        variables = self.supergraph.alpha_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            logits = self.supergraph(images, self._strengths(seed), seed=seed, freeze_weights=True)
            cross_entropy = self._cross_entropy(labels, logits)
            terms = self.method.alpha_terms(self.supergraph.alphas, kernels.fold_in(seed, 0))
            loss = cross_entropy + self._weigh(terms)
        self.alpha_optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        self._means["alpha_cross_entropy"].update_state(cross_entropy)

    def _strengths(self, seed: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """The mixing weights of each cell type, from a sample of its own."""
        return {
            name: self.method.strengths(alphas, None if seed is None else kernels.fold_in(seed, -1 - position))
            for position, (name, alphas) in enumerate(self.supergraph.alphas.items())
        }

    def _next_seed(self) -> tf.Tensor:
        """A seed of this step and this replica."""
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        context = tf.distribute.get_replica_context()
        replica = context.replica_id_in_sync_group if context is not None else 0
        return kernels.fold_in(seed, replica)

    def _cross_entropy(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return self.cross_entropy(tf.one_hot(labels, logits.shape[-1]), logits)

    def _weigh(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """The sum of the terms times their gammas, those of the whole data set divided by N; logs both forms."""
        total = tf.constant(0.0)
        for name, raw in terms.items():
            scale = 1.0 / self.examples if self.method.terms[name].per_example else 1.0
            weighted = self.gammas[name].value * scale * raw
            self._means[name].update_state(raw)
            self._means[name + "_weighted"].update_state(weighted)
            total += weighted
        return total
