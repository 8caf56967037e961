"""How far a command of several steps is, and about how long it will still take."""

import sys
import time

from vinnas_tf.console import ERASED, duration


class Progress:
    """Prints a line for each step that is done, and on a terminal a line that says which one runs.

    The time left is estimated from the mean of the steps that are done.

    Args:
        steps: number of steps.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.done = 0
        self.start = time.monotonic()
        self.live = sys.stdout.isatty()
        self._show()

    def step(self, what: str) -> None:
        """Tells that a step is done; `what` has at most 50 characters."""
        self.done += 1
        left = (time.monotonic() - self.start) / self.done * (self.steps - self.done)
        print(f"{self._clear()}{f'{self.done}/{self.steps}':>5}  {what:<50} about {duration(left)} left", flush=True)
        self._show()

    def _show(self) -> None:
        if self.live and self.done < self.steps:
            print(f"{f'{self.done + 1}/{self.steps}':>5}  ...", end="", flush=True)

    def _clear(self) -> str:
        return ERASED if self.live else ""
