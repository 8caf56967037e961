"""PGNAS beyond rows of a comparison: its settings, its candidates, and whether they rank as after fine-tuning.

    python -m benchmarks.channel_search --epochs=12 --seeds=1 --first_seed=100

Each search is python -m vinnas_tf.search with a preset: the preset as it is, with a tenth
and ten times its prior precision, at the temperature 2/3, and with candidates of one rate on
the weights of the first. Then more candidates are drawn from the first search, to see what
the best of few and of many is worth on images that chose it and on others; and some of
them are fine-tuned, each by itself. Every search has its folder in --run_dir; the same
command resumes. Figures go into results.csv, best_of-seedN.csv and ranking-seedN.csv as
they come, the tables into results.md. No test image chooses anything.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import argparse
import csv
import io
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.command import make_parser, notes, path_option, require_positive
from benchmarks.restored_search import RestoredSearch, restore
from benchmarks.searches import search_to_end
from vinnas_tf.config import DataConfig, SearchConfig
from vinnas_tf.console import counted
from vinnas_tf.errors import UserError
from vinnas_tf.flags import read_flags
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.methods import method_variants
from vinnas_tf.run.files import Value, read_metrics, write_atomically, write_metrics, writing
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.run.tables import markdown_table
from vinnas_tf.search.candidates import best_candidate, draw_candidate, judge_candidates

BASE, EQUAL = "pgnas", "equal rates"
FINE_TUNING = 4
Rows = list[dict[str, Value]]


def variants(preset: str) -> dict[str, list[str]]:
    """The searches by name: what each has beside the preset."""
    flags = [f"--preset={preset}", "--method=pgnas"]
    settings = read_flags(flags, DataConfig, SearchConfig, command="search", usage="", variants=method_variants())
    precision = settings.variant.prior_precision
    priors = {
        f"prior precision {value:g}": [f"--prior_precision={value:g}"] for value in (precision / 10, 10 * precision)
    }
    return {
        BASE: [],
        **priors,
        "temperature 2/3": ["--temperature=0.6666666666666666"],
        EQUAL: ["--candidate_rates=equal"],
    }


def search(name: str, more: Sequence[str], seed: int, arguments: argparse.Namespace, folder: Path) -> dict[str, Value]:
    """Does one search, or reads what it found: its figures."""
    flags = [f"--preset={arguments.preset}", "--method=pgnas", f"--epochs={arguments.epochs}", f"--seed={seed}", *more]
    path = folder / f"{name.replace(' ', '_').replace('/', '_')}-seed{seed}"
    search_to_end(flags, path, folder / f"{BASE}-seed{seed}" if name == EQUAL else None)
    figures = json.loads(finished_file(path, "search", "result.json").read_text(encoding="utf-8"))
    candidates = figures["candidates"]
    return {
        "seed": seed,
        "rate": candidates["equal_rate"],
        "weights_kept": figures["weights_nonzero"] / figures["weights_dense"],
        "parameters": figures["params_stored_nonzero"],
        "candidates_mean": candidates["accuracy_mean"],
        "candidates_std": candidates["accuracy_std"],
        "best": candidates["accuracy_best"],
        "test": figures["test"]["stripped"]["accuracy"],
    }


def best_of_many(found: RestoredSearch, many: int, folder: Path) -> Rows:
    """For growing numbers C, the best of the first C candidates on held-out images, and what it is worth on others.

    A C whose candidates are all cut in two is left out.
    """
    seed = found.method.config.seed
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    judged = judge_candidates(found.judge(), found.masked, found.drop, many, seed, folder, counted)
    fresh = found.test_judge()
    rows: Rows = []
    for count in dict.fromkeys(max(1, many * share // 1000) for share in (10, 30, 100, 300, 1000)):
        if not any(row["connected"] for row in judged[:count]):
            continue
        chosen = best_candidate(judged[:count])
        (accuracy,) = fresh.accuracies(draw_candidate(found.drop, seed, chosen)[None])
        rows.append({"candidates": count, "held_out": judged[chosen]["accuracy"], "test": float(accuracy)})
    return rows


def rank(found: RestoredSearch, count: int, path: Path) -> Rows:
    """Held-out accuracy of the first candidates, before each is fine-tuned by itself and after; goes on in the file."""
    rows: Rows = read_metrics(path)[:count]
    seed, judge = found.method.config.seed, found.judge()
    left = range(len(rows), count)
    for number in counted(f"Fine-tunes {count} candidates", left) if left else ():
        mask = draw_candidate(found.drop, seed, number)
        (before,) = judge.accuracies(mask[None])
        rows.append({"index": number, "before": float(before), "after": found.fine_tuned(mask)})
        write_metrics(path, rows)
    return rows


def report(searches: Mapping[str, Rows], best_of: Sequence[Rows], ranked: Sequence[Rows]) -> str:
    """The three tables, in Markdown."""

    def mean(rows: Sequence[Mapping[str, Value]], name: str) -> float:
        return float(np.mean([float(row[name] or 0) for row in rows]))

    found = [
        [
            name,
            str(len(rows)),
            f"{mean(rows, 'rate'):.3f}",
            f"{mean(rows, 'weights_kept'):.1%}",
            f"{mean(rows, 'parameters'):,.0f}",
            f"{mean(rows, 'candidates_mean'):.2%} ± {mean(rows, 'candidates_std'):.2%}",
            f"{mean(rows, 'best'):.2%}",
            f"{mean(rows, 'test'):.2%}",
        ]
        for name, rows in searches.items()
    ]
    of_count: dict[Value, Rows] = {}
    for row in itertools.chain(*best_of):
        of_count.setdefault(row["candidates"], []).append(row)
    growing = [
        [str(count), str(len(same)), f"{mean(same, 'held_out'):.2%}", f"{mean(same, 'test'):.2%}"]
        for count, same in of_count.items()
    ]
    correlations = [
        [
            str(len(rows)),
            f"{mean(rows, 'before'):.2%}",
            f"{mean(rows, 'after'):.2%}",
            *_correlation(rows),
        ]
        for rows in ranked
    ]
    header = ("search", "n", "rate", "weights kept", "parameters", "candidates", "best", "test")
    remarks = notes(
        "Means over n seeds. Rate: the one drop probability that keeps as many weights as those of the search. "
        "Parameters: not zero, in the stripped network of the best candidate. Candidates: held-out accuracy, mean and "
        "standard deviation among them. Best: of the one that is chosen, on the images that chose it. Test: of the "
        "same one, on test images.",
        "Best of C: the most accurate of the first C candidates on held-out images.",
        f"Ranking: candidates before and after {FINE_TUNING} epochs of fine-tuning, held-out accuracy; Spearman's rank "
        "correlation, and its two-sided p.",
    )
    return "\n\n".join(
        [
            markdown_table(header, found),
            markdown_table(("best of C", "n", "held out", "test"), growing),
            markdown_table(("ranked", "before", "after", "rank correlation", "p"), correlations),
            remarks,
        ]
    )


def _correlation(rows: Rows) -> tuple[str, str]:
    before, after = ([float(row[name] or 0) for row in rows] for name in ("before", "after"))
    if len(set(before)) < 2 or len(set(after)) < 2:
        return "-", "-"
    found = stats.spearmanr(before, after)
    return f"{found.statistic:.2f}", f"{found.pvalue:.3f}"


def to_csv(searches: Mapping[str, Rows]) -> str:
    """One line a search and seed, floats in full precision."""
    text = io.StringIO()
    rows = [{"search": name, **row} for name, of_name in searches.items() for row in of_name]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def run(arguments: argparse.Namespace) -> str:
    """Does what is left to do; returns the report."""
    folder = arguments.run_dir / f"{arguments.preset}-{arguments.epochs}_epochs"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    searches: dict[str, Rows] = {name: [] for name in variants(arguments.preset)}
    best_of, ranked = [], []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for name, more in variants(arguments.preset).items():
            figures = search(name, more, seed, arguments, folder)
            searches[name].append(figures)
            print(f"{name:<22}{seed:>5}{figures['best']:>9.2%} held out{figures['test']:>9.2%} test", flush=True)
            write_atomically(folder / "results.csv", to_csv(searches))
        found = restore(folder / f"{BASE}-seed{seed}", FINE_TUNING)
        best_of.append(best_of_many(found, arguments.candidates, folder / f"candidates-seed{seed}"))
        write_metrics(folder / f"best_of-seed{seed}.csv", best_of[-1])
        ranked.append(rank(found, arguments.ranked, folder / f"ranking-seed{seed}.csv"))
    text = report(searches, best_of, ranked)
    write_atomically(folder / "results.md", text + "\n")
    return text


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.channel_search", __doc__)
    add = parser.add_argument
    add("--preset", default="pgnas_small", help="of the searches (%(default)s)")
    add("--epochs", type=int, default=12, help="of each search (%(default)s)")
    add("--seeds", type=int, default=1, help="number of seeds (%(default)s)")
    add("--first_seed", type=int, default=100, help="0 to 4 are there to choose settings on (%(default)s)")
    add("--candidates", type=int, default=600, help="drawn to see what the best of many is worth (%(default)s)")
    add("--ranked", type=int, default=24, help="of them that are fine-tuned (%(default)s)")
    add("--run_dir", type=path_option, default=Path("runs/channel_search"), help="where all goes (%(default)s)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "epochs", "seeds", "candidates", "ranked")
    prepare_machine()
    try:
        print(run(arguments))
    except UserError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
