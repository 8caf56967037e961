"""Architecture weights alpha, one for each edge and primitive, Gaussian or deterministic."""

import zlib
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.skeleton import CellGroup

AddWeight = Callable[..., keras.Variable]  # `keras.layers.Layer.add_weight`

INITIAL_STDDEV = 0.001  # VINNAS, section V: alpha_mean starts at N(0, 0.001); read as a standard deviation
# What distinguishes the seeds of the initial values of these two groups, for the sake of searches of old; of others a
# hash of the name does.
_SEEDS = {"normal": 6, "reduction": 9}


def initial_mean(group: str, seed: int) -> keras.initializers.Initializer:
    """N(0, 0.001), of a seed of the cell group's own: initial alphas do not move when the skeleton does."""
    words = [seed, _SEEDS.get(group, zlib.crc32(group.encode()))]
    of_mean = int(np.random.SeedSequence(words).generate_state(1)[0])
    return keras.initializers.RandomNormal(stddev=INITIAL_STDDEV, seed=of_mean)


class Alphas:
    """The variables of the alphas of all cell groups, and samples of them.

    Args:
        groups: the cells that are searched, by name.
        add_weight: makes a variable.
        seed: of the initial means.
        log_variance: initial one of Gaussian alphas; None makes them deterministic.

    Attributes:
        mean: by cell group, [edges, K].
        log_variance: the same; empty where alphas are deterministic.
    """

    def __init__(
        self, groups: Mapping[str, CellGroup], add_weight: AddWeight, seed: int, log_variance: float | None = None
    ) -> None:
        self.mean: dict[str, keras.Variable] = {}
        self.log_variance: dict[str, keras.Variable] = {}
        self.variables: dict[str, keras.Variable] = {}
        for name, group in groups.items():
            self.mean[name] = add_weight(
                name=f"alpha_mean_{name}", shape=group.shape, initializer=initial_mean(name, seed)
            )
            self.variables[f"{name}/mean"] = self.mean[name]
            if log_variance is not None:
                self.log_variance[name] = add_weight(
                    name="log_variance",
                    shape=group.shape,
                    initializer=keras.initializers.Constant(log_variance),
                )
                self.variables[f"{name}/log_variance"] = self.log_variance[name]

    def samples(self, group: str, seed: tf.Tensor, count: int) -> tf.Tensor:
        """Draws [count, edges, K] of the Gaussian alphas of a cell group from `seed`, int32 [2]."""
        mean, log_variance = self.mean[group].value, self.log_variance[group].value
        return mean + tf.exp(0.5 * log_variance) * tf.random.stateless_normal((count, *mean.shape), seed)

    def draw(self, seed: tf.Tensor | None) -> dict[str, tf.Tensor]:
        """One sample of the alphas of each cell group, [edges, K]; their means for None, or where there is no noise."""
        if seed is None or not self.log_variance:
            return {name: mean.value for name, mean in self.mean.items()}
        return {
            name: self.samples(name, kernels.fold_in(seed, -1 - position), count=1)[0]
            for position, name in enumerate(self.mean)
        }
