"""The engines: processes on this machine, and a Ray cluster."""

import os
import queue
from collections.abc import Collection

from vinnas_tf.errors import SettingError, require
from vinnas_tf.run.child import end_children, run_command
from vinnas_tf.run.engine import Engine, Job


class Local:
    """Processes on this machine, the cores of this process shared out among them.

    Args:
        slots: how many at a time.

    Raises:
        SettingError: there are fewer cores.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(os.cpu_count() or 1)]
        require(
            1 <= slots <= len(cores),
            f"engine=local:{slots}: this process has {len(cores)} cores, so it can be local:1 to local:{len(cores)}.",
        )
        self._shares: queue.SimpleQueue[Collection[int]] = queue.SimpleQueue()
        for share in range(slots):
            self._shares.put(cores[share * len(cores) // slots : (share + 1) * len(cores) // slots])

    def run(self, job: Job) -> None:
        """As `Engine` says."""
        share = self._shares.get()  # There is one for each slot.
        try:
            run_command(*job[1:], cores=share if self.slots > 1 else ())
        finally:
            self._shares.put(share)

    def stop(self) -> None:
        """As `Engine` says."""
        end_children()


def make_engine(text: str) -> Engine:
    """The engine that is named: local:J, ray, or ray:ADDRESS.

    Raises:
        SettingError: it is no name of one, the machine has too few cores, or Ray is missing or not to be reached.
    """
    kind, _, rest = text.partition(":")
    if kind == "local" and rest.isdecimal():
        return Local(int(rest))
    if kind == "ray":
        from vinnas_tf.run.ray_engine import RayEngine  # An optional package.

        return RayEngine(rest)
    raise SettingError(f"engine must be local:J with a number of processes, ray, or ray:ADDRESS, got {text!r}.")
