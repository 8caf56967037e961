"""How a setting is declared and checked, and how a record's settings become a dataclass again."""

import dataclasses
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from vinnas_tf.architecture.stem import PLAIN, STEMS
from vinnas_tf.errors import SettingError, require

Config = TypeVar("Config")
PathText = Annotated[str, "path"]  # Of a flag's value, ~ and ~NAME at the start stand for home folders.

# What a person decides with a setting: --help lists settings under these headings, in this order, and settings without
# one under what their dataclass is about, before the last of these.
IMAGES, NETWORK, LENGTH, LEARNING, SIZE, FURTHER, FILES = HEADINGS = (
    "Which images a run sees, and how they are prepared.",
    "What the network is.",
    "How long it takes.",
    "How it learns.",
    "How small it gets.",
    "More flags of the stages.",
    "Where a run lives.",
)

ADAM, SGD, NESTEROV = OPTIMIZERS = ("adam", "sgd", "nesterov")
COSINE, LINEAR, STEPS, RESTARTS = SCHEDULES = ("cosine", "linear", "steps", "restarts")
OPTIMIZER_HELP = (
    "Optimizer of the weights: adam; sgd, which has a momentum of 0.9; or nesterov, sgd whose momentum is Nesterov's."
)
SCHEDULE_HELP = (
    "How the learning rate falls: along a cosine or a line (linear) to its final value, to a tenth at each of some "
    "epochs (steps), or along cosines that start over, each twice as long as the one before (restarts)."
)
SCHEDULE_EPOCHS_HELP = (
    "With steps, the epochs before which the rate falls, such as 30,60; with restarts, the epochs of the first cosine."
)
WEIGHT_DECAY_HELP = (
    "The gradient of each weight w gets this times w added (L2, after clipping); log-variances get none."
)
CLIP_NORM_HELP = "Largest norm of the gradient of all weights together; longer ones are scaled down to it. 0: any."
LOCAL_REPARAMETRIZATION, WEIGHT_SAMPLING = ESTIMATORS = ("local_reparametrization", "weight_sampling")
GAMMA_START_HELP = "Epoch from which the gammas rise linearly from zero to the last epoch."
ESTIMATOR_HELP = (
    "How the noise of Gaussian weights enters a step: local_reparametrization, the published way, samples every "
    "pre-activation; weight_sampling samples each weight once a step, which is faster and gives noisier gradients."
)
CHANNELS_HELP = (
    "Channels of the states before the first reduction, which each R doubles; in tree_pyramid, how many all cells "
    "together add to the stem's 16 (PyramidNet's alpha)."
)
STEM_HELP = (
    "What stands before the cells: plain, a 3x3 convolution to the channels of a state; cifar, to three times as many; "
    "imagenet, three of stride 2, of which the first cell reads the last two (DARTS)."
)


@dataclass(frozen=True)
class Variants:
    """Further settings, which depend on the value of one.

    Attributes:
        field: name of the setting that decides, such as "method".
        kinds: by its value, the dataclass of the further settings.
        require_read: called with the name of each flag that the user gave, and that value; raises SettingError where it
            is not read.
    """

    field: str
    kinds: Mapping[str, type]
    require_read: Callable[[str, str], None]


def setting(default: Any, help: str, group: str = "") -> Any:
    """Declares a dataclass field with its default, and the help and the heading that its command-line flag has.

    Args:
        default: its value where none is given.
        help: what --help says of it.
        group: what a person decides with it, such as `LENGTH`; empty: what the dataclass is about.
    """
    return dataclasses.field(default=default, metadata={"help": help, "group": group})


def restored(kind: type[Config], settings: Mapping[str, Any]) -> Config:
    """The settings dataclass that a run folder's record holds, among other settings; JSON has no tuples."""
    names = [field.name for field in dataclasses.fields(cast(Any, kind))]
    missing = [name for name in names if name not in settings]
    require(not missing, f"a run of an earlier version, whose record lacks {', '.join(missing)}: run it anew.")
    values = {name: settings[name] for name in names}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def require_skeleton(cells: str) -> None:
    """Raises SettingError unless `cells` is a word of N and R."""
    require(
        re.fullmatch("[NR]+", cells) is not None, f"cells must be a word of N and R such as NNRNNRNN, got {cells!r}."
    )


def require_estimator(estimator: str) -> None:
    """Raises SettingError for an unknown estimator."""
    require(estimator in ESTIMATORS, f"estimator must be {' or '.join(ESTIMATORS)}, got {estimator!r}.")


