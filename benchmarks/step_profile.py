"""Where the time of a step goes: operations under TensorFlow's profiler, by kind of work.

    python -m benchmarks.step_profile --cells=NRN --batch=16

One iteration is a weight step and an alpha step of the CIFAR-10 supergraph on
synthetic images, each with Adam; with --genotype=FILE it is a training step of
the network of those cells. After two iterations to get warm, iterations without and
with the profiler take turns, on the CPU. An operation counts with the time of its
own, without that of operations inside it. With one thread, the default, no two
operations run at the same time, so that their sum can be held against the clock; with
more it cannot. The machine should do nothing else meanwhile.
"""

import os
import re
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.command import add_step_options, make_parser, notes, require_positive, step_config
from benchmarks.designs import DESIGNS, Config, synthetic_batches
from vinnas_tf.config import TrainConfig
from vinnas_tf.errors import UserError
from vinnas_tf.run.stderr import held_back
from vinnas_tf.run.tables import markdown_table

# Kinds of work, and the operation types of each: without oneDNN's prefix, and an XLA kernel by the name of its
# function in vinnas_tf/kernels.
KINDS: dict[str, tuple[str, ...]] = {
    "1x1 and full convolutions": (
        "Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput", "FusedConv2D", "FusedMatMul", "MatMul",
    ),
    # Where the stride is 1, the gradient of an input is a convolution like the forward one.
    "depthwise convolutions: forward, gradients of inputs": (
        "DepthwiseConv2dNative", "DepthwiseConv2dNativeBackpropInput", "FusedDepthwiseConv2dNative",
    ),
    "depthwise convolutions: gradients of kernels": ("DepthwiseConv2dNativeBackpropFilter",),
    "batch normalisation and ReLU": (
        "FusedBatchNormEx", "FusedBatchNormGradEx", "FusedBatchNormGradV3", "FusedBatchNormV3", "Relu", "ReluGrad",
    ),
    "noise (XLA)": ("sample", "standard_normal"),
    "copies: slices, pads, transposes, concatenations": (
        "ConcatV2", "Fill", "Pack", "Pad", "PadV2", "ReverseV2", "Slice", "Split", "SplitV", "StridedSlice",
        "StridedSliceGrad", "Tile", "Transpose", "Unpack", "ZerosLike",
    ),
    "squares, products, sums": (
        "AddN", "AddV2", "BiasAdd", "BiasAddGrad", "Mean", "Mul", "Neg", "Square", "Sub", "Sum",
    ),
    "pools": ("AvgPool", "AvgPoolGrad", "MaxPool", "MaxPoolGrad", "max_pool_gradient"),
    "optimizer": ("ResourceApplyAdam",),
}  # fmt: skip
REST = "rest"
LARGEST = 15  # operation types that are named on their own

_KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}
_OPERATION = re.compile(r"[^:]+:(\w+)")  # node:Type; the executor's events are Class::Method, or "end: name".
_XLA_FUNCTION = re.compile(r"_inference_(\w+?)_\d+_")
_ONEDNN_PREFIX = re.compile(r"_?(MklNative|Mkl)?")


@dataclass
class Cost:
    """What all operations of a type took: picoseconds of their own, and calls."""

    picoseconds: int = 0
    calls: int = 0

    def include(self, other: "Cost") -> None:
        """Adds the other's to it."""
        self.picoseconds += other.picoseconds
        self.calls += other.calls


def self_times(space: Any) -> dict[str, Cost]:
    """Cost of each operation type in a profile (XSpace): time within an operation, but not within one inside it.

    Whatever is no operation (Python, the executor, the profiler) is left out, and its time with it, unless an operation
    encloses it. XLA's kernels are called function/kernel.
    """
    costs: dict[str, Cost] = defaultdict(Cost)
    for plane in space.planes:
        if not plane.name.startswith("/host:CPU"):
            continue
        for line in plane.lines:
            spans = []
            for event in line.events:
                name = _operation_type(plane, event)
                if name:
                    spans.append((event.offset_ps, -event.duration_ps, name))
            enclosing: list[tuple[int, str]] = []  # Where those that are under way end, the innermost last.
            for start, negative_duration, name in sorted(spans):
                while enclosing and enclosing[-1][0] <= start:
                    enclosing.pop()
                if enclosing:
                    costs[enclosing[-1][1]].picoseconds += negative_duration
                costs[name].picoseconds -= negative_duration
                costs[name].calls += 1
                enclosing.append((start - negative_duration, name))
    return dict(costs)


def _operation_type(plane: Any, event: Any) -> str:
    """The type of the operation that an event is, or "" where it is none."""
    name = plane.event_metadata[event.metadata_id].name
    stats = {plane.stat_metadata[stat.metadata_id].name: stat for stat in event.stats}
    if "hlo_op" in stats:
        module = stats["hlo_module"]
        function = _XLA_FUNCTION.search(module.str_value or plane.stat_metadata[module.ref_value].name)
        return f"{function[1] if function else 'XLA'}/{re.sub(r'[.][0-9]+$', '', name)}"
    operation = _OPERATION.fullmatch(name)
    return operation[1] if operation else ""


def kind_of(operation_type: str) -> str:
    """The kind of work that an operation type, as `self_times` calls it, belongs to: a key of KINDS, or REST."""
    return _KIND_OF.get(_ONEDNN_PREFIX.sub("", operation_type.split("/")[0], count=1), REST)


