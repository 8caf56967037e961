"""The supergraph: cells of mixed ops between a stem and a classifier, and the architecture parameters they share."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.found import Found
from vinnas_tf.architecture.skeleton import CellPlace, cell_groups, cell_places, require_fit, stem_channels
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.architecture.stem import STEMS
from vinnas_tf.config import FLOAT32
from vinnas_tf.kernels.private import layers_within
from vinnas_tf.layers.cell import MixedCell
from vinnas_tf.layers.convolution import Shape, VariationalDense
from vinnas_tf.layers.pyramid import PyramidBlock
from vinnas_tf.layers.residual_block import ResidualBlock
from vinnas_tf.layers.stem import SearchStem
from vinnas_tf.methods.base import Draw, Method
from vinnas_tf.search.searched import Searched


class Supergraph(Searched):
    """The over-parametrised network that the search trains (VINNAS, section IV-A and figure 1).

    Args:
        method: makes the architecture parameters, and says whether weights are Gaussian; its `config` says the space,
            the skeleton and the seed.
        classes: number of classes.

    Attributes:
        groups: the cells that are searched, by the name of their group.
        architecture: the architecture parameters, by "GROUP/QUANTITY".

    Inputs: images [n, h, w, c] and a draw of the architecture; output: logits [n, classes].
    """

    def __init__(self, method: Method, classes: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # Mixing weights keep all their bits.
        self.method = method
        self.config = config = method.config
        self.space = SPACES[config.space]
        gaussian: dict[str, Any] = {
            "variational": method.variational_weights,
            "estimator": method.estimator,
            "dtype": self.dtype_policy,
        }
        places = cell_places(config.cells, config.channels, STEMS[config.stem], self.space)
        self.groups = cell_groups(config.cells, self.space, config.states, method.primitives)
        self.group_of = [place.group for place in places]
        seed = config.seed * (len(config.cells) + 1)

        def make_cell(place: CellPlace) -> MixedCell | PyramidBlock | ResidualBlock:
            shared = {"seed": seed + place.position + 1, "name": f"cell_{place.position}", **gaussian}
            if place.group not in self.groups:
                return ResidualBlock(place.channels, **shared)
            shared |= {
                "space": config.space,
                "normalize_all": method.normalize_all,
                "nonnegative": method.nonnegative,
                "reduction": place.reduction,
            }
            if self.space.pyramid:
                return PyramidBlock(config.states, place.channels, **shared)
            return MixedCell(config.states, place.channels, stride_first=place.stride_first, **shared)

        width = stem_channels(config.channels, self.space)
        self.stem = SearchStem(width, stem=config.stem, seed=1000 * seed, name="stem", **gaussian)
        self.cells = [make_cell(place) for place in places]
        of_classifier: dict[str, Any] = {**gaussian, "dtype": FLOAT32}
        self.classifier = VariationalDense(
            classes, use_bias=True, seed=1000 * seed + 1, name="classifier", **of_classifier
        )
        self.architecture = dict(method.parameters(self.groups, self.add_weight))

    def build(self, input_shape: Shape, *_: Any) -> None:
        """Builds all cells for images of `input_shape`; raises SettingError where the skeleton does not fit them."""
        require_fit(self.config.cells, min(input_shape[1:3]), STEMS[self.config.stem])
        self.stem.build(input_shape)
        shapes = [*self.stem.compute_output_shape(input_shape)]
        for cell in self.cells:
            of_inputs = shapes[-1:] if isinstance(cell, ResidualBlock) else shapes[-2:]
            cell.build(*of_inputs)
            shapes.append(cell.compute_output_shape(*of_inputs))
        self.classifier.build((shapes[-1][0], shapes[-1][-1]))

    def call(
        self,
        images: tf.Tensor,
        draw: Draw,
        freeze_weights: bool = False,
        statistics: kernels.Statistics | None = None,
    ) -> tf.Tensor:
        """Logits of `images`.

        Args:
            images: [n, h, w, c], normalised.
            draw: the mixing weights, and the seed of the weights' noise; without one the mean weights are evaluated.
            freeze_weights: gradients stop at the mixed ops' weights.
            statistics: of the normalisations; None for those of the batch, as in training.
        """
        seed, training = draw.seed, draw.seed is not None
        parts = len(self.cells) + 2
        seed_stem, *seeds, seed_classifier = [None] * parts if seed is None else kernels.split(seed, parts)
        first, second = self.stem(images, training=training, seed=seed_stem, statistics=statistics)
        mixing = {group: self._of_cells(group, of_group) for group, of_group in draw.mixing.items()}
        for group, cell, cell_seed in zip(self.group_of, self.cells, seeds, strict=True):
            if isinstance(cell, ResidualBlock):
                output = cell(second, training=training, seed=cell_seed, statistics=statistics)
            else:
                output = cell(
                    first,
                    second,
                    self._of_space(next(mixing[group])),
                    seed=cell_seed,
                    freeze_weights=freeze_weights,
                    statistics=statistics,
                )
            first, second = second, output
        if self.space.activates_output:
            second = kernels.normalize_relu(second, statistics=statistics)
        pooled = tf.reduce_mean(second, axis=[1, 2])
        return self.classifier(pooled, training=training, seed=seed_classifier)

    @property
    def mixed_cells(self) -> list[MixedCell]:
        """The cells that are searched."""
        cells = [cell.cell if isinstance(cell, PyramidBlock) else cell for cell in self.cells]
        return [cell for cell in cells if isinstance(cell, MixedCell)]

    @property
    def weight_variables(self) -> list[keras.Variable]:
        """All trained variables but the architecture parameters."""
        architecture = {id(variable) for variable in self.architecture.values()}
        return [variable for variable in self.trainable_variables if id(variable) not in architecture]

    def weight_posteriors(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """(mean, log_variance) of every layer with Gaussian weights."""
        layers = [layer for layer in layers_within(self) if getattr(layer, "log_variance", None) is not None]
        return [(layer.mean.value, layer.log_variance.value) for layer in layers]

    def as_found(self, arrays: Mapping[str, np.ndarray]) -> Found:
        """The parameters of each cell group's edges."""
        return Found(self.space, self.config.states, self.method.primitives, arrays)

    def _of_cells(self, group: str, mixing: tf.Tensor) -> Iterator[tf.Tensor]:
        """The mixing weights [edges, K] of each cell of a group, out of those that all share or those of all cells."""
        if len(mixing.shape) == 3:
            return iter(tf.unstack(mixing))
        return itertools.repeat(mixing, len(self.groups[group].positions))

    def _of_space(self, mixing: tf.Tensor) -> tf.Tensor:
        """Mixing weights of the method's candidates as those of all primitives: the others have none."""
        names, candidates = self.space.primitives, self.method.primitives
        if candidates == names:
            return mixing
        places = [candidates.index(name) if name in candidates else len(candidates) for name in names]
        return tf.gather(tf.pad(mixing, [[0, 0], [0, 1]]), places, axis=1)
