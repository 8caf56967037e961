"""Runs commands side by side, each once those that it needs have ended; what runs one is an engine."""

import time
from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from vinnas_tf.errors import UserError

Task = TypeVar("Task")


class Job(NamedTuple):
    """A command of this package.

    Attributes:
        name: what it is to a person, who is told of it where it fails.
        module: such as "vinnas_tf.search".
        flags: its command line.
        log: file that gets what it prints.
    """

    name: str
    module: str
    flags: Sequence[str]
    log: Path


class Engine(Protocol):
    """What runs jobs, each in a run folder that survives when it is killed.

    Attributes:
        slots: how many jobs it runs at a time.
    """

    slots: int

    def run(self, job: Job) -> None:
        """Runs a job to its end, in the thread that asks for it.

        Raises:
            FileError: it failed.
        """

    def stop(self) -> None:
        """Ends all jobs that run."""


def run_all(
    tasks: Sequence[Task],
    needs: Callable[[Task], Collection[Task]],
    start: Callable[[Task], Job],
    engine: Engine,
) -> Generator[tuple[Task, float], None, None]:
    """Runs tasks, each once those that it needs have ended; yields each that ended well, with its seconds.

    Args:
        tasks: in the order in which they are to begin where they can.
        needs: which tasks must have ended before one; those that are not among `tasks` have.
        start: what is run for a task, asked for in this thread when it begins.
        engine: what runs them.

    Raises:
        UserError: a task failed; the others are ended.
    """
    left, running = list(tasks), dict[Future[float], Task]()
    with ThreadPoolExecutor(engine.slots) as threads:
        try:
            while left or running:
                waited_for = {*left, *running.values()}
                ready = [task for task in left if waited_for.isdisjoint(needs(task))]
                for task in ready[: engine.slots - len(running)]:
                    left.remove(task)
                    running[threads.submit(_timed, engine, start(task))] = task
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    yield running.pop(future), future.result()
        except BaseException:  # KeyboardInterrupt, and GeneratorExit, too.
            while wait(running, timeout=0.1).not_done:  # A job may have begun meanwhile.
                engine.stop()
            raise


def _timed(engine: Engine, job: Job) -> float:
    started = time.monotonic()
    try:
        engine.run(job)
    except UserError as error:
        raise type(error)(f"{job.name}: {error}") from error
    return time.monotonic() - started
