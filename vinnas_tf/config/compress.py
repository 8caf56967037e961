"""The compression of a trained network."""

from dataclasses import dataclass

from vinnas_tf.config.setting import (
    LEARNING,
    LENGTH,
    NETWORK,
    SIZE,
    PathText,
    require_counts,
    require_not_negative,
    require_positive,
    require_seed,
    require_share,
    setting,
)
from vinnas_tf.errors import require

GROUPS = ("input", "output", "filter", "position")
ACCURACY_LOSS = 0.01  # The budget where none is set.


@dataclass(frozen=True, kw_only=True)
class CompressConfig:
    """What is compressed, how, and how small it has to get (BayesNAS, algorithm 3)."""

    network: PathText = setting(
        "",
        "Network to compress: lenet_300_100 or lenet_5, trained first; or a file NAME.keras, a Functional or "
        "Sequential model of Keras's own layers to logits, of pixels in 0..255 where it starts with Normalization or "
        "Rescaling, else of normalised ones. Empty: the network that the training or search in run_dir left.",
        NETWORK,
    )
    groups: str = setting(
        "input",
        "Weights of a kernel that go together: input (all that read an input channel), output (all that make an output "
        "channel), filter (a pair of those), position (all that read an input channel at one place of the kernel).",
        SIZE,
    )
    penalties: tuple[float, ...] = setting(
        (1e-6, 3e-6, 1e-5, 3e-5, 1e-4),
        "Ladder of weights lambda_w of the group lasso, in nats an image; each gives a point of the curve, and the "
        "larger one the smaller network.",
        SIZE,
    )
    determined: float = setting(
        0.05, "Share of a group's weights that the data must determine; groups below it are pruned.", SIZE
    )
    epochs: int = setting(30, "Epochs of compression at each penalty, from the same trained network.", LENGTH)
    fine_tuning_epochs: int = setting(
        5,
        "Epochs of training after each, in which zeros stay zeros; the learning rate falls to 0 along a cosine.",
        LENGTH,
    )
    dense_epochs: int = setting(20, "Epochs of training before, of lenet_300_100 or lenet_5.", LENGTH)
    batch_size: int = setting(128, "Images a step.", LENGTH)
    learning_rate: float = setting(
        0.02, "Learning rate of gradient descent with a momentum of 0.9; largest one.", LEARNING
    )
    held_out: float = setting(
        0.1,
        "Share of the training images kept from training, which the point is chosen by; of a run folder's network they "
        "are those that its training or search held out.",
        LEARNING,
    )
    max_parameters: int = setting(0, "Budget: the most parameters of the compressed network. 0: any.", SIZE)
    max_bytes: int = setting(
        0, "Budget: the most bytes of its float32 TFLite file, weights stored dense. 0: any.", SIZE
    )
    max_accuracy_loss: float = setting(
        0.0,
        "Budget: how much accuracy on held-out images may be lost, as a share (0.01: one point); the smallest network "
        f"within it is taken. 0: any, but {ACCURACY_LOSS:g} where no other budget is set.",
        SIZE,
    )
    seed: int = setting(0, "Seed of everything random in the run.", LEARNING)

    def __post_init__(self) -> None:
        require(self.groups in GROUPS, f"groups must be {', '.join(GROUPS[:-1])} or {GROUPS[-1]}, got {self.groups!r}.")
        require(
            all(penalty > 0 for penalty in self.penalties) and 0 < len(self.penalties) == len(set(self.penalties)),
            "penalties must be one number or more above 0, each once, such as 1e-5,1e-4, got "
            f"{','.join(map(str, self.penalties)) or 'none'}.",
        )
        require_counts(self, "epochs", "dense_epochs", "batch_size")
        require_positive(self, "learning_rate", "determined", "held_out")
        require_share(self, "determined", "held_out", "max_accuracy_loss")
        require_not_negative(self, "fine_tuning_epochs", "max_parameters", "max_bytes")
        require_seed(self.seed)
