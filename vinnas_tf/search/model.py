"""The alternating training step of the search, as a Keras model."""

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.config import SearchConfig
from vinnas_tf.layers.convolution import Shape
from vinnas_tf.methods.base import Method
from vinnas_tf.network.evaluation import hits, update_evaluation
from vinnas_tf.search.gradients import Objective, gradients, hyper_gradient
from vinnas_tf.search.supergraph import Supergraph

Batch = tuple[tf.Tensor, tf.Tensor]


class SearchModel(keras.Model):
    """Trains a supergraph by Algorithm 1 of VINNAS: a weight step on one half of the data, an alpha step on the other.

    A method of a single level takes a joint step on each instead.

    `fit` takes a data set of ((weight images, labels), (alpha images, labels)); `evaluate` takes (images, labels) and
    uses the mean weights, the mean alphas and the statistics that `measure_statistics` left. `gammas` (set by a
    callback) weigh the method's terms; `search_alphas` switches the alpha steps on, and takes effect when the train
    function is made anew.

    Args:
        supergraph: the network that is searched.
        method: the search method.
        config: label smoothing and seed.
        examples: N of objective (8), the number of examples in either half; a single level learns from twice as many.
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
        # Not a Keras variable, so not in a checkpoint: it follows from the variables that are.
        self.statistics: tf.Variable | None = None
        self.seed_generator = kernels.make_seed_generator(config.seed)
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

    def compile(self, weight_optimizer: keras.Optimizer, alpha_optimizer: keras.Optimizer) -> None:
        """Sets the two optimizers; both are built here, so that a checkpoint holds them from the first step on."""
        # The kernels that gain by XLA compile themselves. Keras would give it the whole step on a GPU: one program of
        # hundreds of edges, instead of small ones that edges of one size share.
        super().compile(jit_compile=False)
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
        """Logits with the mean weights, the mean alphas and the measured statistics.

        Those of an image do not depend on the other images.

        Raises:
            RuntimeError: nothing was measured.
        """
        if self.statistics is None:
            raise RuntimeError(
                "no statistics to evaluate with: call measure_statistics first, or use MeasureStatistics."
            )
        statistics = kernels.PopulationStatistics(tf.convert_to_tensor(self.statistics))
        return self.supergraph(images, self.mixing_weights(), statistics=statistics)

    def measure_statistics(self, batches: Iterable[Batch]) -> None:
        """Measures the statistics of all normalisations with the mean weights and the mean alphas of this moment.

        By the statistics of its own batch, as in training, an image would be taken for another class in other company
        (Wu and Johnson 2021, Rethinking "Batch" in BatchNorm, whose PreciseBN this is).

        Args:
            batches: of equal size, of images [n, h, w, c] and labels, which are not used. Each is normalised by its own
                statistics here too.
        """
        measured = kernels.pool_statistics(tf.stack([self._batch_statistics(images) for images, _ in batches]))
        if self.statistics is None:
            with self.distribute_strategy.scope():
                self.statistics = tf.Variable(measured, trainable=False)
        else:
            self.statistics.assign(measured)

    @tf.function(autograph=False)
    def _batch_statistics(self, images: tf.Tensor) -> tf.Tensor:
        """Mean and variance of all normalisations over one batch, [2, channels of all]."""
        statistics = kernels.BatchStatistics()
        self.supergraph(images, self.mixing_weights(), statistics=statistics)
        return statistics.kept()

    def train_step(self, data: tuple[Batch, Batch]) -> dict[str, tf.Tensor]:
        """One iteration of Algorithm 1: stage (1) on the weights, stage (2) on the architecture parameters."""
        weight_batch, alpha_batch = data
        if self.method.single_level:
            self.joint_step(*weight_batch, logged_as="weight")
            self.joint_step(*alpha_batch, logged_as="alpha")
        else:
            self.weight_step(*weight_batch)
            if self.search_alphas:
                self.alpha_step(*alpha_batch, weight_batch)
        return {name: metric.result() for name, metric in self._means.items()}

    def test_step(self, data: Batch) -> dict[str, tf.Tensor]:
        """Cross-entropy and accuracy of one batch, with mean weights and mean alphas."""
        images, labels = data
        logits = self(images)
        return update_evaluation(self._evaluation, labels, logits)

    def weight_step(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        """Stage (1) of Algorithm 1: one step of the weight optimizer; the architecture parameters do not move."""
        objective = self._objective(images, labels, of_weights=True, of_alphas=False, logged_as="weight")
        variables = self.supergraph.weight_variables
        self.weight_optimizer.apply(gradients(objective, variables), variables)

    def alpha_step(self, images: tf.Tensor, labels: tf.Tensor, weight_batch: Batch | None = None) -> None:
        """Stage (2) of Algorithm 1: one step of the alpha optimizer; the weights do not move.

        A method that looks ahead takes the gradient through a weight step on `weight_batch`.
        """
        variables = self.supergraph.alpha_variables
        looks_ahead = self.method.looks_ahead
        objective = self._objective(images, labels, of_weights=looks_ahead, of_alphas=True, logged_as="alpha")
        if looks_ahead:
            assert weight_batch is not None
            training = self._objective(*weight_batch, of_weights=True, of_alphas=True)
            rate = self.weight_optimizer.learning_rate
            gradient = hyper_gradient(training, objective, self.supergraph.weight_variables, variables, rate)
        else:
            gradient = gradients(objective, variables)
        self.alpha_optimizer.apply(gradient, variables)

    def joint_step(self, images: tf.Tensor, labels: tf.Tensor, logged_as: str) -> None:
        """One step of both optimizers on the same batch and noise, or of the weights' alone before alphas are searched.

        Args:
            images: [n, h, w, c].
            labels: [n].
            logged_as: "weight" or "alpha", the half that the batch is of.
        """
        objective = self._objective(images, labels, of_weights=True, of_alphas=self.search_alphas, logged_as=logged_as)
        weights = self.supergraph.weight_variables
        alphas = self.supergraph.alpha_variables if self.search_alphas else []
        gradient = gradients(objective, weights + alphas)
        self.weight_optimizer.apply(gradient[: len(weights)], weights)
        if alphas:
            self.alpha_optimizer.apply(gradient[len(weights) :], alphas)

    def _objective(
        self, images: tf.Tensor, labels: tf.Tensor, *, of_weights: bool, of_alphas: bool, logged_as: str = ""
    ) -> Objective:
        """The loss of a batch at the variables' present values, under noise that is drawn once, here.

        Args:
            images: [n, h, w, c].
            labels: [n].
            of_weights: whether its gradient in the weights is wanted; then it has the terms that belong to them.
            of_alphas: the same of the architecture parameters.
            logged_as: running means that each call adds to, "weight" or "alpha"; empty for none.
        """
        seed = kernels.next_seed(self.seed_generator)

        def objective() -> tf.Tensor:
            strengths = self._strengths(seed)
            if not of_alphas:
                strengths = {name: tf.stop_gradient(z) for name, z in strengths.items()}
            logits = self.supergraph(images, strengths, seed=seed, freeze_weights=not of_weights)
            cross_entropy = self.cross_entropy(tf.one_hot(labels, logits.shape[-1]), logits)
            terms: dict[str, tf.Tensor] = {}
            if of_weights:
                terms |= self.method.weight_terms(list(self.supergraph.weight_posteriors()))
            if of_alphas:
                terms |= self.method.alpha_terms(self.supergraph.alphas, kernels.fold_in(seed, 0))
            weighted = {name: self._weigh(name, raw) for name, raw in terms.items()}
            if logged_as:
                self._log(logged_as, cross_entropy, hits(labels, logits), terms, weighted)
            return tf.add_n([cross_entropy, *weighted.values()])

        return objective

    def _log(
        self,
        half: str,
        cross_entropy: tf.Tensor,
        correct: tf.Tensor,
        terms: dict[str, tf.Tensor],
        weighted: dict[str, tf.Tensor],
    ) -> None:
        if half == "weight":
            self._means["cross_entropy"].update_state(cross_entropy)
            self._means["weight_accuracy"].update_state(correct)
        else:
            self._means["alpha_cross_entropy"].update_state(cross_entropy)
        for name, raw in terms.items():
            self._means[name].update_state(raw)
            self._means[name + "_weighted"].update_state(weighted[name])

    def mixing_weights(self) -> dict[str, tf.Tensor]:
        """The mixing weights of the mean alphas by cell type, [edges, K]."""
        return self._strengths(None)

    def _strengths(self, seed: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """The mixing weights of each cell type, from a sample of its own."""
        return {
            name: self.method.strengths(alphas, None if seed is None else kernels.fold_in(seed, -1 - position))
            for position, (name, alphas) in enumerate(self.supergraph.alphas.items())
        }

    def _weigh(self, name: str, raw: tf.Tensor) -> tf.Tensor:
        """A term times its gamma; one of the whole data set is divided by the number of its examples."""
        examples = 2 * self.examples if self.method.single_level else self.examples
        scale = 1.0 / examples if self.method.terms[name].per_example else 1.0
        return self.gammas[name].value * scale * raw
