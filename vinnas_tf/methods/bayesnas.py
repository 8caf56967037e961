"""BayesNAS: Zhou, Yang, Wang and Pan 2019, BayesNAS: A Bayesian Approach for Neural Architecture Search.

Every operation of every cell has a switch. All that the cells of a group have at one place shares a Gaussian prior,
whose variance the data decide; what has hardly any is pruned, and what is left is the cell.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.architecture.edge_values import EdgeValues, Note
from vinnas_tf.architecture.found import Columns, Found
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import select
from vinnas_tf.architecture.skeleton import CellGroup
from vinnas_tf.architecture.space import SPACES, Choice, SearchSpace
from vinnas_tf.config import SearchConfig, require_positive, require_share, setting
from vinnas_tf.curvature import measure_curvature
from vinnas_tf.data.batches import Normalization, spread_batches
from vinnas_tf.data.picture_index import Watch, unwatched
from vinnas_tf.data.search_images import SearchImages, whole
from vinnas_tf.errors import DivergenceError, require
from vinnas_tf.methods.alphas import AddWeight
from vinnas_tf.methods.base import Draw, Method
from vinnas_tf.methods.steps import together
from vinnas_tf.methods.switches import Switches, strengths
from vinnas_tf.proximal import ProximalSGD
from vinnas_tf.run.files import Value

GAMMA, MAGNITUDE = RANKINGS = ("gamma", "magnitude")
UNDECIDED_SHARE = 0.75
# What the curvature is measured on, in batches of so many; the standard error is that of so many draws, 7 percent.
CURVATURE_IMAGES, CURVATURE_BATCH, CURVATURE_DRAWS = 500, 16, 400
_SEED = 20  # What distinguishes its draws from all others of a seed.


@dataclass(frozen=True, kw_only=True)
class BayesNasSettings:
    """What method=bayesnas reads besides."""

    switch_penalty: float = setting(
        0.01, "Weight lambda_w of the penalty on switches, in nats an image; the larger, the fewer operations are kept."
    )
    updates: int = setting(
        1, "How often gammas are updated and operations pruned: evenly from weight_epochs on, the last time at the end."
    )
    determined: float = setting(
        0.05,
        "Share of a switch's values over the cells that the data must determine; 0: the published rule, gamma alone.",
    )
    normalize_switches: bool = setting(
        False, "Rescales the switches into each state to a mean square of 1 after each step: an ablation."
    )
    keep: str = setting(
        GAMMA,
        "What is kept: gamma, what was not pruned, as published; or magnitude, as many operations with the largest "
        "switches.",
    )

    def __post_init__(self) -> None:
        require_positive(self, "switch_penalty")
        require(self.updates >= 1, f"updates must be at least 1, got {self.updates}.")
        require_share(self, "determined")
        require(self.keep in RANKINGS, f"keep must be {' or '.join(RANKINGS)}, got {self.keep!r}.")


class BayesNas(Method):
    """BayesNAS: signed switches under a group lasso that is weighed by the evidence.

    Of the space tree_pyramid each cell is a group of its own, which is the proxyless search (section 6.2); a cell of
    which nothing is kept leaves its block's shortcut.

    Weights and switches learn together from all images, by one loss. The noise's variance is the penalty's weight: the
    loss is the mean cross-entropy L plus lambda_w times the sum of omega |w|, and the curvature that of L / lambda_w.

    Raises:
        SettingError: the epochs are no multiple of the updates, or an edge of the space has one operation.
    """

    Settings = BayesNasSettings
    ignores = frozenset({"alpha_beta_1", "alpha_decay"})  # Adam's, and a decay beside the penalty.
    zero = False  # Section 4.2: an identity that is off stands for it.
    split = whole
    step = together

    def __init__(self, config: SearchConfig, settings: BayesNasSettings | None = None) -> None:
        super().__init__(config, settings)
        penalised, updates = config.epochs - config.weight_epochs, self.settings.updates
        require(
            penalised % updates == 0,
            f"the epochs after weight_epochs={config.weight_epochs}, which are {penalised}, must be a multiple of "
            f"updates={updates}: change epochs={config.epochs}, or updates.",
        )
        self.epochs_per_update = penalised // updates
        self.images_between = updates * CURVATURE_DRAWS * CURVATURE_BATCH

    @classmethod
    def can_search(cls, space: SearchSpace) -> bool:
        """Whether an edge may have any number of operations."""
        return space.choice.edges_per_state is not None

    def parameters(self, groups: Mapping[str, CellGroup], add_weight: AddWeight) -> Mapping[str, keras.Variable]:
        """The switches of each cell, [edges, K] and [edges], and what is known of each group."""
        space = SPACES[self.config.space]
        outputs = space.outputs(self.config.states)
        self.switches = {name: Switches(group, space.inputs, outputs, add_weight) for name, group in groups.items()}
        return {
            f"{name}/{quantity}": variable
            for name, switches in self.switches.items()
            for quantity, variable in switches.variables.items()
        }

    def draw(self, seed: tf.Tensor | None) -> Draw:
        """The switches of each cell; nothing in them is random."""
        return Draw({name: switches.mixing() for name, switches in self.switches.items()}, seed)

    def architecture_optimizer(self) -> keras.Optimizer:
        """Gradient descent at a constant rate, with a proximal step of the penalty after each other one."""
        return ProximalSGD(self.config.alpha_learning_rate, proximal=self._penalise)

    def _penalise(self, length: tf.Tensor) -> None:
        for switches in self.switches.values():
            switches.shrink(self.settings.switch_penalty * length)
            if self.settings.normalize_switches:
                switches.normalize()

    def after_epoch(self, epoch: int, model: keras.Model, images: SearchImages, watch: Watch = unwatched) -> None:
        """Measures the curvature, weighs all groups anew and prunes, where an update is due.

        Raises:
            DivergenceError, SettingError: as `update`.
        """
        done = epoch + 1 - self.config.weight_epochs
        if done <= 0 or done % self.epochs_per_update:
            return
        self.update(self.curvature(epoch, model, images, watch))

    def curvature(self, epoch: int, model: keras.Model, images: SearchImages, watch: Watch) -> list[np.ndarray]:
        """That of the mean cross-entropy in all switches, group by group, on up to 500 training images as they are."""
        supergraph, normalization = model.supergraph, Normalization.of(images.weights)
        batches = spread_batches(
            images.weights,
            batch_size=min(CURVATURE_BATCH, len(images.weights)),
            at_most=CURVATURE_IMAGES,
            normalization=normalization,
        )
        return measure_curvature(
            lambda x: supergraph(x, self.draw(None), freeze_weights=True),
            [variable.value for switches in self.switches.values() for variable in switches.trained],
            [x for x, _ in batches],
            classes=supergraph.classifier.units,
            draws=CURVATURE_DRAWS,
            seed=tf.random.fold_in([self.config.seed, _SEED], epoch),
            watch=watch,
        )

    def update(self, curvature: list[np.ndarray]) -> None:
        """Weighs all groups by the curvature of the loss in all switches, in the order of `curvature`, and prunes.

        Raises:
            DivergenceError: a curvature is not finite.
            SettingError: nothing is left of a cell, or in a pyramid of all cells.
        """
        require(
            all(np.isfinite(one).all() for one in curvature),
            "the curvature of the loss is not finite: search in a new run_dir with a smaller weight_learning_rate.",
            DivergenceError,
        )
        of_noise = [one / self.settings.switch_penalty for one in curvature]
        for switches in self.switches.values():
            own, of_noise = of_noise[: len(switches.trained)], of_noise[len(switches.trained) :]
            switches.update(own, self.settings.determined)
        empty = [name for name, switches in self.switches.items() if not np.any(switches.known["mask"])]
        if SPACES[self.config.space].pyramid:
            fatal, which = len(self.switches), "every cell"
        else:
            fatal, which = 1, f"the {' and the '.join(empty)} cell"
        require(
            len(empty) < fatal,
            f"all operations of {which} are pruned: use a smaller switch_penalty than "
            f"{self.settings.switch_penalty:g}, or fewer epochs.",
        )

    def preference(self, found: Found) -> dict[str, np.ndarray]:
        """The root mean square over the cells of what an operation is multiplied by, or was before it was pruned."""
        return {group: np.sqrt(np.square(values).mean(axis=0)) for group, values in strengths(found.arrays).items()}

    def shares(self) -> dict[str, np.ndarray]:
        """Shares in the sizes of an edge's switches, mean over the cells; all 0 of an edge that is pruned."""
        sizes = {group: np.abs(np.array(mixing)).mean(axis=0) for group, mixing in self.draw(None).mixing.items()}
        tiny = np.finfo(np.float32).tiny
        return {group: size / np.maximum(size.sum(axis=-1, keepdims=True), tiny) for group, size in sizes.items()}

    def epoch_figures(self, found: Found) -> dict[str, Value]:
        """Of each cell: how many operations are kept, the median size of their switches, and the determined share.

        The penalty drives all switches down together where normalisation takes their scale away: the median tells.
        """
        figures: dict[str, Value] = {}
        strength, share = self.preference(found), found.of("determined")
        for group, kept in _kept(found).items():
            figures[f"kept_{group}"] = int(kept.sum())
            figures[f"median_switch_{group}"] = float(np.median(strength[group][kept])) if kept.any() else None
            known = not np.isnan(share[group]).any()
            figures[f"determined_{group}"] = float(share[group].mean()) if known else None
        return figures

    def warning(self, found: Found) -> str | None:
        """After an update: where only operations without weights are left, or hardly anything was pruned."""
        if any(np.isnan(share).any() for share in found.of("determined").values()):
            return None
        genotype = self.derive(found)
        group = "normal" if "normal" in genotype.cells else next(iter(genotype.cells))
        if group in genotype.cells_without_weights:
            return (
                f"Collapse: only operations without weights are kept in the {group} cell; "
                "compare other seeds before you trust this search."
            )
        for group, kept in _kept(found).items():
            if kept.sum() > UNDECIDED_SHARE * kept.size:
                return (
                    f"Undecided: {kept.sum()} of {kept.size} operations of the {group} cell are kept; search longer, "
                    "or with a larger switch_penalty."
                )
        return None

    def edge_values(self, found: Found, trajectory: Mapping[str, np.ndarray]) -> EdgeValues:
        """The switches, mean and spread over the cells, and gamma."""
        of_epochs = strengths(trajectory)
        return EdgeValues(
            found.space,
            found.states,
            found.primitives,
            "mean switch",
            {group: values.mean(axis=0) for group, values in strengths(found.arrays).items()},
            {group: values.mean(axis=0) for group, values in of_epochs.items()},
            Note("γ", found.of("gamma"), "γ: variance of the switch's prior; 0: pruned"),
            caption="switch w'w, mean over the cells, and γ; outlined: kept",
            heading="Switches over the epochs, mean ± deviation",
            deviation={group: values.std(axis=0) for group, values in of_epochs.items()},
        )

    def columns(self, found: Found) -> Columns:
        """The switches of each cell, what is known of their groups, and the size of w' w over the cells."""
        strength = self.preference(found)
        return {
            group: {
                **{name.split("/")[1]: values for name, values in found.arrays.items() if name.startswith(f"{group}/")},
                "strength": strength[group],
            }
            for group in found.groups
        }

    def derive(self, found: Found | None) -> Genotype:
        """What was not pruned, with switches of 1, or as many operations of each cell with the largest switches."""
        assert found is not None
        kept, strength = _kept(found), self.preference(found)
        if self.settings.keep == MAGNITUDE:
            edges, inputs = found.space.edges(found.states), found.space.inputs
            kept = {group: _strongest(strength[group], int(of.sum()), edges, inputs) for group, of in kept.items()}
        scores = {group: np.where(of_group, strength[group], -np.inf) for group, of_group in kept.items()}
        return select(scores, found.states, found.primitives, found.space, Choice(None, None))


def _kept(found: Found) -> dict[str, np.ndarray]:
    """What is not pruned, bool [edges, K]."""
    return {group: mask > 0 for group, mask in found.of("mask").items()}


def _strongest(strength: np.ndarray, count: int, edges: tuple[tuple[int, int], ...], inputs: int) -> np.ndarray:
    """So many of the strongest operations, bool [edges, K]: one by one, each out of a node that is fed by then."""
    kept, fed = np.zeros(strength.shape, bool), set(range(inputs))
    for _ in range(count):
        open_edges = np.array([source in fed for source, _ in edges])
        candidates = np.where(open_edges[:, None] & ~kept, strength, -np.inf)
        edge, k = np.unravel_index(candidates.argmax(), candidates.shape)
        kept[edge, k] = True
        fed.add(edges[edge][1])
    return kept
