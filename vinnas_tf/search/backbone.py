"""The backbone of a search of channels: a given network under masks, and the parameters that masks are drawn from."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.masks import DropProbabilities
from vinnas_tf.layers.channel_mask import bernoulli_mask
from vinnas_tf.layers.convolution import Shape
from vinnas_tf.methods.base import Draw, Posteriors
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.network.masks import MaskedNetwork
from vinnas_tf.search.searched import Searched


class MaskedBackbone(Searched):
    """The network whose channels are searched (PGNAS, section 2).

    Args:
        method: makes the architecture parameters, and draws masks in training.
        network: a Functional Keras model from normalised images to logits.

    Attributes:
        masked: the network as it is called with masks.
        architecture: the architecture parameters, by "channels/QUANTITY", [groups].

    Inputs: images [n, h, w, c] and a draw of the architecture, of which the seed counts; output: logits [n, classes].
    """

    def __init__(self, method: ChannelMethod, network: keras.Model, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.method = method
        self.network = network
        self.masked = MaskedNetwork(network)
        parameters = method.channel_parameters(len(self.masked.groups), self.add_weight)
        self.architecture = dict(parameters)

    def build(self, input_shape: Shape) -> None:
        """Nothing: the network was built for its images."""

    def call(
        self,
        images: tf.Tensor,
        draw: Draw,
        freeze_weights: bool = False,
        statistics: kernels.Statistics | None = None,
    ) -> tf.Tensor:
        """Logits of `images`, each under a mask of its own.

        Args:
            images: [n, h, w, c], normalised.
            draw: whose seed the masks are drawn from.
            freeze_weights: says that no gradient in the weights is wanted; nothing is to be done for it.
            statistics: of the normalisations; then masks are of 0 and 1. None in training: those of the batch, and the
                method's masks.
        """
        logit = tf.gather(self.architecture["channels/logit"].value, self.masked.group_of_channel)
        training = statistics is None
        draw_mask = self.method.training_mask if training else bernoulli_mask
        mask = draw_mask(logit, draw.seed, tf.shape(images)[0])
        return self.masked(images, mask, statistics=statistics, training=training)

    @property
    def weight_variables(self) -> list[keras.Variable]:
        """The trained weights of the network."""
        return list(self.network.trainable_variables)

    def weight_posteriors(self) -> Posteriors:
        """None: the weights are points."""
        return []

    def channel_groups(self) -> tuple[tf.Tensor, tf.Tensor]:
        """How many channels each group has, and the sum of the squares of its weights, [groups] each."""
        return tf.constant(self.masked.sizes, tf.float32), self.masked.squared_norms()

    def as_found(self, arrays: Mapping[str, np.ndarray]) -> DropProbabilities:
        """The drop probabilities."""
        return DropProbabilities(self.masked.groups, arrays)
