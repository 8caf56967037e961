"""Statistics against formulas and published tables; the tables' text; the CSV file read back."""

import csv
import io
import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate

from vinnas_tf.compare.rows import known_rows
from vinnas_tf.compare.statistics import Result, from_csv, summarize, to_csv, to_markdown, to_text

FIRST = {3: 0.97, 4: 0.95, 5: 0.96}
SECOND = {3: 0.98, 4: 0.97, 5: 0.965}


def results(row: str, accuracies: dict[int, float], **same: Any) -> list[Result]:
    figures: dict[str, Any] = {
        "params_nonzero": 1000,
        "search_seconds": 90.0,
        "train_seconds": 30.0,
        "parameter_free": 0.25,
    }
    return [
        Result(row, seed, value, **{**figures, "genotype": f"g{seed}", **same}) for seed, value in accuracies.items()
    ]


def two_sided_p(t: float, freedom: int) -> float:
    """Student's t distribution integrated numerically beyond |t|, both tails."""
    scale = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    tail, _ = integrate.quad(lambda x: scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2), abs(t), math.inf)
    return 2 * tail


def test_a_row_over_its_seeds():
    of_row = [
        Result("one", 0, 0.9, 100, 60.0, 600.0, 0.0, "a"),
        Result("one", 1, 0.8, 200, 120.0, 600.0, 0.5, "b"),
        Result("one", 2, 0.7, 600, 180.0, 900.0, 0.25, "a"),
    ]
    (summary,) = summarize(of_row)
    assert (summary.statistics.n, summary.best, summary.genotypes, summary.statistics.pairs) == (3, 0.9, 2, 0)
    assert summary.statistics.mean == pytest.approx(0.8)
    assert summary.statistics.deviation == pytest.approx(math.sqrt((0.1**2 + 0 + 0.1**2) / 2))
    assert summary.params_nonzero == pytest.approx(300)
    assert (summary.search_minutes, summary.train_minutes) == pytest.approx((2, 35 / 3))
    assert summary.parameter_free == pytest.approx(0.25)
    assert (summary.statistics.difference, summary.statistics.p) == (None, None)


def test_the_paired_test_is_students():
    _, second = summarize([*results("first", FIRST), *results("second", SECOND)])
    differences = np.array([0.01, 0.02, 0.005])
    mean = differences.sum() / 3
    deviation = math.sqrt(((differences - mean) ** 2).sum() / 2)
    assert second.statistics.difference == pytest.approx(mean)
    assert second.statistics.p == pytest.approx(two_sided_p(mean / (deviation / math.sqrt(3)), 2), rel=1e-6)
    # With two pairs t has a Cauchy distribution: differences of 1 and 3 give t = 2 and p = 1 - 2 atan(2) / pi.
    _, pair = summarize([*results("first", {0: 0.5, 1: 0.6}), *results("second", {0: 0.51, 1: 0.63})])
    assert pair.statistics.p == pytest.approx(1 - 2 * math.atan(2) / math.pi)


def test_pairs_are_of_equal_seeds_in_any_order():
    shuffled = {5: SECOND[5], 9: 0.1, 3: SECOND[3], 4: SECOND[4]}
    _, second = summarize([*results("first", FIRST), *results("second", shuffled)])
    _, expected = summarize([*results("first", FIRST), *results("second", SECOND)])
    assert (second.statistics.n, second.statistics.pairs) == (4, 3)
    assert (second.statistics.difference, second.statistics.p) == pytest.approx(
        (expected.statistics.difference, expected.statistics.p)
    )


@pytest.mark.parametrize("step", [0.0, 0.01])
def test_differences_without_spread_have_no_p(step):
    same = {seed: value + step for seed, value in FIRST.items()}
    _, second = summarize([*results("first", FIRST), *results("second", same)])
    assert second.statistics.difference == pytest.approx(step)
    assert second.statistics.p is None


def test_one_seed_has_dashes():
    text = to_text(summarize([*results("first", {0: 0.97}), *results("second", {0: 0.98})]))
    assert "98.00 +- -" in text
    (line,) = [line for line in text.splitlines()[5:] if line.startswith("second")]
    assert line.split() == ["second", "25%", "1", "1", "-", "-"]


def test_both_tables_tell_the_figures():
    summaries = summarize([*results("first", FIRST), *results("second", SECOND, params_nonzero=1234567, genotype="g")])
    deviation = 100 * np.std([0.98, 0.97, 0.965], ddof=1)
    above = ["second", "3", "97.17", "+-", f"{deviation:.2f}", "98.00", "1,234,567", "1.5", "0.5"]
    below = ["second", "25%", "1", "3", "+1.17", f"{summaries[1].statistics.p:.3f}"]
    lines = [line.split() for line in to_text(summaries).splitlines()]
    assert above in lines
    assert below in lines
    (row,) = [line for line in to_markdown(summaries).splitlines() if line.startswith("| second")]
    assert row.replace("|", " ").replace("±", "+-").split() == above + below[1:]
    table = [line for line in to_markdown(summaries).splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1


def test_a_tiny_p_is_not_told_as_zero():
    many = {seed: 0.9 + 0.001 * (seed % 2) for seed in range(12)}
    better = {seed: value + 0.05 + 0.001 * (seed % 3) for seed, value in many.items()}
    assert "<0.001" in to_text(summarize([*results("first", many), *results("second", better)]))


def test_the_terminal_shows_80_columns_and_no_more():
    rows = [
        result
        for name in known_rows()
        for result in results(name, {0: 1.0, 1: 0.5}, params_nonzero=12_345_678, search_seconds=1e5, train_seconds=1e5)
    ]
    text = to_text(summarize(rows))
    assert max(map(len, text.splitlines())) <= 80
    assert text.isascii()
    words = [line.split() for line in text.splitlines()]
    assert ["vinnas-point-weights", "2", "75.00", "+-", "35.36", "100.00", "12,345,678", "1666.7", "1666.7"] in words


def test_rows_that_find_no_operations_have_a_dash_and_not_a_share():
    written = results("pgnas", FIRST, parameter_free=None)
    assert from_csv(to_csv(written)) == written
    (line,) = [line for line in to_text(summarize(written)).splitlines()[3:] if line.startswith("pgnas")]
    assert line.split() == ["pgnas", "-", "3", "-", "-", "-"]


def test_the_csv_file_has_a_line_a_row_and_seed_and_is_read_back():
    written = [*results("first", {0: 1 / 3, 1: 0.1 + 0.2}), *results("second", SECOND)]
    lines = list(csv.DictReader(io.StringIO(to_csv(written))))
    assert [(line["row"], line["seed"]) for line in lines[:2]] == [("first", "0"), ("first", "1")]
    assert float(lines[0]["accuracy"]) == 1 / 3
    assert from_csv(to_csv(written)) == written
