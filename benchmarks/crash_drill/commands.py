"""The commands that are drilled, at the smallest sizes at which each writes all that it can write."""

from dataclasses import dataclass
from pathlib import Path

_TRAIN = ("--preset=smoke", "--cells=N", "--channels=2", "--epochs=2")


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        name: what it is called here.
        module: such as "vinnas_tf.search".
        flags: all of them but the run folder's.
        after: the command whose finished run folder it starts in; empty: in none.
    """

    name: str
    module: str
    flags: tuple[str, ...]
    after: str = ""

    def line(self, run_dir: Path) -> list[str]:
        """Its flags, with the run folder."""
        return [*self.flags, f"--run_dir={run_dir}"]


_ALL = (
    Command(
        "search",
        "vinnas_tf.search",
        (
            *("--preset=smoke", "--data_fraction=0.1", "--batch_size=16", "--cells=N", "--states=1", "--channels=2"),
            *("--novariational", "--seed=5"),
        ),
    ),
    Command("train", "vinnas_tf.train", _TRAIN, after="search"),
    Command("fine-tuning", "vinnas_tf.train", (*_TRAIN, "--fine_tuning_epochs=2"), after="train"),
    Command("re-pruning", "vinnas_tf.train", (*_TRAIN, "--log_noise_ratio_threshold=1"), after="train"),
    Command("export", "vinnas_tf.export", ("--formats=tflite",), after="train"),
    Command("report", "vinnas_tf.report", (), after="export"),
    Command(
        "compress",
        "vinnas_tf.compress",
        (
            *("--epochs=1", "--fine_tuning_epochs=1", "--penalties=1e-5,1e-4", "--max_accuracy_loss=0.9"),
            *("--batch_size=16", "--groups=output"),
        ),
        after="train",
    ),
    Command(
        "pgnas",
        "vinnas_tf.search",
        (
            *("--preset=smoke", "--data_fraction=0.1", "--method=pgnas", "--backbone=lenet_300_100"),
            *("--weight_epochs=0", "--batch_size=16", "--candidates=25"),
        ),
    ),
    Command(
        "compare",
        "vinnas_tf.compare",
        (
            *("--preset=smoke", "--methods=vinnas,vinnas-magnitude", "--seeds=1"),
            *(
                "--search=--cells=N --states=1 --channels=2 --novariational",
                "--train=--cells=N --channels=2",
            ),
        ),
    ),
)
COMMANDS = {command.name: command for command in _ALL}
