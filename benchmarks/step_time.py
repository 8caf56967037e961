"""Seconds, memory and first-step seconds of a search iteration, beside a plain PyTorch equivalent.

    python -m benchmarks.step_time --output=step_time.md

One iteration is a weight step and an alpha step of the CIFAR-10 supergraph on
synthetic images, each with Adam; with --genotype=FILE it is a training step of
the network of those cells. Every design runs in a process of its own, with
all cores of the CPU. First each runs alone, which gives its peak memory. If all of
them then fit into memory together, they take turns iteration by iteration, so that a
machine that slows down slows all of them; if not, they are started anew for each turn.
First-step seconds are the median of a design's starts. The machine should do nothing
else meanwhile. With --device=gpu all of it runs on a GPU, each design by itself.
"""

import argparse
import contextlib
import importlib.util
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.command import add_step_options, integers_option, make_parser, notes, require_positive, step_config
from benchmarks.designs import DESIGNS, FURTHER_DESIGNS, ChannelStep, Config, Worker, WorkerError
from benchmarks.flop import gpu_speeds, iteration_flop, machine_flop_per_second
from vinnas_tf.config import TrainConfig
from vinnas_tf.errors import UserError
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.tables import markdown_table

HEADER = ("design", "cells", "batch", "s / iteration (min–max)", "× pytorch", "× frozen", "first, s", "GiB", "× floor")
LEGEND = (
    "An iteration is a weight step and an alpha step of the search, or one training step of a found network. Seconds "
    "are medians; × is the median over turns of the peer's seconds divided by the design's; first is the first "
    "iteration of a process, tracing included; GiB its peak memory.",
    "vinnas_tf: local reparametrisation, as in pytorch. weight_sampling: vinnas_tf with --estimator=weight_sampling, "
    "which is less work than pytorch does.",
    "pytorch: eager, every backward pass computes all gradients. pytorch_frozen: the alpha step takes no gradients of "
    "weights, and the weight step none of alphas.",
    "Floor: the multiply-adds of all convolutions, two operations each, for means and for variances, in all passes "
    "that cannot be spared (of weights: forward, gradients of inputs, gradients of kernels; of alphas: forward, "
    "gradients of inputs), at the speed of a product of two float32 matrices, 4096 x 4096 by NumPy, or 8192 x 8192 on "
    "a GPU.",
)


@dataclass
class Measurement:
    """What one design took: seconds of its first and of later iterations, and its peak memory in bytes."""

    first: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    peak: int = 0

    def start(self, design: str, config: Config | ChannelStep, image_size: int, gpu: bool) -> Worker:
        """Starts the design and runs it warm: the first iteration, and one that is not recorded."""
        worker = Worker(design, config, image_size, gpu)
        self.first.append(worker.iterate())
        worker.iterate()
        self.peak = max(self.peak, worker.peak)
        return worker


def measure(
    designs: Sequence[str], config: Config | ChannelStep, image_size: int, repeats: int, gpu: bool = False
) -> tuple[dict[str, Measurement], list[str]]:
    """Measures the designs in turns.

    Args:
        designs: keys of DESIGNS or FURTHER_DESIGNS, or for a `ChannelStep` of CHANNEL_DESIGNS.
        config: skeleton and batch size.
        image_size: pixels a side.
        repeats: recorded iterations of each design.
        gpu: whether they run on a GPU. Then each runs by itself, for side by side they would share it.

    Returns:
        The measurements of the designs that ran, and a line for each that did not and on how they took turns.
    """
    results = {design: Measurement() for design in designs}
    notes = []
    if gpu:
        return _one_by_one(results, config, image_size, repeats)
    available = psutil.virtual_memory().available

    def alone(design: str) -> float:
        with contextlib.closing(results[design].start(design, config, image_size, gpu)) as worker:
            seconds = worker.iterate()
        _progress(f"{design} alone: first {results[design].first[-1]:.1f} s, then {seconds:.2f} s")
        return seconds

    first_turn = {}
    for design in designs:
        try:
            first_turn[design] = alone(design)
        except WorkerError as error:
            notes.append(str(error))
            del results[design]
    turns = [first_turn]
    try:
        if sum(result.peak for result in results.values()) < available:
            notes.append("The processes ran side by side and took turns iteration by iteration.")
            with contextlib.ExitStack() as stack:
                workers = {
                    design: stack.enter_context(contextlib.closing(result.start(design, config, image_size, gpu)))
                    for design, result in results.items()
                }
                for turn in range(repeats):
                    taken = {design: worker.iterate() for design, worker in workers.items()}
                    turns[turn:] = [taken]  # The first replaces the turn that each took alone.
                    _progress("  ".join(f"{design} {seconds:.2f} s" for design, seconds in taken.items()))
        else:
            notes.append("Side by side the processes did not fit into memory: each was started anew for each turn.")
            for _ in range(repeats - 1):
                turns.append({design: alone(design) for design in results})
    except WorkerError as error:
        notes.append(f"{error} Turns completed before that: {len(turns)}.")
    for design, result in results.items():
        result.seconds = [turn[design] for turn in turns]
    return results, notes


def _one_by_one(
    results: dict[str, Measurement], config: Config | ChannelStep, image_size: int, repeats: int
) -> tuple[dict[str, Measurement], list[str]]:
    """All iterations of a design on a GPU, and then those of the next."""
    notes = ["Each design ran all its iterations by itself, one design after the other."]
    for design, result in list(results.items()):
        try:
            with contextlib.closing(result.start(design, config, image_size, True)) as worker:
                result.seconds = [worker.iterate() for _ in range(repeats)]
                result.peak = worker.peak
        except WorkerError as error:
            notes.append(str(error))
            del results[design]
            continue
        _progress(f"{design}: first {result.first[-1]:.1f} s, then {statistics.median(result.seconds):.3f} s")
    return results, notes


