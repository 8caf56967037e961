"""The supergraph and its search."""

from dataclasses import dataclass

from vinnas_tf.architecture.skeleton import require_stem_of
from vinnas_tf.architecture.space import MOST_STATES, SPACES
from vinnas_tf.architecture.stem import PLAIN
from vinnas_tf.config.setting import (
    ADAM,
    CHANNELS_HELP,
    CLIP_NORM_HELP,
    COSINE,
    LEARNING,
    LENGTH,
    NETWORK,
    OPTIMIZER_HELP,
    SCHEDULE_EPOCHS_HELP,
    SCHEDULE_HELP,
    STEM_HELP,
    WEIGHT_DECAY_HELP,
    require_counts,
    require_epoch,
    require_falling,
    require_not_negative,
    require_optimizer,
    require_positive,
    require_schedule,
    require_seed,
    require_share,
    require_skeleton,
    require_stem,
    setting,
)
from vinnas_tf.errors import require

SELECTION_RULES = ("snr", "magnitude")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The supergraph and how it is searched; a method has further settings of its own."""

    method: str = setting("vinnas", "Search method, a key of vinnas_tf.methods.METHODS.", NETWORK)
    space: str = setting(
        "vinnas",
        "Search space: vinnas; darts; nasbench201, where a cell has --states=3 and an R of --cells is a residual "
        "block; or tree_pyramid, where a cell has --states=12 and an architecture of its own.",
        NETWORK,
    )
    cells: str = setting("NRN", "Skeleton: one letter a cell, N(ormal) keeps the size, R(eduction) halves it.", NETWORK)
    states: int = setting(
        2, "States per cell (I); state i takes an edge from each input and each state before it.", NETWORK
    )
    channels: int = setting(8, CHANNELS_HELP, NETWORK)
    stem: str = setting(PLAIN.name, STEM_HELP, NETWORK)
    epochs: int = setting(20, "Epochs of search.", LENGTH)
    weight_epochs: int = setting(2, "First epochs that train weights only, before alphas join.", LENGTH)
    batch_size: int = setting(64, "Images per weight step, and per alpha step.", LENGTH)
    weight_optimizer: str = setting(ADAM, OPTIMIZER_HELP, LEARNING)
    weight_learning_rate: float = setting(1e-2, "First learning rate for weights.", LEARNING)
    weight_schedule: str = setting(COSINE, SCHEDULE_HELP, LEARNING)
    weight_schedule_epochs: tuple[int, ...] = setting((), SCHEDULE_EPOCHS_HELP, LEARNING)
    final_weight_learning_rate: float = setting(0.0, "Learning rate for weights after the last step.", LEARNING)
    weight_decay: float = setting(0.0, WEIGHT_DECAY_HELP, LEARNING)
    weight_clip_norm: float = setting(0.0, CLIP_NORM_HELP, LEARNING)
    alpha_learning_rate: float = setting(
        1e-2,
        "Constant learning rate for the architecture parameters, Adam's unless a method has another optimizer.",
        LEARNING,
    )
    alpha_beta_1: float = setting(
        0.9, "Share of its past that Adam's mean of the architecture's gradients keeps in a step.", LEARNING
    )
    alpha_decay: float = setting(
        0.0, "Weight decay of the architecture parameters, as weight_decay; log-variances get none.", LEARNING
    )
    label_smoothing: float = setting(0.1, "Label smoothing of the cross-entropy.", LEARNING)
    seed: int = setting(0, "Seed of everything random in the run.", LEARNING)

    def __post_init__(self) -> None:
        require_skeleton(self.cells)
        require(self.space in SPACES, f"space must be {' or '.join(SPACES)}, got {self.space!r}.")
        space = SPACES[self.space]
        require(
            space.states in (None, self.states) and (space.reduces or "N" in self.cells),
            f"space={self.space} needs states={space.states} and an N in cells, such as NRNRN; "
            f"got {self.states} and {self.cells}.",
        )
        require(
            type(self.states) is not int or self.states <= MOST_STATES,
            f"states={self.states} is more than the {MOST_STATES} that a cell may have.",
        )
        require_stem(self.stem, self.channels)
        require_stem_of(space, self.stem)
        require_counts(self, "states", "channels", "epochs", "batch_size")
        require_positive(self, "weight_learning_rate", "alpha_learning_rate")
        require_optimizer(self, "weight_optimizer")
        require_falling(self, "weight_learning_rate", "final_weight_learning_rate")
        require_schedule(self, "weight_schedule", "final_weight_learning_rate")
        require_not_negative(self, "weight_decay", "weight_clip_norm", "alpha_decay")
        require_epoch("weight_epochs", self.weight_epochs, self.epochs)
        require_share(self, "alpha_beta_1", "label_smoothing")
        require_seed(self.seed)
