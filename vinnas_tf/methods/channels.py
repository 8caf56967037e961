"""What methods share that search which channels of a given network are kept, instead of cells of a space."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.masks import DropProbabilities
from vinnas_tf.console import CHANNEL_TABLE
from vinnas_tf.data.search_images import held_out
from vinnas_tf.methods.alphas import AddWeight
from vinnas_tf.methods.base import Draw, Method, Network
from vinnas_tf.methods.steps import together
from vinnas_tf.network.backbones import BackboneSettings, make_backbone

HELD_OUT = 0.1  # Of the training images; candidates are judged by them.


class ChannelNetwork(Network, Protocol):
    """What such a method sees of its network."""

    def channel_groups(self) -> tuple[tf.Tensor, tf.Tensor]:
        """How many channels each group has, and the sum of the squares of its weights, [groups] each."""


class ChannelMethod(Method):
    """A method that searches the channels of a network; each group of them has a probability of being dropped.

    Its settings are those of the network, `candidates`, how many sub-networks are drawn and judged, and
    `fine_tuning_epochs`, in which the best of them is trained on.

    Attributes:
        logit: log(p / (1 - p)) of each group, [groups]; made by `channel_parameters`.
    """

    Settings: ClassVar[type] = BackboneSettings
    ignores = frozenset({"space", "cells", "states", "channels", "stem"})
    split = held_out(HELD_OUT)
    step = together
    table = CHANNEL_TABLE

    def backbone(self, image_shape: tuple[int, ...], classes: int) -> keras.Model:
        """The network whose channels are searched."""
        return make_backbone(self.settings, image_shape, classes, self.config.seed)

    def backbone_settings(self) -> dict[str, Any]:
        """The settings that make the network, by name."""
        return {field.name: getattr(self.settings, field.name) for field in dataclasses.fields(BackboneSettings)}

    def channel_parameters(self, groups: int, add_weight: AddWeight) -> Mapping[str, keras.Variable]:
        """Makes the parameters of so many groups, by "channels/QUANTITY", [groups]; among them "channels/logit"."""
        raise NotImplementedError

    def draw(self, seed: tf.Tensor | None) -> Draw:
        """The seed alone: masks are drawn by the network, which knows how many images there are."""
        return Draw({}, seed)

    def evaluation_draw(self, batch: tf.Tensor | int = 0) -> Draw:
        """A constant seed of the run: the network is evaluated under masks too, for no weight has learnt without."""
        return Draw({}, kernels.fold_in(tf.constant([self.config.seed, 0]), batch))

    def training_mask(self, logit: tf.Tensor, seed: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
        """A mask for each image of a step: [images, channels], of the channels' logits, [channels]."""
        raise NotImplementedError

    def candidate_rates(self, found: DropProbabilities, weights: np.ndarray) -> np.ndarray:
        """The probability with which a candidate drops each channel, [channels].

        Args:
            found: what the search has learnt.
            weights: how many weights of a kernel read each channel, [channels].
        """
        return found.of_channels

    def decision_figures(self, found: DropProbabilities) -> dict[str, float]:
        """The mean drop probability of all channels, the least and the largest, and how many groups are above 1/2."""
        p, of_channels = found.p, found.of_channels
        return {
            "drop_mean": float(of_channels.mean()),
            "drop_least": float(p.min()),
            "drop_largest": float(p.max()),
            "groups_above_half": int((p > 0.5).sum()),
        }

    def warning(self, found: DropProbabilities) -> str | None:
        """Where most channels are likelier dropped than kept."""
        share = float(np.mean(found.of_channels > 0.5))
        if share <= 0.9:
            return None
        return (
            f"{share:.0%} of the channels are likelier dropped than kept; candidates may be cut in two: "
            "use a smaller prior_precision."
        )
