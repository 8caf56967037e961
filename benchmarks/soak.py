"""Runs a command of many epochs and watches its process: memory, open files and seconds have to stay as they are.

    python -m benchmarks.soak --epochs=200

A search and a training on the digits, small, each with all that a command does after an epoch. The exit code is 1 where
memory grows by more than 2 % after the tenth epoch, or more files are open than then.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.command import make_parser, notes, require_positive
from vinnas_tf.run.child import environment
from vinnas_tf.run.files import read_metrics
from vinnas_tf.run.markdown import markdown_table

_SETTLED = 10  # Epochs after which nothing may grow.
_GROWTH = 0.02
_SMALL = ("--dataset=digits", "--cells=N", "--channels=4")
COMMANDS = {
    "search": ("--preset=smoke", "--states=2", *_SMALL),
    "train": ("--preset=smoke", *_SMALL),
}


@dataclass(frozen=True)
class Sample:
    """A process as its line of an epoch appeared.

    Attributes:
        megabytes: resident set, MB.
        files: open file descriptors.
    """

    megabytes: float
    files: int


def watch(module: str, flags: Sequence[str], epochs: int) -> list[Sample]:
    """Runs a command to its end; a sample for each of its epochs."""
    command = [sys.executable, "-u", "-m", module, *flags, f"--epochs={epochs}"]
    samples = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as process:
        seen = psutil.Process(process.pid)
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(rf" *\d+/{epochs} ", line):
                with seen.oneshot():
                    samples.append(Sample(seen.memory_info().rss / 1e6, seen.num_fds()))
                print(f"{module} {len(samples)}/{epochs}: {samples[-1].megabytes:.0f} MB", file=sys.stderr)
    if process.returncode or len(samples) != epochs:
        sys.exit(f"error: {module} ended with {process.returncode} after {len(samples)} of {epochs} epochs.")
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
            samples = watch(f"vinnas_tf.{name}", [*flags, f"--run_dir={folder}"], epochs)
            seconds = [float(line["seconds"] or 0) for line in read_metrics(Path(folder) / name / "metrics.csv")]
            rows.append(row(name, samples, np.array(seconds[:epochs])))
            if fault := grown(samples):
                faults.append(f"{name}: grew after epoch {_SETTLED}: {fault}.")
    header = ("command", "epochs", f"MB after {_SETTLED}", "largest since", "at the end", "growth", "files", "seconds")
    print(markdown_table(header, rows))
    print()
    print(notes(
        f"MB: resident set. files: open descriptors after epoch {_SETTLED} and at the end. seconds: of an epoch, "
        f"median of each quarter after epoch {_SETTLED}."
    ))  # fmt: skip
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
