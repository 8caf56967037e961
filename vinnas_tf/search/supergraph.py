"""The supergraph: cells of mixed ops between a stem and a classifier, and the architecture parameters they share."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.architecture.skeleton import CellPlace, cell_places, require_fit
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import SearchConfig
from vinnas_tf.layers.cell import MixedCell
from vinnas_tf.layers.convolution import Shape, VariationalConv2D, VariationalDense
from vinnas_tf.layers.residual_block import ResidualBlock
from vinnas_tf.methods.base import Alphas, Method

ALPHA_STDDEV = 0.001  # VINNAS, section V: alpha_mean starts at N(0, 0.001); read as a standard deviation


class Supergraph(keras.layers.Layer):
    """The over-parametrised network that the search trains (VINNAS, section IV-A and figure 1).

    Args:
        config: `space`, skeleton (`cells`, `states`, `channels`) and `seed`.
        method: says which weights and alphas are Gaussian.
        classes: number of classes.

    Inputs: images [n, h, w, c] and mixing weights per cell type; output: logits [n, classes].
    """

    def __init__(self, config: SearchConfig, method: Method, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.space = SPACES[config.space]
        gaussian: dict[str, Any] = {"variational": method.variational_weights, "estimator": config.estimator}
        places = cell_places(config.cells, config.channels)
        self.cell_types = [place.cell_type for place in places]
        seed = config.seed * (len(config.cells) + 1)

        def make_cell(place: CellPlace) -> MixedCell | ResidualBlock:
            shared = {"seed": seed + place.position + 1, "name": f"cell_{place.position}", **gaussian}
            if place.cell_type not in self.space.cell_types:
                return ResidualBlock(place.channels, **shared)
            return MixedCell(
                config.states,
                place.channels,
                space=config.space,
                normalize_all=method.normalize_all,
                reduction=place.reduction,
                stride_first=place.stride_first,
                **shared,
            )

        self.stem = VariationalConv2D(config.channels, (3, 3), seed=1000 * seed, name="stem", **gaussian)
        self.cells = [make_cell(place) for place in places]
        self.classifier = VariationalDense(classes, use_bias=True, seed=1000 * seed + 1, name="classifier", **gaussian)
        self.alphas = {
            cell_type: self._add_alphas(cell_type, method.initial_log_variance)
            for cell_type in self.space.cell_types
            if cell_type in self.cell_types
        }

    def _add_alphas(self, cell_type: str, log_variance: float | None) -> Alphas:
        shape = (len(self.space.edges(self.config.states)), len(self.space.primitives))
        # A seed of their own: the initial alphas do not move when the skeleton does.
        seed = int(np.random.SeedSequence([self.config.seed, len(cell_type)]).generate_state(1)[0])
        mean = self.add_weight(
            name=f"alpha_mean_{cell_type}",
            shape=shape,
            initializer=keras.initializers.RandomNormal(stddev=ALPHA_STDDEV, seed=seed),
        )
        if log_variance is None:
            return Alphas(mean, None)
        constant = keras.initializers.Constant(log_variance)
        return Alphas(mean, self.add_weight(name="log_variance", shape=shape, initializer=constant))

    def build(self, input_shape: Shape, *_: Any) -> None:
        """Builds all cells for images of `input_shape`; raises ConfigError where the skeleton does not fit them."""
        require_fit(self.config.cells, min(input_shape[1:3]))
        self.stem.build(input_shape)
        shapes = [self.stem.compute_output_shape(input_shape)] * 2
        for cell in self.cells:
            of_inputs = shapes[-2:] if isinstance(cell, MixedCell) else shapes[-1:]
            cell.build(*of_inputs)
            shapes.append(cell.compute_output_shape(*of_inputs))
        self.classifier.build((shapes[-1][0], shapes[-1][-1]))

    def call(
        self,
        images: tf.Tensor,
        strengths: dict[str, tf.Tensor],
        seed: tf.Tensor | None = None,
        freeze_weights: bool = False,
        statistics: kernels.Statistics | None = None,
    ) -> tf.Tensor:
        """Logits of `images`.

        Args:
            images: [n, h, w, c], normalised.
            strengths: mixing weights [edges, K] of each cell type.
            seed: int32 [2], seed of the weights' noise; None evaluates the mean weights.
            freeze_weights: gradients stop at the mixed ops' weights.
            statistics: of the normalisations; None for those of the batch, as in training.
        """
        training = seed is not None
        parts = len(self.cells) + 2
        seed_stem, *seeds, seed_classifier = [None] * parts if seed is None else kernels.split(seed, parts)
        first = second = kernels.normalize(self.stem(images, training=training, seed=seed_stem), statistics=statistics)
        for cell_type, cell, cell_seed in zip(self.cell_types, self.cells, seeds, strict=True):
            if isinstance(cell, MixedCell):
                output = cell(
                    first,
                    second,
                    strengths[cell_type],
                    seed=cell_seed,
                    freeze_weights=freeze_weights,
                    statistics=statistics,
                )
            else:
                output = cell(second, training=training, seed=cell_seed, statistics=statistics)
            first, second = second, output
        if self.space.pre_activation:
            second = kernels.normalize_relu(second, statistics=statistics)
        pooled = tf.reduce_mean(second, axis=[1, 2])
        return self.classifier(pooled, training=training, seed=seed_classifier)

    @property
    def mixed_cells(self) -> list[MixedCell]:
        """The cells that are searched."""
        return [cell for cell in self.cells if isinstance(cell, MixedCell)]

    @property
    def alpha_variables(self) -> list[keras.Variable]:
        """The architecture parameters, which the alpha optimizer trains."""
        return [variable for alphas in self.alphas.values() for variable in alphas if variable is not None]

    @property
    def weight_variables(self) -> list[keras.Variable]:
        """All trained variables but the architecture parameters."""
        architecture = {id(variable) for variable in self.alpha_variables}
        return [variable for variable in self.trainable_variables if id(variable) not in architecture]

    def weight_posteriors(self) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        """(mean, log_variance) of every layer with Gaussian weights."""
        for layer in self._flatten_layers(include_self=False):
            if getattr(layer, "log_variance", None) is not None:
                yield layer.mean.value, layer.log_variance.value

    def posterior(self) -> Posterior:
        """The architecture parameters as plain arrays; point alphas have log-variance -inf."""
        return Posterior(
            primitives=self.space.primitives,
            states=self.config.states,
            mean={name: np.array(alphas.mean) for name, alphas in self.alphas.items()},
            log_variance={
                name: np.full(alphas.mean.shape, -np.inf, np.float32)
                if alphas.log_variance is None
                else np.array(alphas.log_variance)
                for name, alphas in self.alphas.items()
            },
            space=self.space,
        )
