"""Runs a command of many epochs and watches its process: memory, open files and seconds have to stay as they are.

    python -m benchmarks.soak --epochs=200

A search and a training on the digits, small, each with all that a command does after an epoch. Memory is that in use:
what the allocator keeps for later is handed back to the system before it is read. The exit code is 1 where it grows by
more than 2 % after the tenth epoch, or more files are open than then.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import argparse
import ctypes
import gc
import importlib
import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil

from benchmarks.command import make_parser, notes, require_positive
from vinnas_tf.run.child import die_with_the_parent
from vinnas_tf.run.files import read_metrics
from vinnas_tf.run.tables import markdown_table

_SETTLED = 10  # Epochs after which nothing may grow.
_GROWTH = 0.02
_SMALL = ("--preset=smoke", "--dataset=digits", "--cells=N", "--channels=4")
COMMANDS = {"search": ("--states=2", *_SMALL), "train": _SMALL}


@dataclass(frozen=True)
class Sample:
    """A process after an epoch.

    Attributes:
        megabytes: resident set, MB, of memory in use.
        files: open file descriptors.
    """

    megabytes: float
    files: int


def _run(module: str, flags: Sequence[str], samples: Connection) -> None:
    """A command's process, which sends a sample after each epoch."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    die_with_the_parent(parent.sentinel)
    trim = ctypes.CDLL("libc.so.6").malloc_trim
    own = psutil.Process()

    class Sampling(keras.callbacks.TensorBoard):
        """Commands have one, called after each epoch."""

        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            super().on_epoch_end(epoch, logs)
            gc.collect()
            trim(0)
            samples.send(Sample(own.memory_info().rss / 1e6, own.num_fds()))

    keras.callbacks.TensorBoard = Sampling
    importlib.import_module(module).main(flags)


def watch(module: str, flags: Sequence[str], epochs: int) -> list[Sample]:
    """Runs a command to its end; a sample for each of its epochs."""
    here, there = multiprocessing.Pipe(duplex=False)
    start = multiprocessing.get_context("spawn")
    process = start.Process(target=_run, args=(module, [*flags, f"--epochs={epochs}"], there))
    process.start()
    there.close()
    samples: list[Sample] = []
    try:
        while True:
            samples.append(here.recv())
            print(f"{module} {len(samples)}/{epochs}: {samples[-1].megabytes:.0f} MB", file=sys.stderr)
    except EOFError:
        process.join()
    if process.exitcode or len(samples) != epochs:
        sys.exit(f"error: {module} ended with {process.exitcode} after {len(samples)} of {epochs} epochs.")
    return samples


def grown(samples: Sequence[Sample]) -> str:
    """What grew after the epochs in which a process settles; empty where nothing did."""
    settled, last = samples[min(_SETTLED, len(samples)) - 1], samples[-1]
    growth = last.megabytes / settled.megabytes - 1
    faults = []
    if growth > _GROWTH:
        faults.append(f"memory by {growth:.1%}")
    if last.files > settled.files:
        faults.append(f"open files by {last.files - settled.files}")
    return " and ".join(faults)


def row(name: str, samples: Sequence[Sample], seconds: np.ndarray) -> list[str]:
    """A command's line of the table."""
    settled, last = samples[min(_SETTLED, len(samples)) - 1], samples[-1]
    parts = [np.median(part) for part in np.array_split(seconds[_SETTLED:], 4)]
    return [
        name,
        str(len(samples)),
        f"{settled.megabytes:.0f}",
        f"{max(one.megabytes for one in samples[_SETTLED:]):.0f}",
        f"{last.megabytes:.0f}",
        f"{last.megabytes / settled.megabytes - 1:+.1%}",
        f"{settled.files}, {last.files}",
        ", ".join(f"{part:.2f}" for part in parts),
    ]


def parse(argv: list[str]) -> argparse.Namespace:
    """The options."""
    parser = make_parser("benchmarks.soak", __doc__)
    parser.add_argument("--epochs", type=int, default=200, help="of each command (%(default)s)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "epochs")
    if arguments.epochs < 2 * _SETTLED:
        parser.error(f"--epochs must be at least {2 * _SETTLED}, got {arguments.epochs}.")
    return arguments


def main(argv: list[str]) -> int:
    """The command."""
    epochs = parse(argv).epochs
    rows, faults = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in COMMANDS.items():
            samples = watch(f"vinnas_tf.{name}.__main__", [*flags, f"--run_dir={folder}"], epochs)
            seconds = [float(line["seconds"] or 0) for line in read_metrics(Path(folder) / name / "metrics.csv")]
            rows.append(row(name, samples, np.array(seconds[:epochs])))
            if fault := grown(samples):
                faults.append(f"{name}: grew after epoch {_SETTLED}: {fault}.")
    header = ("command", "epochs", f"MB after {_SETTLED}", "largest since", "at the end", "growth", "files", "seconds")
    print(markdown_table(header, rows))
    print()
    print(notes(
        f"MB: resident set of memory in use. files: open descriptors after epoch {_SETTLED} and at the end.",
        f"seconds: of an epoch, median of each quarter after epoch {_SETTLED}.",
    ))  # fmt: skip
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
