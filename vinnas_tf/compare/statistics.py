"""What a comparison comes to: the figures of every row and seed, their statistics, and tables of these.

A row is a search method or an ablation. The first row is what the others are held against, seed by seed.
"""

import csv
import dataclasses
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from vinnas_tf.errors import FileError
from vinnas_tf.run.tables import csv_table, markdown_table


@dataclass(frozen=True)
class Result:
    """One row with one seed.

    Attributes:
        row: name of the row.
        seed: seed of its search and its training.
        accuracy: share of the test images that the pruned and stripped network gets right.
        params_nonzero: parameters that are not zero, after pruning, or in the network that a choice of channels left.
        search_seconds: time of all epochs of the search.
        train_seconds: time of all epochs of the training, or of fine-tuning.
        parameter_free: share of the found operations that learn nothing; None of a row that finds no operations.
        genotype: SHA-256 of the file of the genotype, or of the masks.
    """

    row: str
    seed: int
    accuracy: float
    params_nonzero: int
    search_seconds: float
    train_seconds: float
    parameter_free: float | None
    genotype: str


@dataclass(frozen=True)
class Statistics:
    """The accuracy of one row over its seeds; None where the seeds are too few.

    Attributes:
        n: number of seeds.
        mean: of the accuracy.
        deviation: its sample standard deviation.
        pairs: seeds that this row shares with the first row; 0 for the first row itself.
        difference: mean over these of the row's accuracy minus the first row's.
        p: of a two-sided paired t-test that the difference is 0; None also where all differences are equal.
    """

    n: int
    mean: float
    deviation: float | None
    pairs: int
    difference: float | None
    p: float | None


@dataclass(frozen=True)
class Summary:
    """One row over its seeds.

    Attributes:
        row: name of the row.
        statistics: of the accuracy.
        best: highest accuracy.
        params_nonzero: mean.
        search_minutes: mean.
        train_minutes: mean.
        parameter_free: mean share of the found operations that learn nothing; None where none are found.
        genotypes: number of different genotypes, or masks.
    """

    row: str
    statistics: Statistics
    best: float
    params_nonzero: float
    search_minutes: float
    train_minutes: float
    parameter_free: float | None
    genotypes: int


def summarize(results: Sequence[Result]) -> list[Summary]:
    """One summary a row, in the order in which the rows first appear."""
    rows: dict[str, list[Result]] = {}
    for result in results:
        rows.setdefault(result.row, []).append(result)
    accuracies = {row: {result.seed: result.accuracy for result in of_row} for row, of_row in rows.items()}
    summaries = []
    for row, statistics in hold_against_first(accuracies).items():
        of_row = rows[row]
        shares = [result.parameter_free for result in of_row if result.parameter_free is not None]
        summaries.append(
            Summary(
                row=row,
                statistics=statistics,
                best=max(accuracies[row].values()),
                params_nonzero=float(np.mean([result.params_nonzero for result in of_row])),
                search_minutes=float(np.mean([result.search_seconds for result in of_row])) / 60,
                train_minutes=float(np.mean([result.train_seconds for result in of_row])) / 60,
                parameter_free=float(np.mean(shares)) if shares else None,
                genotypes=len({result.genotype for result in of_row}),
            )
        )
    return summaries


def hold_against_first(accuracies: Mapping[str, Mapping[int, float]]) -> dict[str, Statistics]:
    """The statistics of each row's accuracies, given by seed; the first row is the one that pairs are made with."""
    statistics: dict[str, Statistics] = {}
    for row, by_seed in accuracies.items():
        values = np.array(list(by_seed.values()))
        first = next(iter(accuracies.values())) if statistics else {}
        pairs = [(accuracy, first[seed]) for seed, accuracy in by_seed.items() if seed in first]
        statistics[row] = Statistics(
            n=len(values),
            mean=float(values.mean()),
            deviation=float(values.std(ddof=1)) if len(values) > 1 else None,
            pairs=len(pairs),
            difference=float(np.mean([mine - other for mine, other in pairs])) if len(pairs) > 1 else None,
            p=paired_p_value(pairs),
        )
    return statistics


