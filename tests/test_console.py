"""The table that a person watches: 80 columns, whatever the values."""

import os
import pty
import subprocess
import sys

import pytest

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.console import SEARCH_TABLE, TRAIN_TABLE, Table, Watch, counted, describe, duration, warn_of_idle_cells
from vinnas_tf.run.files import Value


@pytest.mark.parametrize("table", [SEARCH_TABLE, TRAIN_TABLE])
@pytest.mark.parametrize("size", [0.0, 3.4e-7, 0.000445, 0.0107, 0.98765, 1.0, 12.345, 144.557, 12345.6])
def test_columns_never_run_together(table: Table, size: float) -> None:
    names = [name for _, name, _, _ in table.columns]
    row: dict[str, Value] = dict.fromkeys(names, min(size, 1.0))
    row |= {"epoch": 100, "cross_entropy": size, "kl_weights_weighted": size, "kl_alphas_weighted": size}
    row |= {"weights_kept": 12_345_678}
    text = table.line(row, 600, 359_999)
    assert len(text.split()) == 1 + len(names) + 1
    assert len(text) <= 80


@pytest.mark.parametrize("table", [SEARCH_TABLE, TRAIN_TABLE])
def test_titles_and_legend_fit_the_terminal(table: Table) -> None:
    assert max(len(text) for text in [table.header(), *table.legend.splitlines()]) <= 80


def test_what_an_epoch_does_not_have_is_a_dash() -> None:
    row: dict[str, Value] = {"epoch": 1, "cross_entropy": 2.0}
    assert SEARCH_TABLE.line(row, 20, 0).split() == ["1/20", "2", *"---------", "0:00"]


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_cells_are_told_state_by_state() -> None:
    genotype = Genotype(1, {"reduction": (Edge(2, 0, "skip"), Edge(2, 1, "sep_conv_3x3"))})
    assert describe(genotype) == "  reduction state 2 = skip(c-2) + sep_conv_3x3(c-1)"
    tree = Genotype(12, {"block_0": (Edge(4, 1, "skip"), Edge(11, 4, "skip")), "block_1": ()}, "tree_pyramid")
    assert describe(tree).splitlines() == [
        "  block_0   state 4 = skip(root 1)",
        "  block_0   state 11 = skip(state 4)",
        "  block_1   is pruned: its block is the shortcut",
    ]


@pytest.mark.parametrize(("primitive", "warned"), [("skip", True), ("sep_conv_3x3", False)])
def test_a_cell_in_which_nothing_learns_is_told(
    primitive: str, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    genotype = Genotype(1, {"normal": (Edge(2, 0, primitive), Edge(2, 1, "max_pool_3x3"))})
    warn_of_idle_cells(genotype, "vinnas-no-kl-alphas, seed 3")
    told = "warning: nothing learns in the normal cell of vinnas-no-kl-alphas, seed 3.\n"
    assert len(told) <= 80
    assert capsys.readouterr().out == (told if warned else "")


def test_what_is_counted_is_told_in_a_log_and_comes_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted("Prunes at 3 thresholds", [3, 2, 1])) == [3, 2, 1]
    assert capsys.readouterr().out == "Prunes at 3 thresholds ...\n"  # Too fast for a second line.


PROGRAM = """
from vinnas_tf.console import counted
for item in counted("Evaluates 3 networks on 10,000 held-out images", "abc"):
    pass
"""


def test_on_a_terminal_one_line_counts_up_and_tells_the_time_left() -> None:
    """A real one, of 80 columns."""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", PROGRAM], stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert shown.count("\n") == 1
    states = [state.rstrip() for state in shown.replace("\r\n", "").lstrip("\r").split("\r")]
    assert states == [
        "Evaluates 3 networks on 10,000 held-out images ...",
        "Evaluates 3 networks on 10,000 held-out images: 1 of 3, 0:00 left",
        "Evaluates 3 networks on 10,000 held-out images: 2 of 3, 0:00 left",
        "Evaluates 3 networks on 10,000 held-out images: done",
    ]


@pytest.mark.parametrize(("steps", "timed"), [(1, 0), (3, 2), (40, 10)])
def test_the_estimate_comes_after_the_first_steps_and_before_the_titles(
    steps: int, timed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    row: dict[str, Value] = {"epoch": 1}
    watch = Watch(TRAIN_TABLE, 2, steps, lambda: row, ahead=lambda seconds: f"Rough estimate: {seconds >= 0}")
    watch.on_train_begin()
    watch.on_epoch_begin(0)
    for batch in range(steps):
        assert ("Rough" in capsys.readouterr().out) == (batch == timed + 1)
        watch.on_train_batch_end(batch)
    watch.on_epoch_end(0)
    assert capsys.readouterr().out.count("Rough") == (timed == steps - 1)
