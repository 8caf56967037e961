"""The quality of searches in NAS-Bench-201, where the accuracy of every cell is published.

    python -m benchmarks.nasbench201 --methods=darts,vinnas,vinnas_joint --seeds=10 --first_seed=100

Each search is python -m vinnas_tf.search --preset=nasbench201, on real CIFAR-10 at 16
pixels. The cell that it finds is looked up in the published table: nothing here trains a
found cell. Rows are methods and ablations as in vinnas_tf.compare, and random-proxy: cells
drawn at random, each trained on its own in the same proxy, the best of those that fit into
the seconds of the first row's search with that seed. Every search has its folder in
--run_dir; the same command resumes, and adds rows or seeds. Results go into results.csv as
they come, the tables into results.md. Needs pip install '.[benchmark]'.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.command import make_parser, notes, path_option, require_positive
from benchmarks.nasbench201_table import Table, cell_code
from benchmarks.random_proxy import best_of_random
from benchmarks.searches import search_to_end
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.compare.rows import known_rows
from vinnas_tf.compare.statistics import format_p, hold_against_first
from vinnas_tf.errors import UserError
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.methods import METHODS
from vinnas_tf.run.files import write_atomically, writing
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.run.tables import csv_table, markdown_table
from vinnas_tf.search.record import search_seconds

RANDOM_PROXY = "random-proxy"
ALL_3X3, ALL_SKIP = "333333", "111111"
DRAWS = (1, 10, 100)


@dataclass(frozen=True)
class Found:
    """The cell of one row with one seed.

    Attributes:
        row: name of the row.
        seed: seed of its search.
        code: the cell's six digits in the table.
        seconds: of all epochs of the search.
    """

    row: str
    seed: int
    code: str
    seconds: float


def search(row: str, seed: int, epochs: int, folder: Path) -> Found:
    """Does one search, or goes on with it, or reads what it found."""
    path = folder / f"{row}-seed{seed}"
    spec = known_rows()[row]
    flags = ["--preset=nasbench201", f"--method={spec.method}", f"--seed={seed}", *spec.flags]
    if METHODS[spec.method].trains:
        flags.append(f"--epochs={epochs}")
    source = None
    if spec.epochs_of:
        search(spec.epochs_of, seed, epochs, folder)
        source = folder / f"{spec.epochs_of}-seed{seed}"
    search_to_end(flags, path, source)
    code = cell_code(Genotype.load(finished_file(path, "search", "genotype.json")))
    return Found(row, seed, code, search_seconds(path))


def per_seed(found: Sequence[Found], table: Table) -> str:
    """One line a row and seed, in Markdown."""
    header = ("row", "seed", "cell", "accuracy, %", "percentile", "rank", "skips", "minutes")
    lines = [
        [
            one.row,
            str(one.seed),
            one.code,
            f"{table.accuracies[one.code]:.2f}",
            f"{table.percentile(one.code):.1f}",
            str(table.rank(one.code)),
            str(one.code.count("1")),
            f"{one.seconds / 60:.1f}",
        ]
        for one in found
    ]
    return markdown_table(header, lines)


def summary(found: Sequence[Found], table: Table) -> str:
    """One line a row, then what to hold them against, in Markdown."""
    header = ("row", "n", "accuracy, %", "least", "percentile", "skips", "cells", "minutes", "difference", "p")
    rows: dict[str, list[Found]] = {}
    for one in found:
        rows.setdefault(one.row, []).append(one)
    accuracies = {row: {one.seed: table.accuracies[one.code] for one in of_row} for row, of_row in rows.items()}
    lines = []
    for row, statistics in hold_against_first(accuracies).items():
        of_row, difference = rows[row], statistics.difference
        lines.append(
            [
                row,
                str(statistics.n),
                f"{statistics.mean:.2f} ± {'-' if statistics.deviation is None else f'{statistics.deviation:.2f}'}",
                f"{min(accuracies[row].values()):.2f}",
                f"{np.mean([table.percentile(one.code) for one in of_row]):.1f}",
                f"{np.mean([one.code.count('1') for one in of_row]):.1f}",
                str(len({one.code for one in of_row})),
                f"{np.mean([one.seconds for one in of_row]) / 60:.1f}",
                "-" if difference is None else f"{difference:+.2f}",
                format_p(statistics.p),
            ]
        )
    known = {
        "all 3×3 convolutions": table.accuracies[ALL_3X3],
        "all skips": table.accuracies[ALL_SKIP],
        "best cell": max(table.accuracies.values()),
    }
    for cells, name in ((table, ""), (table.without_zero(), ", no zeros")):
        known[f"median cell{name}"] = float(np.median(list(cells.accuracies.values())))
        draws = {n: cells.expected_best(n) for n in DRAWS if n <= len(cells.accuracies)}
        known |= {f"oracle: best of {n} random draws{name}": best for n, best in draws.items()}
    lines += [[name, "", f"{value:.2f}", *[""] * (len(header) - 3)] for name, value in known.items()]
    return markdown_table(header, lines)


def report(found: Sequence[Found], epochs: int, table: Table) -> str:
    """Both tables, and what must be known to read them."""
    proxy = (
        f"{RANDOM_PROXY} has as many seconds as {found[0].row}'s search took; both are read off a clock, so other work "
        "on the machine shifts them."
    )
    remarks = notes(
        f"{epochs} epochs of search. Accuracy: validation accuracy on CIFAR-10 of the found cell after the table's 200 "
        "epochs of training, mean of three trainings, looked up. ±: sample standard deviation over seeds. Percentile: "
        "share of the 15,625 cells that are worse. Skips: of six edges. Cells: different ones among the seeds.",
        f"Difference: mean over equal seeds of a row's accuracy less {found[0].row}'s; p: two-sided paired t-test that "
        "it is 0, not corrected for the number of rows.",
        "The oracle knows the accuracy of each draw: it is the expectation over the table, not a search. No row can "
        "find a cell with zeros, edges without an operation; without those 4,096 of the 15,625 cells are left.",
        *([proxy] if any(one.row == RANDOM_PROXY for one in found) else []),
    )
    return "\n\n".join([summary(found, table), remarks, per_seed(found, table)]) + "\n"


def to_csv(found: Sequence[Found], table: Table) -> str:
    """One line a row and seed, floats in full precision."""
    header = [*(field.name for field in dataclasses.fields(Found)), "accuracy", "rank"]
    return csv_table(
        header, ([*dataclasses.astuple(one), table.accuracies[one.code], table.rank(one.code)] for one in found)
    )


def run(arguments: argparse.Namespace) -> str:
    """Does what is left to do; returns the report."""
    table = Table.load()
    folder = arguments.run_dir / f"{arguments.epochs}_epochs"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    found: list[Found] = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for row in arguments.methods:
            if row == RANDOM_PROXY:
                budget = next(one.seconds for one in found if one.seed == seed)
                code, seconds = best_of_random(seed, budget, arguments.epochs, folder / f"{row}-seed{seed}.json")
                one = Found(row, seed, code, seconds)
            else:
                one = search(row, seed, arguments.epochs, folder)
            found.append(one)
            figures = f"{table.accuracies[one.code]:>8.2f} %  rank {table.rank(one.code):>5}"
            print(f"{row:<22}{seed:>5}  {one.code}{figures}{one.seconds / 60:>8.1f} min", flush=True)
            by_row = sorted(found, key=lambda one: arguments.methods.index(one.row))
            write_atomically(folder / "results.csv", to_csv(by_row, table))
    text = report(by_row, arguments.epochs, table)
    write_atomically(folder / "results.md", text)
    return text


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.nasbench201", __doc__)
    add = parser.add_argument
    add("--methods", type=lambda text: text.split(","), default="darts,vinnas,vinnas-magnitude,vinnas_joint,random",
        help="rows, separated by commas; the first is what the others are held against (%(default)s)")  # fmt: skip
    add("--seeds", type=int, default=5, help="number of seeds (%(default)s)")
    add("--first_seed", type=int, default=100, help="0 to 4 are there to choose settings on (%(default)s)")
    add("--epochs", type=int, default=12, help="of each search (%(default)s)")
    add(
        "--run_dir",
        type=path_option,
        default=Path("runs/nasbench201"),
        help="where searches and tables go (%(default)s)",
    )
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "seeds", "epochs")
    known = [*(name for name, row in known_rows().items() if not row.of_channels), RANDOM_PROXY]
    unknown = [row for row in arguments.methods if row not in known]
    if unknown:
        parser.error(f"--methods knows {', '.join(known)}; got {', '.join(unknown)}.")
    if len(set(arguments.methods)) < len(arguments.methods):
        parser.error(f"--methods names a row twice: {','.join(arguments.methods)}.")
    first = arguments.methods[0]
    if RANDOM_PROXY in arguments.methods and (first == RANDOM_PROXY or not METHODS[known_rows()[first].method].trains):
        parser.error(f"{RANDOM_PROXY} gets the seconds of the first row: name one first that searches.")
    prepare_machine()  # For the random proxy too, as every search has it.
    try:
        print(run(arguments))
    except UserError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
