"""The found network and its training."""

from dataclasses import dataclass

from vinnas_tf.architecture.stem import PLAIN
from vinnas_tf.config.setting import (
    ADAM,
    CHANNELS_HELP,
    CLIP_NORM_HELP,
    COSINE,
    ESTIMATOR_HELP,
    LEARNING,
    LENGTH,
    LOCAL_REPARAMETRIZATION,
    NETWORK,
    OPTIMIZER_HELP,
    SCHEDULE_EPOCHS_HELP,
    SCHEDULE_HELP,
    SIZE,
    STEM_HELP,
    WEIGHT_DECAY_HELP,
    PathText,
    require_counts,
    require_epoch,
    require_estimator,
    require_falling,
    require_not_negative,
    require_optimizer,
    require_positive,
    require_schedule,
    require_seed,
    require_share,
    require_skeleton,
    require_stem,
    require_stem_stride,
    setting,
)
from vinnas_tf.errors import require

NO_CLASS_WEIGHTS = "none"
CLASS_WEIGHTS = (NO_CLASS_WEIGHTS, "balanced")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The network, how it is trained from scratch, and what is pruned (VINNAS, section V-A b and V-B)."""

    genotype: PathText = setting(
        "", "Genotype file (JSON); empty: the one that the run folder's search found.", NETWORK
    )
    cells: str = setting("NRN", "Skeleton: one letter a cell, N(ormal) keeps the size, R(eduction) halves it.", NETWORK)
    channels: int = setting(16, CHANNELS_HELP, NETWORK)
    stem: str = setting(PLAIN.name, STEM_HELP, NETWORK)
    stem_stride: int = setting(1, "Stride of the plain stem, 1 or 2; 2 quarters the cost of all that follows.", NETWORK)
    variational: bool = setting(
        True, "Gaussian weights; without them, deterministic ones that are never pruned: a control.", NETWORK
    )
    estimator: str = setting(LOCAL_REPARAMETRIZATION, ESTIMATOR_HELP, LEARNING)
    epochs: int = setting(50, "Epochs of training.", LENGTH)
    batch_size: int = setting(128, "Images a step.", LENGTH)
    optimizer: str = setting(ADAM, OPTIMIZER_HELP, LEARNING)
    learning_rate: float = setting(1e-2, "Largest learning rate.", LEARNING)
    warm_up_epochs: int = setting(0, "First epochs, in which the learning rate rises linearly from 0.", LEARNING)
    schedule: str = setting(COSINE, SCHEDULE_HELP, LEARNING)
    schedule_epochs: tuple[int, ...] = setting((), SCHEDULE_EPOCHS_HELP, LEARNING)
    final_learning_rate: float = setting(0.0, "Learning rate after the last step.", LEARNING)
    weight_decay: float = setting(0.0, WEIGHT_DECAY_HELP, LEARNING)
    clip_norm: float = setting(0.0, CLIP_NORM_HELP, LEARNING)
    log_variance_rate: float = setting(2.0, "Learning rate of log-variances as a multiple of the means'.", LEARNING)
    gamma_weights: float = setting(0.3, "End value of gamma 1, the weight of KL(w)/N.", LEARNING)
    gamma_start_epoch: int = setting(2, "Epoch from which gamma 1 rises linearly from zero.", LEARNING)
    gamma_end_epoch: int = setting(25, "Epoch from which gamma 1 has its end value.", LEARNING)
    label_smoothing: float = setting(0.1, "Label smoothing of the cross-entropy.", LEARNING)
    class_weights: str = setting(
        "none",
        "Weights of the cross-entropy in training and fine-tuning (the search has none): none, or balanced, images / "
        "(classes * images of its class) for each image, for skewed sets.",
        LEARNING,
    )
    drop_path: float = setting(
        0.0, "Probability of dropping an operation for an image; rises to this linearly.", LEARNING
    )
    auxiliary_weight: float = setting(
        0.0, "Weight of an auxiliary tower's cross-entropy; 0 leaves the tower out.", LEARNING
    )
    held_out: float = setting(
        0.05,
        "Share of the training images kept from training, to choose on; 0 trains on all of them, as the paper does.",
        LEARNING,
    )
    log_noise_ratio_threshold: float = setting(3.0, "Weights with log lambda of at least this are pruned.", SIZE)
    fine_tuning_epochs: int = setting(
        0,
        "Epochs of training without noise after pruning, by adam whatever optimizer says, from a tenth of "
        "learning_rate to 0 along a cosine; zeros stay zeros.",
        LENGTH,
    )
    seed: int = setting(0, "Seed of everything random in the run.", LEARNING)

    def __post_init__(self) -> None:
        require_skeleton(self.cells)
        require_estimator(self.estimator)
        require_stem(self.stem, self.channels)
        require_stem_stride(self.stem_stride, self.stem)
        require_counts(self, "channels", "epochs", "batch_size")
        require_positive(self, "learning_rate", "log_variance_rate")
        require_optimizer(self, "optimizer")
        require_falling(self, "learning_rate", "final_learning_rate")
        require_epoch("warm_up_epochs", self.warm_up_epochs, self.epochs)
        require_schedule(self, "schedule", "final_learning_rate")
        require_not_negative(
            self, "gamma_weights", "auxiliary_weight", "weight_decay", "clip_norm", "fine_tuning_epochs"
        )
        require(
            0 <= self.gamma_start_epoch <= self.gamma_end_epoch,
            f"gamma_start_epoch must lie in [0, gamma_end_epoch] = [0, {self.gamma_end_epoch}], "
            f"got {self.gamma_start_epoch}.",
        )
        require(
            self.gamma_end_epoch < self.epochs or self.gamma_weights == 0 or not self.variational,
            f"gamma_end_epoch must be below epochs={self.epochs}, or gamma 1 never reaches its end value; "
            f"got {self.gamma_end_epoch}.",
        )
        require(
            self.class_weights in CLASS_WEIGHTS,
            f"class_weights must be {' or '.join(CLASS_WEIGHTS)}, got {self.class_weights!r}.",
        )
        require_share(self, "label_smoothing", "drop_path", "held_out")
        require_seed(self.seed)