def paired_p_value(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The p of a two-sided paired t-test; None with less than two pairs, or where all differences are equal."""
    if len(pairs) < 2 or np.ptp([mine - other for mine, other in pairs]) < 1e-12:  # No spread to hold a mean against.
        return None
    mine, others = zip(*pairs, strict=True)
    return float(stats.ttest_rel(mine, others).pvalue)


def to_csv(results: Sequence[Result]) -> str:
    """The text of a CSV file with one line a row and seed, floats in full precision."""
    return csv_table((field.name for field in dataclasses.fields(Result)), map(dataclasses.astuple, results))


def from_csv(text: str) -> list[Result]:
    """What `to_csv` wrote, bit for bit; raises FileError for any other text."""
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Result)}
    kinds["parameter_free"] = lambda value: float(value) if value else None
    rows = csv.reader(io.StringIO(text))
    try:
        if next(rows, []) != [*kinds]:
            raise ValueError("its columns are others")
        return [Result(*(kind(value) for kind, value in zip(kinds.values(), row, strict=True))) for row in rows]
    except (ValueError, csv.Error) as error:
        raise FileError(f"this is no table of a comparison ({error}): compare again with --overwrite.") from error


def to_text(summaries: Sequence[Summary]) -> str:
    """The table for a terminal of 80 columns, in two blocks below each other, with what the titles mean; ASCII."""

    def plain(text: str) -> str:
        return text.replace("±", "+-")

    blocks = []
    for columns in _BLOCKS:
        lines = [" " * _NAME + "".join(f"{column.title:>{column.width}}" for column in columns)]
        for summary in summaries:
            cells = "".join(f"{plain(column.cell(summary)):>{column.width}}" for column in columns)
            lines.append(f"{summary.row:<{_NAME}}{cells}")
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, textwrap.fill(plain(legend(summaries)), 80)])


def to_markdown(summaries: Sequence[Summary]) -> str:
    """The text of a Markdown file with the table, and what its titles mean."""
    return "\n".join([markdown_table(*to_cells(summaries)), "", legend(summaries)]) + "\n"


def to_cells(summaries: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """The titles of the table's columns, and its rows, as text."""
    columns = [column for block in _BLOCKS for column in block]
    rows = [[summary.row, *(column.cell(summary) for column in columns)] for summary in summaries]
    return ["", *(column.title for column in columns)], rows


def legend(summaries: Sequence[Summary]) -> str:
    """What the titles of the table mean."""
    return (
        "accuracy: of the pruned and stripped network on the test images, mean ± sample standard deviation over n "
        "seeds. non-zero: parameters that are left, mean. min: minutes of all epochs, mean. no weights: share of the "
        "found operations that learn nothing, mean. genotypes: different ones among the seeds, or masks of channels. "
        f"points: mean accuracy less that of {summaries[0].row}, over the pairs of equal seeds. p: of a two-sided "
        "paired t-test that this is 0, not corrected for the number of rows."
    )


@dataclass(frozen=True)
class _Column:
    title: str
    width: int
    cell: Callable[[Summary], str]


def format_p(p: float | None) -> str:
    """A p for a table; none is a dash, and a tiny one is not told as 0."""
    if p is None:
        return "-"
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _accuracy(statistics: Statistics) -> str:
    spread = "-" if statistics.deviation is None else f"{100 * statistics.deviation:.2f}"
    return f"{100 * statistics.mean:.2f} ± {spread}"


def _points(statistics: Statistics) -> str:
    return "-" if statistics.difference is None else f"{100 * statistics.difference:+.2f}"


_NAME = 21  # Width of a row's name; with it a block has 80 columns at most.
_BLOCKS = (
    (
        _Column("n", 4, lambda summary: str(summary.statistics.n)),
        _Column("accuracy, %", 15, lambda summary: _accuracy(summary.statistics)),
        _Column("best, %", 8, lambda summary: f"{100 * summary.best:.2f}"),
        _Column("non-zero", 11, lambda summary: f"{summary.params_nonzero:,.0f}"),
        _Column("search min", 11, lambda summary: f"{summary.search_minutes:.1f}"),
        _Column("train min", 10, lambda summary: f"{summary.train_minutes:.1f}"),
    ),
    (
        _Column("no weights", 14, lambda summary: _share(summary.parameter_free)),
        _Column("genotypes", 12, lambda summary: str(summary.genotypes)),
        _Column("pairs", 8, lambda summary: str(summary.statistics.pairs or "-")),
        _Column("points", 10, lambda summary: _points(summary.statistics)),
        _Column("p", 10, lambda summary: format_p(summary.statistics.p)),
    ),
)
