"""V-VDNAS and H-VDNAS, the ablations of SI-VDNAS (Wang et al. 2020, table 3): without its semi-implicit part.

Operations have weights and dropout rates, and with H-VDNAS edges have too.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.edge_values import EdgeValues, Note
from vinnas_tf.architecture.found import Columns, Found
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import select, softmax
from vinnas_tf.architecture.skeleton import CellGroup
from vinnas_tf.config import SearchConfig, require_positive, setting
from vinnas_tf.errors import require
from vinnas_tf.methods.alphas import AddWeight, initial_mean
from vinnas_tf.methods.base import ARCHITECTURE, Draw, Method, Network, Term
from vinnas_tf.variational import ard_kl, gaussian_dropout_noise

RATES = ("/log_delta", "/log_sigma")


@dataclass(frozen=True, kw_only=True)
class VdnasSettings:
    """What the three methods read besides."""

    initial_log_rate: float = setting(-2.0, "Initial logarithm of the dropout rates of operations and edges.")
    log_rate_rate: float = setting(5.0, "Learning rate of log-rates as a multiple of the architecture weights'.")

    def __post_init__(self) -> None:
        require(math.isfinite(self.initial_log_rate), f"initial_log_rate must be finite, got {self.initial_log_rate}.")
        require_positive(self, "log_rate_rate")


class VVdnas(Method):
    """V-VDNAS: DARTS's weights, each multiplied by the noise N(1, delta); operations of little noise are chosen.

    Architecture parameters of a cell group: "alpha", the logits of w, and "log_delta", [edges, K]. The paper leaves
    open how w is made: a softmax along an edge, as in DARTS, whose pipeline it follows. It also leaves open how its
    ablations choose: by the signal-to-noise ratio 1/delta, as many as the space keeps.
    """

    Settings: ClassVar[type] = VdnasSettings
    zero = False  # "The same candidate operations as existing one-shot NAS, except for 'none'" (section 4.1).
    weighs_edges: ClassVar[bool] = False

    def __init__(self, config: SearchConfig, settings: VdnasSettings | None = None) -> None:
        super().__init__(config, settings)
        self.architecture_log_variance_rate = self.settings.log_rate_rate
        self.terms = {"kl_alphas": Term(1.0, ARCHITECTURE)}

    def parameters(self, groups: Mapping[str, CellGroup], add_weight: AddWeight) -> Mapping[str, keras.Variable]:
        """Alpha and log delta, [edges, K], and beta and log sigma, [edges], of the edges where they have weights."""
        start = keras.initializers.Constant(self.settings.initial_log_rate)
        self.groups = groups
        self.variables: dict[str, keras.Variable] = {}
        for name, group in groups.items():
            mean = initial_mean(name, self.config.seed)
            self.variables[f"{name}/alpha"] = add_weight(name=f"alpha_{name}", shape=group.shape, initializer=mean)
            self.variables[f"{name}/log_delta"] = add_weight(name="log_rate", shape=group.shape, initializer=start)
            if self.weighs_edges:
                edges = group.shape[:1]
                self.variables[f"{name}/beta"] = add_weight(name=f"beta_{name}", shape=edges, initializer="zeros")
                self.variables[f"{name}/log_sigma"] = add_weight(name="log_rate", shape=edges, initializer=start)
        return self.variables

    def draw(self, seed: tf.Tensor | None) -> Draw:
        """One draw of all mixing weights, phi zeta w xi, of any sign; their expectation for None."""
        mixing = {}
        for position, (name, group) in enumerate(self.groups.items()):
            seeds = [None, None] if seed is None else kernels.split(kernels.fold_in(seed, -1 - position), 2)
            weights = tf.nn.softmax(self._value(name, "alpha"), axis=-1) * self.factor(name, "log_delta", seeds[0])
            if self.weighs_edges:
                of_edges = edge_weights(self._value(name, "beta"), group.edges)
                weights *= (of_edges * self.factor(name, "log_sigma", seeds[1]))[:, tf.newaxis]
            mixing[name] = weights
        return Draw(mixing, seed)

    def factor(self, group: str, rates: str, seed: tf.Tensor | None) -> tf.Tensor:
        """What weights are multiplied by: noise from `seed`, int32 [2], or its expectation for None."""
        log_rate = self._value(group, rates)
        return tf.ones_like(log_rate) if seed is None else gaussian_dropout_noise(log_rate, seed)

    def values(self, draw: Draw, network: Network) -> dict[str, tf.Tensor]:
        """The sum of the divergences of all rates, of operations and edges (eq. (18))."""
        rates = [variable.value for name, variable in self.variables.items() if name.endswith(RATES)]
        return {"kl_alphas": tf.add_n([tf.reduce_sum(self.divergence(log_rate)) for log_rate in rates])}

    def divergence(self, log_rate: tf.Tensor) -> tf.Tensor:
        """The divergence of each rate."""
        return ard_kl(log_rate)

    def schedule(self, epoch: int) -> dict[str, float]:
        """The divergence counts fully from the first architecture step on."""
        return {"gamma_kl_alphas": 1.0}

    def shares(self) -> dict[str, np.ndarray]:
        """Shares of the candidates in the expected mixing weights of an edge."""
        expected = super().shares()
        return {group: mixing / mixing.sum(axis=-1, keepdims=True) for group, mixing in expected.items()}

    def preference(self, found: Found) -> dict[str, np.ndarray]:
        """The logarithm of the signal-to-noise ratio: of 1/delta, or of 1/(delta sigma)."""
        sigma = found.of("log_sigma")
        return {
            group: -(log_delta + (sigma[group][:, None] if sigma else 0.0))
            for group, log_delta in found.of("log_delta").items()
        }

    def columns(self, found: Found) -> Columns:
        """The parameters themselves, the weights w and phi, and what operations are chosen by."""
        columns = {}
        for group in found.groups:
            own = {name.split("/")[1]: values for name, values in found.arrays.items() if name.startswith(f"{group}/")}
            columns[group] = {**own, "w": softmax(own["alpha"]), **self.figures(found, group)}
            if self.weighs_edges:
                edges = found.space.edges(found.states)
                columns[group]["phi"] = np.asarray(edge_weights(own["beta"], edges))
        return columns

    def figures(self, found: Found, group: str) -> dict[str, np.ndarray]:
        """What operations are chosen by, of one cell group."""
        return {"snr": np.exp(self.preference(found)[group])}

    def edge_values(self, found: Found, trajectory: Mapping[str, np.ndarray]) -> EdgeValues:
        """The logarithm of the signal-to-noise ratio."""
        ratio = "1/(delta sigma)" if self.weighs_edges else "1/delta"
        return self._pictured(found, trajectory, "log SNR", f"log SNR: logarithm of {ratio}", None)

    def derive(self, found: Found | None) -> Genotype:
        """As many operations as the space keeps, those with the largest signal-to-noise ratios."""
        assert found is not None
        return select(self.preference(found), found.states, found.primitives, found.space)

    def _value(self, group: str, quantity: str) -> tf.Tensor:
        return self.variables[f"{group}/{quantity}"].value

    def _pictured(
        self,
        found: Found,
        trajectory: Mapping[str, np.ndarray],
        name: str,
        meaning: str,
        limits: tuple[float, float] | None,
    ) -> EdgeValues:
        """The preference, as it was found and over the epochs."""
        values = self.preference(found)
        epochs = len(next(iter(trajectory.values())))
        of_epochs = [
            self.preference(
                Found(found.space, found.states, found.primitives, {name: of[epoch] for name, of in trajectory.items()})
            )
            for epoch in range(epochs)
        ]
        short, words = meaning.split(": ")
        return EdgeValues(
            found.space,
            found.states,
            found.primitives,
            name,
            values,
            {group: np.stack([of_epoch[group] for of_epoch in of_epochs]) for group in values},
            Note(short, values, meaning),
            caption=f"{words}; outlined: chosen",
            heading=f"{name[0].upper()}{name[1:]} over the epochs",
            limits=limits,
        )


class HVdnas(VVdnas):
    """H-VDNAS: V-VDNAS with weights phi of edges, each multiplied by the noise N(1, sigma).

    phi is n times a softmax over the n edges into a state. (The paper leaves it open; over edges is PC-DARTS's way,
    which it cites, and times n makes the start the plain sum of DARTS.)
    """

    weighs_edges = True


def edge_weights(beta: tf.Tensor | np.ndarray, edges: tuple[tuple[int, int], ...]) -> tf.Tensor:
    """phi, [edges]: for each state the softmax of beta over the n edges into it, times n.

    Args:
        beta: logits, [edges].
        edges: (source, target) of each, in ascending order of the targets.
    """
    targets = [target for _, target in edges]
    counts = [targets.count(target) for target in dict.fromkeys(targets)]
    return tf.concat(
        [count * tf.nn.softmax(of_state) for count, of_state in zip(counts, tf.split(beta, counts), strict=True)], 0
    )
