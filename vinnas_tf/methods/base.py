"""What a search method is: what the supergraph, `SearchModel` and the search ask it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.architecture.collapse import choice_shares, collapse_warning, mixing_entropy
from vinnas_tf.architecture.edge_values import EdgeValues
from vinnas_tf.architecture.found import Columns, Found
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior, select, softmax
from vinnas_tf.architecture.skeleton import CellGroup
from vinnas_tf.architecture.space import SPACES, SearchSpace
from vinnas_tf.config import LOCAL_REPARAMETRIZATION, SearchConfig
from vinnas_tf.console import SEARCH_TABLE, Table
from vinnas_tf.data.picture_index import Watch, unwatched
from vinnas_tf.data.search_images import SearchImages, Split, halves
from vinnas_tf.errors import require
from vinnas_tf.methods.alphas import AddWeight, Alphas
from vinnas_tf.methods.steps import Step, alternating
from vinnas_tf.optimizer import ArchitectureAdam, make_weight_optimizer
from vinnas_tf.run.files import Value
from vinnas_tf.schedule import falling_rate
from vinnas_tf.training import ramp

WEIGHTS, ARCHITECTURE = frozenset({"weights"}), frozenset({"architecture"})

Posteriors = list[tuple[tf.Tensor, tf.Tensor]]  # (mean, log_variance) of Gaussian weights


class Draw(NamedTuple):
    """Everything random of one step; all terms of the step see the same draw.

    Attributes:
        mixing: mixing weights by cell group: [edges, K] that its cells share, or [cells, edges, K] of each of them.
        seed: int32 [2], of the noise of weights and of the method's own further samples; None: the mean network.
    """

    mixing: Mapping[str, tf.Tensor]
    seed: tf.Tensor | None


class Term(NamedTuple):
    """A term that a method adds to the cross-entropy.

    Attributes:
        gamma: its weight, at the end of a ramp where there is one.
        of: WEIGHTS, ARCHITECTURE or their union: a descent in any of them adds the term.
        per_example: whether the term belongs to the whole data set, so that the mean loss takes 1/N of it.
        setting: the setting that gamma comes from; empty where none does.
    """

    gamma: float
    of: frozenset[str]
    per_example: bool = True
    setting: str = ""


class Network(Protocol):
    """What a method sees of the network that is searched."""

    def weight_posteriors(self) -> Posteriors:
        """(mean, log_variance) of every layer with Gaussian weights."""


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """What the method reads besides: nothing."""


class Method:
    """A search method. What it leaves out is as in this class: one alpha an edge and primitive, whose softmax mixes.

    Args:
        config: the settings that all methods share.
        settings: the method's own, an instance of its `Settings`; None: their defaults.

    Raises:
        SettingError: it can't search the space.

    Attributes:
        Settings: frozen dataclass of the method's own settings; a setting that the method does not read is refused.
        ignores: names of the shared settings that the method does not read.
        trains: whether a supergraph is trained at all.
        zero: whether the absence of an operation, the primitive zero, is among the candidates of an edge.
        split: which images weights and architecture learn from: `halves`, `whole` or `held_out(share)`.
        step: in which order an iteration moves weights and architecture: `alternating`, `joint` or `looking_ahead`.
        variational_weights: Gaussian weights in the supergraph, or deterministic ones.
        estimator: of the outputs of Gaussian weights, one of config.ESTIMATORS.
        log_variance_rate: learning rate of the weights' log-variances as a multiple of the means'.
        architecture_log_variance_rate: the same of the architecture's variables named log_variance or log_rate.
        initial_log_variance: of Gaussian alphas; None makes them deterministic.
        gamma_start_epoch: from which `schedule` raises the gammas.
        nonnegative: whether all mixing weights of a draw are at least 0, which makes a step cheaper.
        normalize_all: whether skip and bare pools are normalised, as all other primitives are.
        images_between: how many images go through the network and back between the epochs of a search, in all.
        augmented_as: as how many images the terms of the whole data set count one that is augmented.
        table: what is printed of an epoch.
        keeps_best_epoch: whether the epoch with the least error on the watched images is kept, or the last.
        terms: what the loss consists of beside the cross-entropy, by name.
        scheduled: variables with the values of `schedule`, which a search makes and sets.
    """

    Settings: ClassVar[type] = NoSettings
    ignores: ClassVar[frozenset[str]] = frozenset()
    trains: ClassVar[bool] = True
    zero: ClassVar[bool] = True
    split: Split = halves
    step: Step = alternating
    variational_weights: bool = False
    estimator: str = LOCAL_REPARAMETRIZATION
    log_variance_rate: float = 1.0
    architecture_log_variance_rate: float = 1.0
    initial_log_variance: float | None = None
    gamma_start_epoch: int = 0
    nonnegative: bool = False
    normalize_all: bool = False
    images_between: int = 0
    augmented_as: int = 1
    table: Table = SEARCH_TABLE
    keeps_best_epoch: bool = False

    def __init__(self, config: SearchConfig, settings: Any = None) -> None:
        self.config = config
        self.settings = self.Settings() if settings is None else settings
        self.terms: dict[str, Term] = {}
        self.scheduled: Mapping[str, keras.Variable] = {}
        able = [name for name, space in SPACES.items() if self.can_search(space)]
        require(
            config.space in able,
            f"method={config.method} can't search space={config.space}: use space={' or '.join(able)}.",
        )

    @classmethod
    def can_search(cls, space: SearchSpace) -> bool:
        """Whether what the method finds is a cell of the space, and its cells are made for it."""
        return not space.pyramid

    @property
    def primitives(self) -> tuple[str, ...]:
        """Names of the K candidate operations of an edge."""
        return tuple(name for name in SPACES[self.config.space].primitives if self.zero or name != "zero")

    def parameters(self, groups: Mapping[str, CellGroup], add_weight: AddWeight) -> Mapping[str, keras.Variable]:
        """Makes the architecture parameters.

        Args:
            groups: the cells that are searched, by name.
            add_weight: makes a variable of the network.

        Returns:
            By "GROUP/QUANTITY", such as "normal/mean": [edges, K] or [edges].
        """
        self.alphas = Alphas(groups, add_weight, self.config.seed, self.initial_log_variance)
        return self.alphas.variables

    def mixing_weights(self, alpha: tf.Tensor) -> tf.Tensor:
        """The mixing weights of alphas, [..., edges, K]."""
        return tf.nn.softmax(alpha, axis=-1)

    def draw(self, seed: tf.Tensor | None) -> Draw:
        """The mixing weights of a step, sampled from `seed`, int32 [2], or those of the mean network for None."""
        return Draw({group: self.mixing_weights(alpha) for group, alpha in self.alphas.draw(seed).items()}, seed)

    def evaluation_draw(self, batch: tf.Tensor | int = 0) -> Draw:
        """What the network is evaluated with: the mean network.

        Args:
            batch: the number of a batch, for a method that draws here too: each batch should get other draws.
        """
        return self.draw(None)

    def values(self, draw: Draw, network: Network) -> dict[str, tf.Tensor]:
        """The raw value of each of `terms`."""
        return {}

    def optimizers(self, steps: int) -> tuple[keras.Optimizer, keras.Optimizer]:
        """The optimizers of the weights and of the architecture parameters, for so many steps of the weights."""
        return self.weight_optimizer(steps), self.architecture_optimizer()

    def weight_optimizer(self, steps: int) -> keras.Optimizer:
        """The one that the settings ask for, whose rate follows their schedule."""
        config = self.config
        rate = falling_rate(
            config.weight_schedule,
            config.weight_learning_rate,
            config.final_weight_learning_rate,
            steps,
            marks=[epoch * steps // config.epochs for epoch in config.weight_schedule_epochs],
        )
        return make_weight_optimizer(
            config.weight_optimizer,
            rate,
            log_variance_rate=self.log_variance_rate,
            weight_decay=config.weight_decay,
            clip_norm=config.weight_clip_norm,
        )

    def architecture_optimizer(self) -> keras.Optimizer:
        """Adam at a constant rate."""
        return ArchitectureAdam(
            self.config.alpha_learning_rate,
            beta_1=self.config.alpha_beta_1,
            log_variance_rate=self.architecture_log_variance_rate,
            l2=self.config.alpha_decay,
        )

    def schedule(self, epoch: int) -> dict[str, float]:
        """What an epoch, counted from 0, sets: "gamma_" + the name of each term, and whatever else the method reads.

        The gammas rise linearly from `gamma_start_epoch` to the last epoch.
        """
        share = ramp(epoch, self.gamma_start_epoch, self.config.epochs - 1)
        return {f"gamma_{name}": term.gamma * share for name, term in self.terms.items()}

    def after_epoch(self, epoch: int, model: keras.Model, images: SearchImages, watch: Watch = unwatched) -> None:
        """What the method does between the epochs: measures curvature, prunes, and the like.

        Args:
            epoch: that has ended, counted from 0.
            model: the `SearchModel`.
            images: those of the search.
            watch: goes through what takes long, and tells how far it is.
        """

    def preference(self, found: Found) -> dict[str, np.ndarray]:
        """How much each primitive of an edge is preferred, by cell group, [edges, K]; the largest leads its edge."""
        return found.of("mean")

    def score(self, alpha: np.ndarray) -> np.ndarray:
        """What a draw of alpha, [..., edges, K], is ranked by, of the same shape.

        The softmax compares edges: a number added to all alphas of an edge changes nothing in it.
        """
        return softmax(alpha)

    def shares(self) -> dict[str, np.ndarray]:
        """Shares of the candidates of each edge as the parameters now are, by cell group, [edges, K]; a row sums to 1.

        Their entropy tells how decided a search is.
        """
        return {group: np.array(mixing) for group, mixing in self.draw(None).mixing.items()}

    def decision_figures(self, found: Any) -> dict[str, float]:
        """How decided the search is after an epoch, for metrics.csv: entropy of the mixing weights, and what leads.

        Args:
            found: the parameters as they are, of the kind that the network finds.
        """
        shares = choice_shares(self.preference(found), found.primitives)
        return {
            "mixing_entropy": mixing_entropy(self.shares()),
            **{f"share_{kind}": share for kind, share in shares.items()},
        }

    def epoch_figures(self, found: Any) -> Mapping[str, Value]:
        """What metrics.csv tells of an epoch beside the figures of every method, by column; None: not known yet."""
        return {}

    def warning(self, found: Any) -> str | None:
        """One line where what was found so far is not to be trusted, such as a collapse; else None."""
        return collapse_warning(self.preference(found), found.primitives, self.derive(found))

    def edge_values(self, found: Found, trajectory: Mapping[str, np.ndarray]) -> EdgeValues | None:
        """What a picture shows of each candidate operation, and how it came about; None: there is nothing to show.

        Args:
            found: the parameters that the genotype was derived from.
            trajectory: by "GROUP/QUANTITY", the parameters at the end of each epoch, [epochs, edges, K].
        """
        return Posterior.of(found).edge_values(trajectory) if found.of("mean") else None

    def columns(self, found: Found) -> Columns:
        """What posterior.json tells of each edge and primitive."""
        return Posterior.of(found).columns(self.score)

    def derive(self, found: Found | None) -> Genotype:
        """The architecture that was found; `found` is None where nothing was trained.

        Each state's best edges with their best primitive other than zero, by the score of the mean.
        """
        assert found is not None
        scores = {group: self.score(mean) for group, mean in found.of("mean").items()}
        return select(scores, found.states, found.primitives, found.space)
