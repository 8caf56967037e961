"""The whole way from images to proven files: search, training and export in one run folder."""

import dataclasses
from dataclasses import dataclass
from typing import Self

from vinnas_tf.config.setting import (
    FILES,
    FURTHER,
    IMAGES,
    LENGTH,
    NETWORK,
    SIZE,
    PathText,
    require_not_negative,
    require_seed,
    require_share,
    require_words,
    setting,
)
from vinnas_tf.errors import require


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a network may cost, and how good it has to be: the pruning threshold is chosen by them."""

    max_bytes: int = setting(
        0,
        "The most bytes of the smallest TFLite file that proves itself; of networks within it the most accurate is "
        "taken. 0: any.",
        SIZE,
    )
    max_parameters: int = setting(
        0, "The most parameters that are not zero; of networks within it the most accurate is taken. 0: any.", SIZE
    )
    min_accuracy: float = setting(
        0.0,
        "The least accuracy on held-out images, as a share (0.97); the smallest network that reaches it is taken. "
        "0: any. Without any of the three the preset's threshold prunes.",
        SIZE,
    )

    def __post_init__(self) -> None:
        require_not_negative(self, "max_bytes", "max_parameters")
        require_share(self, "min_accuracy")

    @property
    def given(self) -> dict[str, float]:
        """Those that bound anything, by name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(Bounds)}
        return {name: value for name, value in values.items() if value}

    def __str__(self) -> str:
        return " and ".join(
            f"{name}={value:g}" if value < 1 else f"{name}={value}" for name, value in self.given.items()
        )


@dataclass(frozen=True, kw_only=True)
class PipelineConfig(Bounds):
    """What is searched, trained and exported, and how long that may take."""

    dataset: str = setting(
        "digits",
        "'digits' (bundled with scikit-learn), the name of a TFDS image-classification set, or 'folder:PATH' with "
        "class/*.png|jpg (or train/class/... and test/class/...).",
        IMAGES,
    )
    data_dir: PathText = setting("", "TFDS data folder; empty: TFDS_DATA_DIR, else TFDS's own default.", IMAGES)
    image_size: int = setting(
        0,
        "Resize images to this many pixels a side; 0: the preset's, or as --budget_minutes chooses, else the data "
        "set's own size; 32 of a folder's pictures.",
        IMAGES,
    )
    method: str = setting("vinnas", "Search method, a key of vinnas_tf.methods.METHODS.", NETWORK)
    preset: str = setting(
        "",
        "Preset of search and training. Empty: those named after the data set, where there are, and own_images for a "
        "folder's pictures.",
        NETWORK,
    )
    seed: int = setting(0, "Seed of everything random in the run.", NETWORK)
    budget_minutes: float = setting(
        0.0,
        "About how long all of it may take on this machine. Image size, cells, channels, epochs and the share of the "
        "images are chosen for that, after a short calibration, and printed as flags. 0: as long as the presets take.",
        LENGTH,
    )
    search: str = setting("", 'More flags for the search, such as --search="--epochs=8 --channels=16".', FURTHER)
    train: str = setting("", 'More flags for the training, such as --train="--epochs=20 --held_out=0.1".', FURTHER)
    export: str = setting("", 'More flags for the export, such as --export="--formats=tflite,onnx".', FURTHER)
    reproduce: PathText = setting(
        "",
        "A finished run folder: its settings are run again, into run_dir or beside it, and the files of both are "
        "compared; other flags are not read.",
        FILES,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.dataset), "dataset is empty: name a TFDS set, 'digits' or 'folder:PATH'.")
        require_not_negative(self, "budget_minutes", "image_size")
        require_seed(self.seed)
        require_words(self, "search", "train", "export")

    @property
    def bounds(self) -> Bounds:
        """What the network may cost."""
        return Bounds(**{field.name: getattr(self, field.name) for field in dataclasses.fields(Bounds)})

    def with_flags(self, search: str, train: str) -> Self:
        """The same with further flags of search and training behind those that it has."""
        return dataclasses.replace(
            self, search=f"{self.search} {search}".strip(), train=f"{self.train} {train}".strip()
        )
