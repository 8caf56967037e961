"""The iterations that methods choose from: in which order weights and architecture parameters move."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import tensorflow as tf

Batch = tuple[tf.Tensor, tf.Tensor]


class Descends(Protocol):
    """What a step sees of `SearchModel`."""

    searches_architecture: bool

    def descend(
        self,
        batch: Batch,
        *,
        weights: bool = False,
        architecture: bool = False,
        through: Batch | None = None,
        logged_as: str = "weight",
    ) -> None:
        """One step of the optimizers of what is named."""


class Step(NamedTuple):
    """One iteration of a search.

    Attributes:
        run: does it, on a batch of the images for weights and one of those for the architecture.
        batches: how many of the two the weights learn from.
        descents: how many an iteration has while the architecture moves; with one, all that moves moves together.
        takes_differences: whether a gradient is a difference of others, which bfloat16 would round away.
    """

    run: Callable[[Descends, Batch, Batch], None]
    batches: int
    descents: int = 2
    takes_differences: bool = False


def _alternating(model: Descends, weight_batch: Batch, architecture_batch: Batch) -> None:
    model.descend(weight_batch, weights=True)
    if model.searches_architecture:
        model.descend(architecture_batch, architecture=True, logged_as="alpha")


def _joint(model: Descends, weight_batch: Batch, architecture_batch: Batch) -> None:
    for batch, half in ((weight_batch, "weight"), (architecture_batch, "alpha")):
        model.descend(batch, weights=True, architecture=model.searches_architecture, logged_as=half)


def _together(model: Descends, batch: Batch, _: Batch) -> None:
    model.descend(batch, weights=True, architecture=model.searches_architecture)


def _looking_ahead(model: Descends, weight_batch: Batch, architecture_batch: Batch) -> None:
    # The finite difference moves a weight by less than a GPU's TF32 keeps of it. Set when the step is traced.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    model.descend(weight_batch, weights=True)
    if model.searches_architecture:
        model.descend(architecture_batch, architecture=True, through=weight_batch, logged_as="alpha")


# A weight step on one half of the images, then an architecture step on the other (VINNAS, Algorithm 1).
alternating = Step(_alternating, batches=1)
# A step of both on either half.
joint = Step(_joint, batches=2)
# A step of both on the images for weights alone.
together = Step(_together, batches=1, descents=1)
# Alternating, with an architecture gradient through the weight step that follows (DARTS, second order).
looking_ahead = Step(_looking_ahead, batches=1, takes_differences=True)
