"""What a comparison comes to: the figures of every row and seed, their statistics, and tables of these.

A row is a search method or an ablation. The first row is what the others are held against, seed by seed.
"""

import csv
import dataclasses
import io
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Result:
    """One row with one seed.

    Attributes:
        row: name of the row.
        seed: seed of its search and its training.
        accuracy: share of the test images that the pruned and stripped network gets right.
        params_nonzero: parameters that are not zero, after pruning.
        search_seconds: time of all epochs of the search.
        train_seconds: time of all epochs of the training.
        parameter_free: share of the found operations that learn nothing.
        genotype: SHA-256 of the genotype's file.
    """

    row: str
    seed: int
    accuracy: float
    params_nonzero: int
    search_seconds: float
    train_seconds: float
    parameter_free: float
    genotype: str


@dataclass(frozen=True)
class Summary:
    """One row over its seeds; None where the seeds are too few.

    Attributes:
        row: name of the row.
        n: number of seeds.
        accuracy: mean.
        deviation: sample standard deviation of the accuracy.
        best: highest accuracy.
        params_nonzero: mean.
        search_minutes: mean.
        train_minutes: mean.
        parameter_free: mean share of the found operations that learn nothing.
        genotypes: number of different genotypes.
        pairs: seeds that this row shares with the first row; 0 for the first row itself.
        difference: mean over these of the row's accuracy minus the first row's.
        p: of a two-sided paired t-test that the difference is 0; None also where all differences are equal.
    """

    row: str
    n: int
    accuracy: float
    deviation: float | None
    best: float
    params_nonzero: float
    search_minutes: float
    train_minutes: float
    parameter_free: float
    genotypes: int
    pairs: int
    difference: float | None
    p: float | None


def summarize(results: Sequence[Result]) -> list[Summary]:
    """One summary a row, in the order in which the rows first appear."""
    rows: dict[str, list[Result]] = {}
    for result in results:
        rows.setdefault(result.row, []).append(result)
    summaries = []
    reference: dict[int, float] = {}
    for row, of_row in rows.items():
        accuracies = {result.seed: result.accuracy for result in of_row}
        values = np.array(list(accuracies.values()))
        pairs = [(accuracy, reference[seed]) for seed, accuracy in accuracies.items() if seed in reference]
        differences = np.array([mine - other for mine, other in pairs])
        summaries.append(
            Summary(
                row=row,
                n=len(of_row),
                accuracy=float(values.mean()),
                deviation=float(values.std(ddof=1)) if len(values) > 1 else None,
                best=float(values.max()),
                params_nonzero=float(np.mean([result.params_nonzero for result in of_row])),
                search_minutes=float(np.mean([result.search_seconds for result in of_row])) / 60,
                train_minutes=float(np.mean([result.train_seconds for result in of_row])) / 60,
                parameter_free=float(np.mean([result.parameter_free for result in of_row])),
                genotypes=len({result.genotype for result in of_row}),
                pairs=len(pairs),
                difference=float(differences.mean()) if len(pairs) > 1 else None,
                p=paired_p_value(pairs),
            )
        )
        reference = reference or accuracies
    return summaries


def paired_p_value(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The p of a two-sided paired t-test; None with less than two pairs, or where all differences are equal."""
    if len(pairs) < 2 or np.ptp([mine - other for mine, other in pairs]) < 1e-12:  # No spread to hold a mean against.
        return None
    mine, others = zip(*pairs, strict=True)
    return float(stats.ttest_rel(mine, others).pvalue)


def to_csv(results: Sequence[Result]) -> str:
    """The text of a CSV file with one line a row and seed, floats in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(Result))
    writer.writerows(dataclasses.astuple(result) for result in results)
    return text.getvalue()


def from_csv(text: str) -> list[Result]:
    """What `to_csv` wrote, bit for bit."""
    kinds = {field.name: field.type for field in dataclasses.fields(Result)}
    lines = csv.DictReader(io.StringIO(text))
    return [Result(**{name: kinds[name](value) for name, value in line.items()}) for line in lines]  # type: ignore


def to_text(summaries: Sequence[Summary]) -> str:
    """The table for a terminal of 80 columns, in two blocks below each other, with what the titles mean."""
    blocks = []
    for columns in _BLOCKS:
        lines = [" " * _NAME + "".join(f"{column.title:>{column.width}}" for column in columns)]
        for summary in summaries:
            cells = "".join(f"{column.cell(summary):>{column.width}}" for column in columns)
            lines.append(f"{summary.row:<{_NAME}}{cells}")
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, textwrap.fill(_legend(summaries), 80)])


def to_markdown(summaries: Sequence[Summary]) -> str:
    """The text of a Markdown file with the table, and what its titles mean."""
    columns = [column for block in _BLOCKS for column in block]
    lines = ["| | " + " | ".join(column.title for column in columns) + " |", "|---|" + "---:|" * len(columns)]
    for summary in summaries:
        lines.append(f"| {summary.row} | " + " | ".join(column.cell(summary) for column in columns) + " |")
    return "\n".join([*lines, "", _legend(summaries)]) + "\n"


def _legend(summaries: Sequence[Summary]) -> str:
    return (
        "accuracy: of the pruned and stripped network on the test images, mean ± sample standard deviation over n "
        "seeds. non-zero: parameters that are left, mean. min: minutes of all epochs, mean. no weights: share of the "
        "found operations that learn nothing, mean. genotypes: different ones among the seeds. points: mean accuracy "
        f"less that of {summaries[0].row}, over the pairs of equal seeds. p: of a two-sided paired t-test that this "
        "is 0, not corrected for the number of rows."
    )


@dataclass(frozen=True)
class _Column:
    title: str
    width: int
    cell: Callable[[Summary], str]


def _accuracy(summary: Summary) -> str:
    spread = "-" if summary.deviation is None else f"{100 * summary.deviation:.2f}"
    return f"{100 * summary.accuracy:.2f} ± {spread}"


def _p_cell(summary: Summary) -> str:
    if summary.p is None:
        return "-"
    return f"{summary.p:.3f}" if summary.p >= 0.001 else "<0.001"


_NAME = 20  # Width of a row's name; with it a block has 80 columns at most.
_BLOCKS = (
    (
        _Column("n", 4, lambda summary: str(summary.n)),
        _Column("accuracy, %", 15, _accuracy),
        _Column("best, %", 9, lambda summary: f"{100 * summary.best:.2f}"),
        _Column("non-zero", 11, lambda summary: f"{summary.params_nonzero:,.0f}"),
        _Column("search min", 11, lambda summary: f"{summary.search_minutes:.1f}"),
        _Column("train min", 10, lambda summary: f"{summary.train_minutes:.1f}"),
    ),
    (
        _Column("no weights", 14, lambda summary: f"{summary.parameter_free:.0%}"),
        _Column("genotypes", 12, lambda summary: str(summary.genotypes)),
        _Column("pairs", 8, lambda summary: str(summary.pairs or "-")),
        _Column(
            "points", 10, lambda summary: "-" if summary.difference is None else f"{100 * summary.difference:+.2f}"
        ),
        _Column("p", 10, _p_cell),
    ),
)
