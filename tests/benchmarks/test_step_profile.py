"""The profile adds up what the profiler saw, and calls each operation by its kind."""

import subprocess
import sys

import pytest
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from benchmarks.step_profile import KINDS, REST, Cost, Profile, kind_of, main, report, self_times
from vinnas_tf.architecture.primitives import PRIMITIVES
from vinnas_tf.architecture.space import VINNAS
from vinnas_tf.config import SearchConfig
from vinnas_tf.kernels.device import on_cpu

MILLISECOND = 10**9  # in picoseconds
# (name, start, end, XLA module) of events, in milliseconds; each list is a thread's.
THREADS = [
    [
        ("ExecutorState::Process", 0, 1000, ""),
        ("a/matmul:_MklMatMul", 0, 400, ""),  # 400 ms, less 50 and 100
        ("b/mul:Mul", 100, 150, ""),  # less 20
        ("b/Square:Square", 110, 130, ""),
        ("ThreadpoolListener::Record", 115, 120, ""),  # No operation: its time stays with the one around it.
        ("c/mul:Mul", 150, 250, ""),  # Begins where the other ends.
        ("CpuExecutable::ExecuteAsyncOnStream", 450, 700, ""),
        ("multiply_fusion.1", 500, 600, "a_inference__sample_1808__.1"),
        ("end: multiply_fusion.1", 590, 600, ""),
        ("wrapped_pad", 600, 640, "a_inference__max_pool_gradient_6888__.1"),
        ("EagerLocalExecute: Frobnicate", 690, 990, ""),
        ("d/new:Frobnicate", 700, 760, ""),
    ],
    [("e/MatMul:MatMul", 0, 200, "")],
]
COSTS = {
    "_MklMatMul": (250, 1),
    "MatMul": (200, 1),
    "Mul": (130, 2),
    "Square": (20, 1),
    "_sample/multiply_fusion": (100, 1),
    "_max_pool_gradient/wrapped_pad": (40, 1),
    "Frobnicate": (60, 1),
}


def add_plane(space, name, threads) -> None:
    plane = space.planes.add(name=name)
    plane.stat_metadata[1].name, plane.stat_metadata[2].name = "hlo_op", "hlo_module"
    for thread in threads:
        line = plane.lines.add()
        for event_name, start, end, module in reversed(thread):  # In whatever order the profiler writes them.
            number = len(plane.event_metadata) + 1
            plane.event_metadata[number].name = event_name
            event = line.events.add(
                metadata_id=number, offset_ps=start * MILLISECOND, duration_ps=(end - start) * MILLISECOND
            )
            if module:
                plane.stat_metadata[100 + number].name = module
                event.stats.add(metadata_id=1, str_value=event_name)
                event.stats.add(metadata_id=2, ref_value=100 + number)


@pytest.fixture
def costs():
    space = xplane_pb2.XSpace()
    add_plane(space, "/host:metadata", THREADS)
    add_plane(space, "/host:CPU", THREADS)
    return self_times(space)


def rows_of(markdown: str, columns: int) -> dict[str, list[str]]:
    """The rows of the table with so many columns, by their first cell."""
    lines = [line.strip("|").split("|") for line in markdown.splitlines() if line.startswith("|")]
    _, _, *rows = [[cell.strip() for cell in cells] for cells in lines if len(cells) == columns]
    return {first: others for first, *others in rows}


def test_an_operation_counts_without_those_inside_it(costs):
    assert costs == {name: Cost(time * MILLISECOND, calls) for name, (time, calls) in COSTS.items()}


def test_the_report_sums_by_kind_and_names_what_has_none(costs):
    config = SearchConfig(cells="NRN", batch_size=16)
    seconds = {"seconds": [0.5, 0.6], "processor_seconds": [0.5, 0.5], "profiled_seconds": [0.7, 0.7]}
    text = report(config, 32, 1, Profile(costs, **seconds))
    kinds = rows_of(text, 4)
    assert list(kinds)[:5] == [
        "1x1 and full convolutions", "squares, products, sums", "noise (XLA)", REST, "pools",
    ]  # fmt: skip
    assert list(kinds.values())[:5] == [
        ["56.2%", "225.00", "1"],  # of two iterations
        ["18.8%", "75.00", "1.5"],
        ["12.5%", "50.00", "0.5"],
        ["7.5%", "30.00", "0.5"],
        ["5.0%", "20.00", "0.5"],
    ]
    assert kinds["sum"] == ["100.0%", "400.00", "4"]
    assert kinds.keys() >= KINDS.keys()
    types = rows_of(text, 5)
    assert types["_MklMatMul"] == ["1x1 and full convolutions", "31.2%", "125.00", "0.5"]
    assert list(types) == sorted(COSTS, key=lambda name: -COSTS[name][0])
    words = " ".join(text.split())
    assert "In the rest, the largest first: Frobnicate." in words
    assert "without the profiler took 550 ms, 500 ms of them on the processor, one with it 700 ms" in words
    assert "sum to 400 ms, 73% of the first" in words


@pytest.mark.parametrize(
    ("operation_type", "kind"),
    [
        ("_MklNativeDepthwiseConv2dNative", "depthwise convolutions: forward, gradients of inputs"),
        ("_FusedConv2D", "1x1 and full convolutions"),
        ("_sample/loop_multiply_fusion", "noise (XLA)"),
        ("XLA/copy", REST),
        ("Cos", REST),
    ],
)
def test_kinds_know_onednns_and_xlas_names(operation_type, kind):
    assert kind_of(operation_type) == kind


def test_a_profiled_step_has_the_depthwise_convolutions_of_its_supergraph(repository):
    """In a process of its own, as the number of threads is fixed by whatever uses TensorFlow first."""
    flags = ["--cells=N", "--states=1", "--channels=2", "--batch=2", "--image_size=8", "--repeats=1"]
    printed = subprocess.run(
        [sys.executable, "-m", "benchmarks.step_profile", *flags],
        capture_output=True, text=True, check=True, cwd=repository,
    ).stdout  # fmt: skip
    kinds = rows_of(printed, 4)
    in_an_edge = [c for name in VINNAS.primitives for c in PRIMITIVES[name].convolutions if c.depthwise]
    # Of the mean and of the variance, in the weight step and in the alpha step; gradients in the weight step alone, for
    # no alpha lies before the only cell. On a CPU, those of kernels by three columns at a time.
    forward = 2 * 2 * len(VINNAS.edges(1)) * len(in_an_edge)
    assert kinds["depthwise convolutions: forward, gradients of inputs"][2] == str(forward + forward // 2)
    pieces = sum(-(-c.kernel_size[1] // 3) if on_cpu() else 1 for c in in_an_edge)
    assert kinds["depthwise convolutions: gradients of kernels"][2] == str(2 * len(VINNAS.edges(1)) * pieces)
    assert all(float(calls) > 0 for _, _, calls in kinds.values())
    assert "/" not in printed.split("In the rest")[1].split(".")[0]  # No kernel of XLA's, such as the noise.


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--cells=NXN", "--cells must be a word of N and R such as NNRNNRNN, got 'NXN'"),
        ("--batch=many", "argument --batch: invalid int value: 'many'"),
        ("--batch=0", "--batch"),
        ("--threads=0", "--threads must be at least 1, got 0"),
        ("--image_size=0", "--image_size must be at least 1, got 0"),
        ("--genotype=no/such/file.json", "can't read no/such/file.json"),
        ("--repeat=3", "unrecognized arguments: --repeat=3"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(flag, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main([flag])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