def _with_torch(designs: Sequence[str]) -> bool:
    return any(design.startswith("pytorch") for design in designs)


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def rows_of(config: Config, results: dict[str, Measurement], floor_seconds: float) -> list[list[str]]:
    """The table's rows for one skeleton and batch size.

    Ratios are medians over turns of a peer's seconds divided by the design's, so that drift cancels.
    """

    def ratio(peer: str, own: Measurement) -> str:
        if peer not in results:
            return "–"
        turns = zip(results[peer].seconds, own.seconds, strict=True)
        return f"{statistics.median(theirs / ours for theirs, ours in turns):.2f}"

    return [
        [
            design,
            config.cells,
            str(config.batch_size),
            f"{statistics.median(result.seconds):.3g} ({min(result.seconds):.3g}–{max(result.seconds):.3g})",
            ratio("pytorch", result),
            ratio("pytorch_frozen", result),
            f"{statistics.median(result.first):.1f}",
            f"{result.peak / 2**30:.2f}",
            # Weight sampling is spared the convolution of the variances, and its gradients.
            f"{statistics.median(result.seconds) / floor_seconds * (2 if design == 'weight_sampling' else 1):.1f}",
        ]
        for design, result in results.items()
    ]


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    skeletons, batches = arguments.cells.split(","), arguments.batch
    if len(skeletons) != len(batches):
        parser.error(f"--cells names {len(skeletons)} skeletons and --batch {len(batches)} sizes: give as many.")
    # A training step has no alphas to freeze.
    gpu = arguments.device == "gpu"
    known = {**DESIGNS, **FURTHER_DESIGNS}
    sensible = [
        design for design in (known if gpu else DESIGNS) if not (arguments.genotype and design == "pytorch_frozen")
    ]
    designs = arguments.designs.split(",") if arguments.designs else sensible
    unknown = sorted(set(designs) - known.keys())
    if unknown:
        parser.error(f"--designs knows {', '.join(known)}; got {', '.join(unknown)}.")
    require_positive(parser, arguments, "repeats")
    if arguments.output and not arguments.output.absolute().parent.is_dir():
        parser.error(f"--output={arguments.output}: there is no such folder.")
    configs = [step_config(parser, arguments, *step) for step in zip(skeletons, batches, strict=True)]
    # Last: what is mistyped is told whether or not PyTorch is there.
    if _with_torch(designs) and importlib.util.find_spec("torch") is None:
        parser.error("PyTorch is not installed: pip install torch, or give --designs=vinnas_tf.")
    try:
        text = report(designs, configs, arguments.image_size, arguments.repeats, gpu)
    except UserError as error:
        parser.error(f"--{error}")
    print(text)
    if arguments.output:
        try:
            write_atomically(arguments.output, text + "\n")
        except UserError as error:
            parser.error(str(error))


def report(designs: Sequence[str], configs: Sequence[Config], image_size: int, repeats: int, gpu: bool = False) -> str:
    """Measures the designs on each configuration; a table and what must be known to read it, in Markdown."""
    rows, remarks = [], []
    for config in configs:
        title = f"{config.cells} at batch {config.batch_size}"
        _progress(f"{title}:")
        load = os.getloadavg()[0]
        speed, copied = gpu_speeds() if gpu else (machine_flop_per_second(), 0.0)
        flop = iteration_flop(config, image_size)
        results, events = measure(designs, config, image_size, repeats, gpu)
        rows += rows_of(config, results, flop / speed)
        floor = f"Floor: {flop / 1e9:.4g} GFLOP at {speed / 1e9:.0f} GFLOP/s, {flop / speed:.3g} s."
        if gpu:
            floor += f" A large copy runs at {copied / 1e9:.0f} GB/s, read and written."
        remarks.append(f"{title}: " + " ".join([floor, *events, f"Load average at the start: {load:.1f}."]))
    packages = ["tensorflow", "keras"] + (["torch"] if _with_torch(designs) else [])
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    first = configs[0]
    cells = first.genotype if isinstance(first, TrainConfig) else f"I = {first.states}"
    setting = (
        f"C = {first.channels}, {cells}, images of {image_size} x {image_size}, {'TF32' if gpu else 'float32'}, "
        f"{repeats} iterations each. {os.cpu_count()} cores ({platform.machine()}), Python "
        f"{platform.python_version()}, {versions}."
    )
    return "\n".join([markdown_table(HEADER, rows), "", notes(setting, *remarks, *LEGEND)])


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("benchmarks.step_time", __doc__)
    add = parser.add_argument
    add("--cells", default="NNRNNRNN,NRN,NNRNNRNN", help="skeletons, separated by commas (%(default)s)")
    add("--batch", type=integers_option, default="16,64,64", help="batch size of each skeleton (%(default)s)")
    add_step_options(parser, "genotype", "stem_stride", "states", "channels", "image_size")
    add("--repeats", type=int, default=5, help="recorded iterations of each design (%(default)s)")
    add("--designs", default="", help=f"some of {','.join({**DESIGNS, **FURTHER_DESIGNS})}; else all that make sense")
    add("--device", choices=("cpu", "gpu"), default="cpu", help="what it runs on (%(default)s)")
    add("--output", type=Path, help="Markdown file for the table")
    return parser


if __name__ == "__main__":
    main()