def require_optimizer(config: Any, name: str) -> None:
    """Raises SettingError unless the setting of this name is an optimizer."""
    value = getattr(config, name)
    require(value in OPTIMIZERS, f"{name} must be {' or '.join(OPTIMIZERS)}, got {value!r}.")


def require_falling(config: Any, first: str, last: str) -> None:
    """Raises SettingError unless the rate of the name `last` lies between 0 and that of the name `first`."""
    highest, value = getattr(config, first), getattr(config, last)
    require(0 <= value <= highest, f"{last} must lie in [0, {first}] = [0, {highest:g}], got {value:g}.")


def require_schedule(config: Any, name: str, last: str) -> None:
    """Raises SettingError unless a schedule, its epochs and its final rate, of the name `last`, fit each other."""
    shape, marks = getattr(config, name), getattr(config, f"{name}_epochs")
    got = ",".join(map(str, marks)) or "none"
    require(shape in SCHEDULES, f"{name} must be {' or '.join(SCHEDULES)}, got {shape!r}.")
    if shape == STEPS:
        start = getattr(config, "warm_up_epochs", 0)
        require(
            bool(marks) and start < marks[0] and marks[-1] < config.epochs and list(marks) == sorted(set(marks)),
            f"{name}_epochs must rise between {start} and epochs={config.epochs}, such as 30,60, with {name}={STEPS}, "
            f"got {got}.",
        )
        require(getattr(config, last) == 0, f"{last} is not read by {name}={STEPS}: leave it out.")
    elif shape == RESTARTS:
        require(
            len(marks) == 1 and marks[0] >= 1,
            f"{name}_epochs must be one number, of at least 1, with {name}={RESTARTS}, got {got}.",
        )
    else:
        require(not marks, f"{name}_epochs is not read by {name}={shape}, only by {STEPS}, {RESTARTS}: leave it out.")


def require_stem(stem: str, channels: int) -> None:
    """Raises SettingError for an unknown stem, or one that the cells' channels don't fit."""
    require(stem in STEMS, f"stem must be {' or '.join(STEMS)}, got {stem!r}.")
    STEMS[stem].widths(channels)


def require_stem_stride(stem_stride: int, stem: str) -> None:
    """Raises SettingError for a stride other than 1 or 2, and for 2 with a stem that has strides of its own."""
    require(stem_stride in (1, 2), f"stem_stride must be 1 or 2, got {stem_stride}.")
    require(
        stem_stride == 1 or stem == PLAIN.name,
        f"stem_stride={stem_stride} goes with stem={PLAIN.name} alone, got stem={stem}: leave stem_stride out.",
    )


def require_counts(config: Any, *names: str) -> None:
    """Whole numbers of at least one; a batch needs two images for batch statistics."""
    for name in names:
        value = getattr(config, name)
        require(value >= 1, f"{name} must be at least 1, got {value}.")
    require(config.batch_size >= 2, f"batch_size must be at least 2 for batch statistics, got {config.batch_size}.")


def require_epoch(name: str, epoch: int, epochs: int) -> None:
    """Raises SettingError unless `epoch` is one of so many, counted from 0."""
    require(0 <= epoch < epochs, f"{name} must lie in [0, epochs) = [0, {epochs}), got {epoch}.")


def require_positive(config: Any, *names: str) -> None:
    """Raises SettingError unless the settings of these names are above 0."""
    for name in names:
        value = getattr(config, name)
        require(value > 0, f"{name} must be positive, got {value}.")


def require_not_negative(config: Any, *names: str) -> None:
    """Raises SettingError where a setting of these names is below 0."""
    for name in names:
        value = getattr(config, name)
        require(value >= 0, f"{name} must not be negative, got {value}.")


def require_share(config: Any, *names: str) -> None:
    """Raises SettingError unless the settings of these names lie in [0, 1)."""
    for name in names:
        value = getattr(config, name)
        require(0 <= value < 1, f"{name} must lie in [0, 1), got {value}.")


def require_seed(seed: int, name: str = "seed") -> None:
    """Raises SettingError unless `seed` fits TensorFlow and NumPy."""
    require(0 <= seed < 2**31, f"{name} must lie in [0, 2^31), got {seed}.")


def require_words(config: Any, *names: str) -> None:
    """Raises SettingError unless the settings of these names are flags as a shell takes them."""
    for name in names:
        text = getattr(config, name)
        try:
            shlex.split(text)
        except ValueError as error:
            raise SettingError(
                f"{name} must be flags as a shell takes them, got {text!r}: {str(error).lower()}."
            ) from error