def tables(costs: dict[str, Cost], iterations: int) -> str:
    """Kinds of work and the largest operation types in Markdown, for the costs of so many iterations."""
    kinds = {kind: Cost() for kind in (*KINDS, REST)}
    for name, cost in costs.items():
        kinds[kind_of(name)].include(cost)
    whole = Cost(sum(cost.picoseconds for cost in costs.values()), sum(cost.calls for cost in costs.values()))

    def figures(cost: Cost) -> list[str]:
        share = cost.picoseconds / max(whole.picoseconds, 1)
        return [f"{share:.1%}", f"{cost.picoseconds / 1e9 / iterations:.2f}", f"{cost.calls / iterations:g}"]

    header = ("share", "ms / iteration", "calls / iteration")
    rows = [[kind, *figures(cost)] for kind, cost in _largest_first(kinds)]
    largest = [[name, kind_of(name), *figures(cost)] for name, cost in _largest_first(costs)[:LARGEST]]
    rest = [name for name, _ in _largest_first(costs) if kind_of(name) == REST]
    return "\n\n".join(
        [
            markdown_table(("kind of work", *header), [*rows, ["sum", *figures(whole)]]),
            markdown_table(("operation type", "kind of work", *header), largest),
            notes(f"In the rest, the largest first: {', '.join(rest) or 'nothing'}."),
        ]
    )


def _largest_first(costs: dict[str, Cost]) -> list[tuple[str, Cost]]:
    return sorted(costs.items(), key=lambda item: -item[1].picoseconds)


@dataclass(frozen=True)
class Profile:
    """Costs of the profiled iterations together, and seconds of each without the profiler and with it.

    An iteration that took less processor time than wall time waited, for other work of the machine most likely.
    """

    costs: dict[str, Cost]
    seconds: list[float]
    processor_seconds: list[float]
    profiled_seconds: list[float]


def profile(config: Config, image_size: int, repeats: int, threads: int) -> Profile:
    """Runs iterations warm, then `repeats` without the profiler and as many with it, in turns.

    This process must not have run anything with TensorFlow yet: the number of threads is fixed from then on.
    """
    with held_back():
        import tensorflow as tf
        from tensorflow.tsl.profiler.protobuf import xplane_pb2

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    iterate = DESIGNS["vinnas_tf"](config, synthetic_batches(config, image_size), False).run

    def timed() -> tuple[float, float]:
        start, processor_start = time.perf_counter(), time.process_time()
        iterate()
        return time.perf_counter() - start, time.process_time() - processor_start

    for _ in range(2):
        iterate()
    costs: dict[str, Cost] = defaultdict(Cost)
    plain, profiled = [], []
    for _ in range(repeats):
        plain.append(timed())
        with tempfile.TemporaryDirectory() as folder:
            tf.profiler.experimental.start(folder)
            profiled.append(timed())
            tf.profiler.experimental.stop()
            (written,) = Path(folder).glob("plugins/profile/*/*.xplane.pb")
            space = xplane_pb2.XSpace.FromString(written.read_bytes())
        for name, cost in self_times(space).items():
            costs[name].include(cost)
    return Profile(costs, [wall for wall, _ in plain], [busy for _, busy in plain], [wall for wall, _ in profiled])


def report(config: Config, image_size: int, threads: int, measured: Profile) -> str:
    """The tables, and what must be known to read them, in Markdown."""
    repeats = len(measured.seconds)
    total = sum(cost.picoseconds for cost in measured.costs.values()) / 1e12 / repeats
    wall, busy, profiled = (
        statistics.median(seconds)
        for seconds in (measured.seconds, measured.processor_seconds, measured.profiled_seconds)
    )
    cells = config.genotype if isinstance(config, TrainConfig) else f"I = {config.states}"
    return "\n".join(
        [
            tables(measured.costs, repeats),
            notes(
                f"An iteration without the profiler took {wall * 1e3:.4g} ms, {busy * 1e3:.4g} ms of them on the "
                f"processor, one with it {profiled * 1e3:.4g} ms (medians of {repeats}). The operations' own times sum "
                f"to {total * 1e3:.4g} ms, {total / wall:.0%} of the first; what they do not cover is the executor "
                "between them, and Python.",
                f"{config.cells} at batch {config.batch_size}, C = {config.channels}, {cells}, images of "
                f"{image_size} x {image_size}, float32.",
                f"Threads: {threads} within an operation, {threads} between operations"
                + (", so shares are of one core's time." if threads == 1 else "; operations overlap.")
                + f" Load average at the end: {os.getloadavg()[0]:.1f}.",
            ),
        ]
    )


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.step_profile", __doc__)
    add_step_options(parser, "cells", "batch", "genotype", "stem_stride", "states", "channels", "image_size")
    parser.add_argument("--repeats", type=int, default=3, help="profiled iterations (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="within and between operations (%(default)s)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "image_size", "repeats", "threads")
    config = step_config(parser, arguments, arguments.cells, arguments.batch)
    try:
        measured = profile(config, arguments.image_size, arguments.repeats, arguments.threads)
    except UserError as error:
        parser.error(str(error))
    print(report(config, arguments.image_size, arguments.threads, measured))


if __name__ == "__main__":
    main()
