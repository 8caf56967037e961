"""Which images a run sees, and where it lives."""

from dataclasses import dataclass

from vinnas_tf.config.setting import PathText, setting
from vinnas_tf.errors import require

AUGMENTATIONS = ("resized_crop", "jitter", "affine", "elastic", "crop", "flip", "erase", "cutout")
STRETCH, MIDDLE = FRAMINGS = ("stretch", "middle")


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
    framing: str = setting(
        STRETCH,
        "How a picture gets to image_size: stretch (the whole of it, whatever its aspect) or middle (its shorter side "
        "to 8/7 of image_size, and the middle square cut out: 256 and 224, the usual test images of ImageNet).",
    )
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
        require(self.framing in FRAMINGS, f"framing must be {' or '.join(FRAMINGS)}, got {self.framing!r}.")
        require(
            self.framing == STRETCH or self.image_size > 0,
            f"framing={self.framing} cuts out a square of image_size pixels: set it too, such as image_size=224.",
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
