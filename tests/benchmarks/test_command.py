"""The benchmark counts what it says it counts, and tells what went wrong."""

import contextlib
import multiprocessing

import pytest

from benchmarks.designs import Worker, WorkerError
from benchmarks.flop import multiply_adds
from benchmarks.step_time import Measurement, main, rows_of
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.config import SearchConfig, TrainConfig
from vinnas_tf.network.flop import count_flops
from vinnas_tf.train.stage import make_network

NO_TORCH = "PyTorch, the benchmark extra, is not installed"


@pytest.fixture
def genotype_file(tmp_path):
    cell = (Edge(2, 0, "sep_conv_5x5"), Edge(2, 1, "conv_7x1_1x7"), Edge(3, 1, "skip"), Edge(3, 2, "dil_conv_3x3"))
    Genotype(2, {"normal": cell, "reduction": cell}).save(tmp_path / "genotype.json")
    return str(tmp_path / "genotype.json")


def test_multiply_adds_of_a_net_small_enough_to_count_by_hand():
    """One normal cell of one state, two channels, 4 x 4 images: two edges with the same kernels."""
    config = SearchConfig(cells="N", states=1, channels=2)
    stem = 9 * 3 * 2
    preprocess = 2 * (2 * 2)
    depthwise = 2 * (9 + 25 + 49 + 9 + 25)
    pointwise = 5 * (2 * 2)
    conv_7x1_1x7 = 2 * (7 * 2 * 2)
    per_pixel = stem + preprocess + 2 * (depthwise + pointwise + conv_7x1_1x7)
    assert multiply_adds(config, image_size=4) == 16 * per_pixel + 2 * 10


@pytest.mark.parametrize("cells", ["NRN", "RRN"])
@pytest.mark.parametrize("image_size", [8, 9])
def test_multiply_adds_agree_with_pytorchs_own_count(cells, image_size):
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.peer import PeerSupergraph

    config = SearchConfig(cells=cells, states=2, channels=4, batch_size=3)
    network = PeerSupergraph(config, 3, 10)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(3, 3, image_size, image_size))
    # A multiply-add is two operations, and each pre-activation has a mean and a variance.
    assert counter.get_total_flops() == 2 * 2 * 3 * multiply_adds(config, image_size)


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_multiply_adds_of_a_found_network_agree_with_our_own_count(stem_stride, genotype_file):
    config = TrainConfig(genotype=genotype_file, cells="NR", channels=4, stem_stride=stem_stride)
    network = make_network(config, Genotype.load(genotype_file), (12, 12, 3), 10)
    assert count_flops(network).dense == 2 * multiply_adds(config, image_size=12)


def test_ratios_are_medians_over_turns_so_that_a_slow_turn_slows_both():
    config = SearchConfig(cells="NRN", batch_size=64)
    results = {
        "vinnas_tf": Measurement(first=[20.0, 30.0], seconds=[2.0, 4.0, 2.0], peak=3 * 2**30),
        "pytorch": Measurement(first=[9.0], seconds=[8.0, 12.0, 10.0], peak=2**30),
    }
    ours, theirs = rows_of(config, results, floor_seconds=0.5)
    assert ours == ["vinnas_tf", "NRN", "64", "2 (2–4)", "4.00", "–", "25.0", "3.00", "4.0"]
    assert theirs[4:] == ["1.00", "–", "9.0", "1.00", "20.0"]


def test_a_process_that_is_killed_is_told_in_one_line():
    pytest.importorskip("torch", reason=NO_TORCH)
    worker = Worker("pytorch", SearchConfig(cells="N", states=1, channels=2, batch_size=2), image_size=4)
    with contextlib.closing(worker):
        assert worker.iterate() > 0
        assert worker.peak > 50 * 2**20  # Python with PyTorch takes more.
        (process,) = multiprocessing.active_children()
        process.kill()
        with pytest.raises(WorkerError, match="^pytorch ended early: killed, most likely for want of memory.$"):
            worker.iterate()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--cells=NRN,N", "--cells names 2 skeletons and --batch 3 sizes"),
        ("--batch=16,many,64", "argument --batch: expected integers separated by commas, got '16,many,64'"),
        ("--cells=NRN,X,N", "--cells must be a word of N and R such as NNRNNRNN, got 'X'"),
        ("--designs=vinnas_tf,jax", "--designs knows vinnas_tf, weight_sampling, pytorch, pytorch_frozen, bfloat16, "),
        ("--designs=vinnas_tf,jax", "; got jax."),
        ("--genotype=no/such/file.json", "can't read no/such/file.json"),
        ("--repeats=0", "--repeats must be at least 1, got 0"),
        ("--output=no/such/folder.md", "--output=no/such/folder.md: there is no such folder"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(flag, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main([flag])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
