"""Every setting of a run, as plain validated data.

Each field carries its default and its help once; `vinnas_tf.flags` turns the fields into command-line flags and back,
and a run folder's `config.json` holds them resolved. A bad value raises `UserError` with one line that says what was
expected, what came, and what to do.
"""

import dataclasses
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, cast

from vinnas_tf.architecture.space import SPACES
from vinnas_tf.errors import SettingError, require

Config = TypeVar("Config")
PathText = Annotated[str, "path"]  # Of a flag's value, ~ and ~NAME at the start stand for home folders.

AUGMENTATIONS = ("affine", "elastic", "crop", "flip", "erase")
SELECTION_RULES = ("snr", "magnitude")
EXPORT_FORMATS = ("saved_model", "tflite", "onnx")
NO_CLASS_WEIGHTS = "none"
CLASS_WEIGHTS = (NO_CLASS_WEIGHTS, "balanced")
LOCAL_REPARAMETRIZATION, WEIGHT_SAMPLING = ESTIMATORS = ("local_reparametrization", "weight_sampling")
GAMMA_START_HELP = "Epoch from which the gammas rise linearly from zero to the last epoch."
ESTIMATOR_HELP = (
    "How the noise of Gaussian weights enters a step: local_reparametrization, the published way, samples every "
    "pre-activation; weight_sampling samples each weight once a step, which is faster and gives noisier gradients."
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


def setting(default: Any, help: str) -> Any:
    """Declares a dataclass field with its default and the help that its command-line flag shows."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images a run sees, and how they are prepared."""

    dataset: str = setting(
        "digits",
        "'digits' (bundled with scikit-learn), the name of a TFDS image-classification set, or 'folder:PATH' with "
        "class/*.png|jpg (or train/class/... and test/class/...).",
    )
    data_dir: PathText = setting("", "TFDS data folder; empty: TFDS_DATA_DIR, else TFDS's own default.")
    data_fraction: float = setting(1.0, "Share of the training images to use, drawn stratified by class.")
    image_size: int = setting(0, "Resize images to this many pixels a side; 0 keeps the data set's own size.")
    augment: tuple[str, ...] = setting((), "Augmentation of training images, any of: " + ", ".join(AUGMENTATIONS) + ".")

    def __post_init__(self) -> None:
        require(bool(self.dataset), "dataset is empty: name a TFDS set, 'digits' or 'folder:PATH'.")
        require(
            0 < self.data_fraction <= 1, f"data_fraction must lie in (0, 1], got {self.data_fraction}: use e.g. 0.25."
        )
        require(
            self.image_size == 0 or self.image_size >= 8,
            f"image_size must be 0 or at least 8 pixels, got {self.image_size}.",
        )
        unknown = sorted(set(self.augment) - set(AUGMENTATIONS))
        require(not unknown, f"augment knows {', '.join(AUGMENTATIONS)}; got {', '.join(unknown)}.")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where a run lives."""

    run_dir: PathText = setting(
        "", "Run folder; empty: named after what is run, in runs/. The same command resumes it."
    )
    overwrite: bool = setting(False, "Start anew in a run folder that is finished or was made with other settings.")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """The supergraph and how it is searched; a method has further settings of its own."""

    method: str = setting("vinnas", "Search method, a key of vinnas_tf.methods.METHODS.")
    space: str = setting(
        "vinnas",
        "Search space: vinnas; or nasbench201, where a cell has --states=3 and an R of --cells is a residual block.",
    )
    cells: str = setting("NRN", "Skeleton: one letter a cell, N(ormal) keeps the size, R(eduction) halves it.")
    states: int = setting(2, "States per cell (I); state i takes an edge from each input and each state before it.")
    channels: int = setting(
        8, "Channels of the stem and of the states before the first reduction; each R doubles them."
    )
    epochs: int = setting(20, "Epochs of search.")
    weight_epochs: int = setting(2, "First epochs that train weights only, before alphas join.")
    batch_size: int = setting(64, "Images per weight step, and per alpha step.")
    weight_learning_rate: float = setting(1e-2, "Adam's first learning rate for weights; falls to 0 along a cosine.")
    alpha_learning_rate: float = setting(1e-2, "Adam's constant learning rate for the architecture parameters.")
    label_smoothing: float = setting(0.1, "Label smoothing of the cross-entropy.")
    seed: int = setting(0, "Seed of everything random in the run.")

    def __post_init__(self) -> None:
        require_skeleton(self.cells)
        require(self.space in SPACES, f"space must be {' or '.join(SPACES)}, got {self.space!r}.")
        space = SPACES[self.space]
        require(
            space.states in (None, self.states) and (space.reduces or "N" in self.cells),
            f"space={self.space} needs states={space.states} and an N in cells, such as NRNRN; "
            f"got {self.states} and {self.cells}.",
        )
        _require_counts(self, "states", "channels", "epochs", "batch_size")
        require_positive(self, "weight_learning_rate", "alpha_learning_rate")
        require_epoch("weight_epochs", self.weight_epochs, self.epochs)
        _require_share(self, "label_smoothing")
        _require_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The network, how it is trained from scratch, and what is pruned (VINNAS, section V-A b and V-B)."""

    genotype: PathText = setting("", "Genotype file (JSON); empty: the one that the run folder's search found.")
    cells: str = setting("NRN", "Skeleton: one letter a cell, N(ormal) keeps the size, R(eduction) halves it.")
    channels: int = setting(
        16, "Channels of the stem and of the states before the first reduction; each R doubles them."
    )
    stem_stride: int = setting(1, "Stride of the stem, 1 or 2; 2 quarters the cost of all that follows.")
    variational: bool = setting(
        True, "Gaussian weights; without them, deterministic ones that are never pruned: a control."
    )
    estimator: str = setting(LOCAL_REPARAMETRIZATION, ESTIMATOR_HELP)
    epochs: int = setting(50, "Epochs of training.")
    batch_size: int = setting(128, "Images a step.")
    learning_rate: float = setting(1e-2, "Adam's first learning rate; falls to 0 along a cosine.")
    log_variance_rate: float = setting(2.0, "Learning rate of log-variances as a multiple of the means'.")
    gamma_weights: float = setting(0.3, "End value of gamma 1, the weight of KL(w)/N.")
    gamma_start_epoch: int = setting(2, "Epoch from which gamma 1 rises linearly from zero.")
    gamma_end_epoch: int = setting(25, "Epoch from which gamma 1 has its end value.")
    label_smoothing: float = setting(0.1, "Label smoothing of the cross-entropy.")
    class_weights: str = setting(
        "none",
        "Weights of the cross-entropy in training and fine-tuning (the search has none): none, or balanced, images / "
        "(classes * images of its class) for each image, for skewed sets.",
    )
    drop_path: float = setting(0.0, "Probability of dropping an operation for an image; rises to this linearly.")
    auxiliary_weight: float = setting(0.0, "Weight of an auxiliary tower's cross-entropy; 0 leaves the tower out.")
    held_out: float = setting(
        0.05,
        "Share of the training images kept from training, to choose on; 0 trains on all of them, as the paper does.",
    )
    log_noise_ratio_threshold: float = setting(3.0, "Weights with log lambda of at least this are pruned.")
    fine_tuning_epochs: int = setting(0, "Epochs of training without noise after pruning; zeros stay zeros.")
    seed: int = setting(0, "Seed of everything random in the run.")

    def __post_init__(self) -> None:
        require_skeleton(self.cells)
        require_estimator(self.estimator)
        require(self.stem_stride in (1, 2), f"stem_stride must be 1 or 2, got {self.stem_stride}.")
        _require_counts(self, "channels", "epochs", "batch_size")
        require_positive(self, "learning_rate", "log_variance_rate")
        require_not_negative(self, "gamma_weights", "auxiliary_weight", "fine_tuning_epochs")
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
        _require_share(self, "label_smoothing", "drop_path", "held_out")
        _require_seed(self.seed)


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What a trained network is exported to."""

    formats: tuple[str, ...] = setting(
        ("saved_model", "tflite"),
        "Formats to write, any of: " + ", ".join(EXPORT_FORMATS) + "; onnx needs the packages of the extra `onnx`.",
    )
    dataset: str = setting(
        "",
        "Where the training's images lie now, such as 'folder:PATH', if they were moved; empty: where they were. They "
        "are held to the training's fingerprint.",
    )
    sparse: bool = setting(
        True,
        "Store weights sparse in SavedModel and TFLite where that is smaller. --nosparse stores all dense: a usual "
        "SavedModel, which TFLiteConverter and tf2onnx take.",
    )

    def __post_init__(self) -> None:
        unknown = sorted(set(self.formats) - set(EXPORT_FORMATS))
        require(not unknown, f"formats knows {', '.join(EXPORT_FORMATS)}; got {', '.join(unknown)}.")
        require(
            len(set(self.formats)) == len(self.formats) > 0,
            f"formats must name one format or more, each once; got {','.join(self.formats) or 'none'}.",
        )


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """Which exported file is checked, and against what."""

    file: PathText = setting("", "The exported file, or a SavedModel's version folder; may be given without --file=.")
    dataset: str = setting(
        "",
        "Images to check it on: the training's data set, or 'folder:PATH' with pictures of its classes, new ones too; "
        "empty: the training's, by the manifest beside the file.",
    )
    data_dir: PathText = setting("", "TFDS data folder; empty: the training's, else TFDS_DATA_DIR.")
    image_size: int = setting(0, "Pixels a side, for a file without a manifest; 0: the file's.")
    network: PathText = setting(
        "", "Keras network to compare with; empty: train/network.keras of the run folder that FILE lies in, if any."
    )


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What is compared, on which data, and with how many seeds."""

    methods: tuple[str, ...] = setting(
        (),
        "Rows of the table, search methods or ablations; the others are held against the first. Empty: every method.",
    )
    seeds: int = setting(3, "Seeds: each row is searched and trained with each of them.")
    first_seed: int = setting(0, "The first seed; the others follow it.")
    dataset: str = setting("", "Data set, as for the search; empty: the preset's, else the search's own default.")
    data_dir: PathText = setting("", "TFDS data folder; empty: TFDS_DATA_DIR, else TFDS's own default.")
    preset: str = setting("", "Preset of search and training; empty: those named after the data set, where there are.")
    search: str = setting("", 'More flags for every search, such as --search="--epochs=8 --channels=16".')
    train: str = setting("", 'More flags for every training, such as --train="--epochs=20 --held_out=0.1".')

    def __post_init__(self) -> None:
        require(len(set(self.methods)) == len(self.methods), f"methods names a row twice: {','.join(self.methods)}.")
        require(self.seeds >= 1, f"seeds must be at least 1, got {self.seeds}.")
        _require_seed(self.first_seed, "first_seed")
        for name in ("search", "train"):
            text = getattr(self, name)
            try:
                shlex.split(text)
            except ValueError as error:
                raise SettingError(
                    f"{name} must be flags as a shell takes them, got {text!r}: {str(error).lower()}."
                ) from error


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


def _require_counts(config: Any, *names: str) -> None:
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


def _require_share(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        require(0 <= value < 1, f"{name} must lie in [0, 1), got {value}.")


def _require_seed(seed: int, name: str = "seed") -> None:
    require(0 <= seed < 2**31, f"{name} must lie in [0, 2^31), got {seed}.")
