"""The switches of BayesNAS: what each operation is multiplied by in each cell, and what is known of their worth."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.architecture.skeleton import CellGroup
from vinnas_tf.evidence import LEAST_VARIANCE, determined_share, penalty_weights, variances
from vinnas_tf.methods.alphas import AddWeight
from vinnas_tf.methods.dependency import dependent_variances, leading_to
from vinnas_tf.proximal import shrunk


class Switches:
    """The switches of all cells of one group (Zhou et al. 2019, sections 4.2 and 5.3).

    Each cell has a switch w for each operation, and w' for the identity that every edge passes first: an edge whose w'
    is off gives zero. All start at 1. The same switches of all cells are a group; each group has one variance s, one
    gamma and one weight omega of its penalty, which no gradient moves.

    Args:
        group: the cells.
        inputs: nodes that are given to a cell.
        outputs: nodes that its output is made of.
        add_weight: makes a variable.

    Attributes:
        operations: w of each cell, [edges, K].
        identities: w' of each cell, [edges].
        known: what no gradient moves, by quantity. Of the operations, [edges, K]: "gamma", "omega", "variance" (s),
            "determined" (the share of a group's values that the data determine) and "mask", 1 of what is not pruned. Of
            the identities, [edges]: the first four, with "edge_" in front. What is not known yet is NaN.
        variables: all of them by quantity, those of a cell with its position behind, such as "switch_0".
    """

    def __init__(self, group: CellGroup, inputs: int, outputs: Sequence[int], add_weight: AddWeight) -> None:
        self.group = group
        self.inputs = inputs
        self.outputs = outputs
        edges = group.shape[:1]

        def of_cells(quantity: str, shape: tuple[int, ...]) -> list[keras.Variable]:
            names = [f"{quantity}_{group.name}_{position}" for position in group.positions]
            return [add_weight(name=name, shape=shape, initializer="ones") for name in names]

        def fixed(quantity: str, shape: tuple[int, ...], start: float) -> keras.Variable:
            initializer = keras.initializers.Constant(start)
            return add_weight(name=f"{quantity}_{group.name}", shape=shape, initializer=initializer, trainable=False)

        self.operations = of_cells("switch", group.shape)
        self.identities = of_cells("identity", edges)
        starts = {"gamma": 1.0, "omega": 1.0, "variance": np.nan, "determined": np.nan}
        self.known = {
            **{name: fixed(name, group.shape, start) for name, start in starts.items()},
            **{f"edge_{name}": fixed(f"edge_{name}", edges, start) for name, start in starts.items()},
            "mask": fixed("mask", group.shape, 1.0),
        }
        of_position = {"switch": self.operations, "identity": self.identities}
        self.variables = {
            f"{name}_{position}": variable
            for name, of_each in of_position.items()
            for position, variable in zip(group.positions, of_each, strict=True)
        } | self.known

    @property
    def trained(self) -> list[keras.Variable]:
        """The switches: w of each cell, then w' of each."""
        return [*self.operations, *self.identities]

    def mixing(self) -> tf.Tensor:
        """What the operations are multiplied by, [cells, edges, K], of any sign: w' w, and 0 where they are pruned."""
        return _stacked(self.identities)[..., tf.newaxis] * _stacked(self.operations) * self.known["mask"].value

    def shrink(self, amount: tf.Tensor) -> None:
        """The proximal step of the penalty, the sum over groups of omega |w| (eq. (21)), times `amount`."""
        for switches, omega in ((self.operations, "omega"), (self.identities, "edge_omega")):
            _assign(switches, shrunk(_stacked(switches), amount * self.known[omega].value))

    def normalize(self) -> None:
        """Rescales in each cell the switches into each state, and their identities, to a mean square of 1.

        Only what is not pruned is rescaled and counts; where nothing is left, nothing changes.
        """
        targets = [target for _, target in self.group.edges]
        into_state = tf.constant([[float(target == state) for target in targets] for state in sorted(set(targets))])
        mask = self.known["mask"].value
        for switches, kept in (
            (self.operations, mask),
            (self.identities, tf.reduce_max(mask, axis=1)),
        ):
            values = _stacked(switches)
            squares = kept * tf.square(values)
            of_edges = tf.reduce_sum(tf.reshape(squares, (len(switches), len(targets), -1)), axis=-1)
            counts = tf.reduce_sum(tf.reshape(kept, (len(targets), -1)), axis=-1)
            mean = tf.math.divide_no_nan(
                tf.matmul(of_edges, into_state, transpose_b=True), tf.linalg.matvec(into_state, counts)
            )
            factor = tf.matmul(tf.where(mean > 0, tf.math.rsqrt(mean), 1.0), into_state)
            factor = tf.reshape(factor, (*factor.shape, *[1] * (len(values.shape) - 2)))
            _assign(switches, tf.where(kept > 0, factor, 1.0) * values)

    def update(self, curvature: Sequence[np.ndarray], least_share: float) -> None:
        """Weighs all groups anew, and prunes for good what is not worth keeping (algorithm 1, steps 3 and 4).

        An operation goes if its gamma is that of a Gaussian without entropy or less (the printed rule), or if its group
        or that of its identity is hardly determined by the data: s = |w| / omega grows without bound where the loss
        does not depend on w, so gamma alone keeps what is dead. What leads to no output of the cell goes as well. What
        is gone keeps the figures that it went by.

        Args:
            curvature: of each of `trained`, divided by the variance of the noise.
            least_share: least share of a group's values that the data have to determine; 0: the printed rule alone.
        """
        cells, known = len(self.operations), {name: np.array(value) for name, value in self.known.items()}
        operations = _weigh(self.operations, curvature[:cells], known["gamma"])
        identities = _weigh(self.identities, curvature[cells:], known["edge_gamma"])
        mask = known["mask"] > 0
        worth = mask & (operations["determined"] >= least_share)
        worth &= (identities["determined"] >= least_share)[:, None]
        identities["gamma"], operations["gamma"] = dependent_variances(
            self.group.edges, self.inputs, identities["variance"], np.where(worth, operations["variance"], 0.0)
        )
        for name, values in operations.items():
            self.known[name].assign(np.where(mask, values, known[name]))
        for name, values in identities.items():
            self.known[f"edge_{name}"].assign(np.where(mask.any(axis=1), values, known[f"edge_{name}"]))
        mask &= operations["gamma"] > LEAST_VARIANCE
        self.known["mask"].assign(mask & leading_to(self.group.edges, self.outputs, mask)[:, None])


def strengths(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the operations of each cell are multiplied by, or were before they were pruned: w' w.

    Args:
        arrays: `Switches.variables` by "GROUP/QUANTITY", such as "normal/switch_0"; they may have axes in front.

    Returns:
        By cell group, [cells, ..., edges, K].
    """
    of_groups: dict[str, list[np.ndarray]] = {}
    for name, switches in arrays.items():
        group, quantity = name.split("/")
        if quantity.startswith("switch_"):
            identities = arrays[f"{group}/{quantity.replace('switch', 'identity')}"]
            of_groups.setdefault(group, []).append(identities[..., None] * switches)
    return {group: np.stack(of_cells) for group, of_cells in of_groups.items()}


def _weigh(
    switches: Sequence[keras.Variable], curvature: Sequence[np.ndarray], gamma: np.ndarray
) -> dict[str, np.ndarray]:
    """Omega, s and the determined share of each group, whose members are the cells."""
    values, curvatures = np.stack([np.array(switch) for switch in switches]), np.stack(curvature)
    omega = penalty_weights(curvatures, gamma)
    variance = variances(values, omega)
    return {"omega": omega, "variance": variance, "determined": determined_share(curvatures, variance)}


def _stacked(switches: Sequence[keras.Variable]) -> tf.Tensor:
    return tf.stack([switch.value for switch in switches])


def _assign(switches: Sequence[keras.Variable], values: tf.Tensor) -> None:
    for switch, value in zip(switches, tf.unstack(values), strict=True):
        switch.assign(value)
