"""What a comparison prints while it runs: a line for each stage."""

from vinnas_tf.compare.plan import Stage
from vinnas_tf.console import duration


class Lines:
    """The lines of a table, one a stage: begun with it where stages run one by one, else printed at its end.

    Args:
        done: stages that were finished before.
        total: all stages.
        one_by_one: whether one at a time runs.
    """

    def __init__(self, done: int, total: int, one_by_one: bool) -> None:
        self._done, self._total = done, total
        self._one_by_one = one_by_one
        self._open = False
        if done:
            print(f"{done} of {total} stages are done.")
        print(f"  stage {'row':<21}{'seed':>5}  {'':<7}{'minutes':>9}{'accuracy':>11}{'left':>11}", flush=True)

    def begin(self, stage: Stage) -> None:
        """A stage begins."""
        if self._one_by_one:
            self._name(stage)

    def end(self, stage: Stage, seconds: float, accuracy: float | None, left: float | None) -> None:
        """A stage has ended.

        Args:
            stage: which.
            seconds: that it took.
            accuracy: that it ended with; None where it leaves none.
            left: seconds that the others will take, about; None where nothing is known.
        """
        if not self._open:
            self._name(stage)
        figure = "-" if accuracy is None else f"{accuracy:.2%}"
        print(f"{seconds / 60:>9.1f}{figure:>11}{'-' if left is None else duration(left):>11}", flush=True)
        self._open = False
        self._done += 1

    def close(self) -> None:
        """Nothing more comes, whatever the reason."""
        if self._open:
            print(flush=True)

    def _name(self, stage: Stage) -> None:
        number = f"{self._done + 1:>3}/{self._total}"
        print(f"{number:<8}{stage.row:<21}{stage.seed:>5}  {stage.name:<7}", end="", flush=True)
        self._open = True
