"""The model that a search trains, as a Keras model: one primitive, of which a method's step makes an iteration."""

import functools
from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.kernels.private import BuiltModel, moves_alone
from vinnas_tf.layers.convolution import Shape
from vinnas_tf.methods.base import ARCHITECTURE, WEIGHTS, Draw, Method
from vinnas_tf.methods.steps import Batch
from vinnas_tf.network.evaluation import hits, update_evaluation
from vinnas_tf.optimizer import OfPosteriors
from vinnas_tf.search.gradients import Objective, gradients, hyper_gradient
from vinnas_tf.search.searched import Searched


class SearchModel(BuiltModel):
    """Trains a supergraph, or a backbone, as its method says.

    `fit` takes a data set of ((weight images, labels), (architecture images, labels)); `evaluate` takes (images,
    labels) and uses the mean network and the statistics that `measure_statistics` left. `scheduled` (set by a callback)
    holds the values of the method's schedule; `searches_architecture` says whether architecture parameters move, and
    takes effect when the train function is made anew. Made in the scope of several devices, it is trained on all of
    them: each normalises its part of a batch by itself and draws noise of its own, and all follow one gradient.

    Args:
        supergraph: the network that is searched.
        method: the search method.
        examples: number of images that the weights learn from; N of VINNAS's objective (8).
    """

    def __init__(self, supergraph: Searched, method: Method, examples: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supergraph: Any = supergraph  # Whoever made it knows which kind it is.
        self.method = method
        self.examples = examples
        self.searches_architecture = True
        self.scheduled = {
            name: self.add_weight(name=name, shape=(), initializer="zeros", trainable=False)
            for name in method.schedule(0)
        }
        method.scheduled = self.scheduled
        # Not a Keras variable, so not in a checkpoint: it follows from the variables that are.
        self.statistics: tf.Variable | None = None
        self.seed_generator = kernels.make_seed_generator(method.config.seed)
        self.cross_entropy = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=method.config.label_smoothing, reduction="sum_over_batch_size"
        )
        names = ["cross_entropy", "weight_accuracy", "alpha_cross_entropy"]
        names += [name + suffix for name in method.terms for suffix in ("", "_weighted")]
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self._evaluation = {"loss": keras.metrics.Mean(name="loss"), "accuracy": keras.metrics.Mean(name="accuracy")}

    def build(self, input_shape: Shape) -> None:
        """Builds the supergraph for images of `input_shape`."""
        self.supergraph.build(input_shape)

    def compile(
        self, weight_optimizer: keras.Optimizer, architecture_optimizer: keras.Optimizer, jit_compile: bool = False
    ) -> None:
        """Sets the two optimizers; both are built here, so that a checkpoint holds them from the first step on.

        Args:
            weight_optimizer: of the weights.
            architecture_optimizer: of the architecture parameters.
            jit_compile: whether XLA compiles an iteration as one program of hundreds of edges. The kernels that gain by
                XLA compile themselves, to small programs that edges of one size share.
        """
        super().compile(jit_compile=jit_compile)
        weight_optimizer.build(self.supergraph.weight_variables)
        architecture_optimizer.build(self.supergraph.architecture_variables)
        if self.distribute_strategy.num_replicas_in_sync > 1:
            for optimizer in (weight_optimizer, architecture_optimizer):
                moves_alone(optimizer)
        self.weight_optimizer = weight_optimizer
        self.architecture_optimizer = architecture_optimizer

    @property
    def metrics(self) -> list[keras.Metric]:
        """All running means; Keras resets them at the start of an epoch and of an evaluation."""
        return [*self._means.values(), *self._evaluation.values()]

    @property
    def idle_metrics(self) -> list[str]:
        """Names of the metrics that no descent fills: those of the architecture before it moves, or moves alone."""
        terms = [name for name, term in self.method.terms.items() if term.of == ARCHITECTURE]
        if self.searches_architecture:
            return [] if self.method.step.descents > 1 else ["alpha_cross_entropy"]
        return ["alpha_cross_entropy", *terms, *(f"{name}_weighted" for name in terms)]

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Logits of the mean network with the measured statistics.

        Those of an image do not depend on the other images.

        Raises:
            RuntimeError: nothing was measured.
        """
        if self.statistics is None:
            raise RuntimeError(
                "no statistics to evaluate with: call measure_statistics first, or use MeasureStatistics."
            )
        statistics = kernels.PopulationStatistics(tf.convert_to_tensor(self.statistics))
        return self.supergraph(images, self.method.evaluation_draw(), statistics=statistics)

    def measure_statistics(self, batches: Iterable[Batch]) -> None:
        """Measures the statistics of all normalisations with the mean weights and the mean alphas of this moment.

        By the statistics of its own batch, as in training, an image would be taken for another class in other company
        (Wu and Johnson 2021, Rethinking "Batch" in BatchNorm, whose PreciseBN this is).

        Args:
            batches: of equal size, of images [n, h, w, c] and labels, which are not used. Each is normalised by its own
                statistics here too.
        """
        of_batches = [self._batch_statistics(images, tf.constant(number)) for number, (images, _) in enumerate(batches)]
        measured = kernels.pool_statistics(tf.stack(of_batches))
        if self.statistics is None:
            with self.distribute_strategy.scope():
                self.statistics = tf.Variable(measured, trainable=False)
        else:
            self.statistics.assign(measured)

    @tf.function(autograph=False)
    def _batch_statistics(self, images: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """Mean and variance of all normalisations over one batch, [2, channels of all]."""
        statistics = kernels.BatchStatistics()
        self.supergraph(images, self.method.evaluation_draw(number), statistics=statistics)
        return statistics.kept()

    def train_step(self, data: tuple[Batch, Batch]) -> dict[str, tf.Tensor]:
        """One iteration: the method's step."""
        self.method.step.run(self, *data)
        return kernels.results(self._means)

    def test_step(self, data: Batch) -> dict[str, tf.Tensor]:
        """Cross-entropy and accuracy of one batch, of the mean network."""
        images, labels = data
        logits = self(images)
        return update_evaluation(self._evaluation, labels, logits)

    def descend(
        self,
        batch: Batch,
        *,
        weights: bool = False,
        architecture: bool = False,
        through: Batch | None = None,
        logged_as: str = "weight",
    ) -> None:
        """One step of the optimizers of what is named, on the same batch and draw; nothing else moves.

        Args:
            batch: images [n, h, w, c] and labels [n].
            weights: whether the weights move.
            architecture: whether the architecture parameters move.
            through: a batch of which the gradient in the architecture sees a weight step (DARTS, second order). It is
                a step of gradient descent, with the decay of the weights' optimizer and with its momentum if that is
                PosteriorSGD, as in the published program; the moments of Adam and clipping are left out.
            logged_as: the images that the batch is of, "weight" or "alpha".
        """
        network = self.supergraph
        of_weights = network.weight_variables if weights else []
        of_architecture = network.architecture_variables if architecture else []
        ahead = through is not None
        objective = self._objective(batch, weights or ahead, architecture, logged_as)
        if through is None:
            gradient = gradients(objective, of_weights + of_architecture)
        else:
            training = self._objective(through, True, True)
            optimizer, moved = self.weight_optimizer, network.weight_variables
            own = isinstance(optimizer, OfPosteriors)  # Else one that a method brought along: plain descent.
            direction = functools.partial(optimizer.direction, variables=moved) if own else list
            gradient = hyper_gradient(training, objective, moved, of_architecture, optimizer.learning_rate, direction)
        if of_weights:
            self.weight_optimizer.apply(gradient[: len(of_weights)], of_weights)
        if of_architecture:
            self.architecture_optimizer.apply(gradient[len(of_weights) :], of_architecture)

    def _objective(self, batch: Batch, of_weights: bool, of_architecture: bool, logged_as: str = "") -> Objective:
        """The loss of a batch at the variables' present values, under noise that is drawn once, here.

        Args:
            batch: images and labels.
            of_weights: whether its gradient in the weights is wanted; then it has the terms that belong to them.
            of_architecture: the same of the architecture parameters.
            logged_as: running means that each call adds to, "weight" or "alpha"; empty for none.
        """
        images, labels = batch
        share = kernels.share_of(images)
        seed = kernels.next_seed(self.seed_generator)
        wanted = (WEIGHTS if of_weights else frozenset()) | (ARCHITECTURE if of_architecture else frozenset())
        added = [name for name, term in self.method.terms.items() if term.of & wanted]

        def objective() -> tf.Tensor:
            draw = self.method.draw(seed)
            raw = self.method.values(draw, self.supergraph)
            if not of_architecture:
                draw = Draw({group: tf.stop_gradient(mixing) for group, mixing in draw.mixing.items()}, seed)
            logits = self.supergraph(images, draw, freeze_weights=not of_weights)
            cross_entropy = kernels.own_mean(self.cross_entropy(tf.one_hot(labels, logits.shape[-1]), logits))
            terms = {name: raw[name] for name in added}
            weighted = {name: self._weigh(name, value) for name, value in terms.items()}
            if logged_as:
                self._log(logged_as, share, cross_entropy, hits(labels, logits), terms, weighted)
            return kernels.weighed(share, tf.add_n([cross_entropy, *weighted.values()]))

        return objective

    def _log(
        self,
        half: str,
        share: tf.Tensor | None,
        cross_entropy: tf.Tensor,
        correct: tf.Tensor,
        terms: dict[str, tf.Tensor],
        weighted: dict[str, tf.Tensor],
    ) -> None:
        if half == "weight":
            self._means["cross_entropy"].update_state(cross_entropy, share)
            self._means["weight_accuracy"].update_state(correct)
        else:
            self._means["alpha_cross_entropy"].update_state(cross_entropy, share)
        for name, raw in terms.items():
            self._means[name].update_state(raw, share)
            self._means[name + "_weighted"].update_state(weighted[name], share)

    def _weigh(self, name: str, raw: tf.Tensor) -> tf.Tensor:
        """A term times its gamma; one of the whole data set is divided by the number of its examples."""
        scale = 1.0 / self.examples if self.method.terms[name].per_example else 1.0
        return self.scheduled[f"gamma_{name}"].value * scale * raw
