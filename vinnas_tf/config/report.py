"""Which run folders the page tells of."""

from dataclasses import dataclass

from vinnas_tf.config.setting import PathText, setting
from vinnas_tf.errors import require


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the page tells of, and how long it is kept up."""

    run_dir: tuple[PathText, ...] = setting(
        (),
        "Run folder, or several separated by commas, or the folder of a comparison or a benchmark.",
    )
    watch: bool = setting(False, "Write the page again after each epoch and each stage, until Ctrl-C.")

    def __post_init__(self) -> None:
        require(bool(self.run_dir), "run_dir is empty: name a run folder, such as run_dir=runs/m.")
        require(len(set(self.run_dir)) == len(self.run_dir), f"run_dir names a folder twice: {','.join(self.run_dir)}.")
