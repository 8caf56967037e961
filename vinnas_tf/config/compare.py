"""What is compared."""

from dataclasses import dataclass

from vinnas_tf.config.setting import FURTHER, IMAGES, LENGTH, NETWORK, PathText, require_seed, require_words, setting
from vinnas_tf.errors import require


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What is compared, on which data, and with how many seeds."""

    methods: tuple[str, ...] = setting(
        (),
        "Rows of the table, search methods or ablations; the others are held against the first. Empty: every method "
        "that can search the space, or that searches channels where the preset does.",
        NETWORK,
    )
    seeds: int = setting(3, "Seeds: each row is searched and trained with each of them.", LENGTH)
    first_seed: int = setting(0, "The first seed; the others follow it.", LENGTH)
    dataset: str = setting(
        "", "Data set, as for the search; empty: the preset's, else the search's own default.", IMAGES
    )
    data_dir: PathText = setting("", "TFDS data folder; empty: TFDS_DATA_DIR, else TFDS's own default.", IMAGES)
    preset: str = setting(
        "", "Preset of search and training; empty: those named after the data set, where there are.", NETWORK
    )
    search: str = setting("", 'More flags for every search, such as --search="--epochs=8 --channels=16".', FURTHER)
    train: str = setting("", 'More flags for every training, such as --train="--epochs=20 --held_out=0.1".', FURTHER)

    def __post_init__(self) -> None:
        require(len(set(self.methods)) == len(self.methods), f"methods names a row twice: {','.join(self.methods)}.")
        require(self.seeds >= 1, f"seeds must be at least 1, got {self.seeds}.")
        require_seed(self.first_seed, "first_seed")
        require_words(self, "search", "train")
