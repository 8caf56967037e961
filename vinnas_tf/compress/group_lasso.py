"""A group lasso on kernels whose weights come from the evidence, and what it prunes."""

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.compress.kernel_groups import groups_of
from vinnas_tf.errors import DivergenceError, require
from vinnas_tf.evidence import determined_share, penalty_weights, settled_variances
from vinnas_tf.methods.alphas import AddWeight
from vinnas_tf.proximal import lengths, shrunk

# A diagonal curvature does not know that two groups can stand in for each other, and says of both that they can go. So
# an update takes at most this share of a layer's groups, the least determined first; the next one sees what came of it.
# Those of share 0, which are zeros or read zeros, change nothing.
_MOST_AT_ONCE = 0.2


class GroupLasso:
    """The penalty lambda_w sum of omega |w| over groups of weights (BayesNAS, eq. (16)), and masks of what is pruned.

    omega and masks start at 1. Biases and normalisations have no penalty.

    Args:
        network: of Keras's own layers.
        kind: of groups, one of config.GROUPS.
        penalty: lambda_w, in nats an image.
        add_weight: makes variables that no gradient moves.

    Attributes:
        groups: those of each kernel.
        omegas: the penalty's weight of each group, of `KernelGroups.shape`, for each kernel.
        masks: 1 where a group is kept, else 0, of the same shapes.
    """

    def __init__(self, network: keras.Model, kind: str, penalty: float, add_weight: AddWeight) -> None:
        self.groups = groups_of(network, kind)
        self.penalty = penalty
        made = [
            [add_weight(name=name, shape=of.shape, initializer="ones", trainable=False) for of in self.groups]
            for name in ("omega", "mask")
        ]
        self.omegas, self.masks = made

    @property
    def kernels(self) -> list[keras.Variable]:
        """The kernel of each of `groups`."""
        return [of.kernel for of in self.groups]

    @property
    def value(self) -> float:
        """The penalty, in nats an image; after an update lambda_w times the number of weights that the data determine.

        At rest gamma^2 sum of H / (1 + gamma H) = |w|^2, so omega |w| = |w|^2 / gamma = sum of gamma H / (1 + gamma H).
        """
        pairs = zip(self.omegas, self.groups, strict=True)
        terms = [tf.reduce_sum(omega.value * lengths(of.kernel.value, of.members)) for omega, of in pairs]
        return self.penalty * float(tf.add_n(terms))

    def shrink(self, length: tf.Tensor) -> None:
        """A proximal step of a length; what is pruned stays 0."""
        for of, omega, mask in zip(self.groups, self.omegas, self.masks, strict=True):
            amount = length * self.penalty * omega.value
            of.kernel.assign(shrunk(of.kernel.value, amount, of.members) * mask.value)

    def update(self, curvature: Sequence[np.ndarray], least_share: float, prune: bool) -> None:
        """Weighs all groups anew, and prunes for good those that the data hardly determine.

        With H the curvature of the loss over lambda_w, gamma is at rest in eqs. (17) to (19), and omega^2 is the sum of
        H / (1 + gamma H). The published threshold on gamma's entropy is one for switches: here gamma is about the mean
        square weight of a group, of which none would stay.

        Args:
            curvature: of the mean cross-entropy, in all weights of each kernel.
            least_share: least share of a group's weights that the data have to determine.
            prune: whether groups are pruned; else they are only weighed.

        Raises:
            DivergenceError: a curvature is not finite.
        """
        require(
            all(np.isfinite(one).all() for one in curvature),
            "the curvature of the loss is not finite: compress in a new run_dir with a smaller learning_rate.",
            DivergenceError,
        )
        for of, omega, mask, one in zip(self.groups, self.omegas, self.masks, curvature, strict=True):
            values, scaled = of.members_first(np.array(of.kernel)), of.members_first(one) / self.penalty
            gamma = settled_variances(values, scaled)
            omega.assign(penalty_weights(scaled, gamma).reshape(of.shape))
            if prune:
                share = determined_share(scaled, gamma)
                kept = np.array(mask).ravel() > 0
                mask.assign((kept & ~_to_prune(kept, share, least_share)).reshape(of.shape))
        self.shrink(tf.constant(0.0))

    def count(self) -> tuple[int, int]:
        """How many weights are in groups that are kept, and how many there are."""
        kept = sum(of.size * int(np.array(mask).sum()) for of, mask in zip(self.groups, self.masks, strict=True))
        return kept, sum(math.prod(kernel.shape) for kernel in self.kernels)

    def count_groups(self) -> int:
        """How many groups are kept."""
        return sum(int(np.array(mask).sum()) for mask in self.masks)


def _to_prune(kept: np.ndarray, share: np.ndarray, least_share: float) -> np.ndarray:
    """Which of the groups that are kept, bool [groups], go for their determined share [groups]."""
    order = np.argsort(np.where(kept & (share > 0), share, np.inf), kind="stable")
    first = np.zeros(kept.shape, bool)
    first[order[: math.ceil(_MOST_AT_ONCE * kept.sum())]] = True
    return kept & (share < least_share) & (first | (share == 0))
