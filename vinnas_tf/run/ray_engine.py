"""Runs commands on a Ray cluster; the run folders have to lie where all its machines see them."""

import logging
import os
import threading
from typing import Any

from vinnas_tf.errors import SettingError, require
from vinnas_tf.run.child import environment, run_command
from vinnas_tf.run.engine import Job

_CORES, _MEMORY = 2, 4 * 2**30  # That a job asks for; bytes.
_RETRIES = 10  # Of a job whose machine or worker died; the command goes on from its checkpoint.


class RayEngine:
    """Jobs as tasks of Ray, which schedules them, and starts those anew whose machine has died.

    Each asks for two cores, or as many as the largest machine has, 4 GiB, and a GPU where the cluster has any.

    Args:
        address: of the cluster, such as ray://host:10001 or host:6379; empty: RAY_ADDRESS, else a cluster of this
            machine alone.

    Raises:
        SettingError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise SettingError("engine=ray needs Ray: pip install 'vinnas_tf[ray]'.") from None
        self._ray = ray
        address = address or os.environ.get("RAY_ADDRESS", "")
        variables = {"PYTHONPATH": environment()["PYTHONPATH"]}
        try:
            ray.init(
                address=address or None,
                runtime_env={"env_vars": variables},
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                ignore_reinit_error=True,
            )
        except (ConnectionError, ValueError) as error:
            raise SettingError(f"engine=ray:{address}: there is no cluster that answers ({error}).") from error
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        largest = int(max(node.get("CPU", 0) for node in nodes))
        require(largest >= 1, "engine=ray: no machine of the cluster has a core to run on.")
        cores = min(_CORES, largest)
        self.slots = sum(int(node.get("CPU", 0)) // cores for node in nodes)
        self._task = ray.remote(_run).options(
            num_cpus=cores,
            num_gpus=1 if any(node.get("GPU") for node in nodes) else 0,
            memory=_MEMORY,
            max_retries=_RETRIES,
        )
        self._lock = threading.Lock()
        self._begun: set[Any] = set()

    def run(self, job: Job) -> None:
        """As `Engine` says."""
        with self._lock:
            task = self._task.remote(job)
            self._begun.add(task)
        try:
            self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        finally:
            with self._lock:
                self._begun.discard(task)

    def stop(self) -> None:
        """As `Engine` says."""
        with self._lock:
            for task in self._begun:
                self._ray.cancel(task, force=True)


def _run(job: Job) -> None:
    """What a worker does; its child dies with it."""
    run_command(*job[1:])
