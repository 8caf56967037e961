"""A network that is searched: a supergraph, or a backbone under masks."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.methods.base import Draw, Posteriors


class Searched(keras.layers.Layer):
    """What `SearchModel` trains, with its architecture parameters.

    Attributes:
        architecture: the architecture parameters, by "GROUP/QUANTITY".
    """

    architecture: dict[str, keras.Variable]

    def call(
        self,
        images: tf.Tensor,
        draw: Draw,
        freeze_weights: bool = False,
        statistics: kernels.Statistics | None = None,
    ) -> tf.Tensor:
        """Logits of normalised images [n, h, w, c]; `statistics` of the normalisations are the batch's for None."""
        raise NotImplementedError

    @property
    def architecture_variables(self) -> list[keras.Variable]:
        """The architecture parameters that are trained."""
        return [variable for variable in self.architecture.values() if variable.trainable]

    @property
    def weight_variables(self) -> list[keras.Variable]:
        """All trained variables but the architecture parameters."""
        raise NotImplementedError

    def weight_posteriors(self) -> Posteriors:
        """(mean, log_variance) of every layer with Gaussian weights."""
        raise NotImplementedError

    def found(self, arrays: Mapping[str, np.ndarray] | None = None) -> Any:
        """The architecture parameters as plain data: as they are, or as `arrays`, by name, has them."""
        if arrays is None:
            arrays = {name: np.array(value) for name, value in self.architecture.items()}
        return self.as_found(arrays)

    def as_found(self, arrays: Mapping[str, np.ndarray]) -> Any:
        """These architecture parameters, by name, as plain data of the kind that the network has."""
        raise NotImplementedError
