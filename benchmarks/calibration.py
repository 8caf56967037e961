"""Whether choice probabilities of a search mean what they say, over seeds, and what it takes that they do.

    python -m benchmarks.calibration --fit='runs/dev/vinnas_joint-seed*' --test='runs/fresh/vinnas_joint-seed*'

A search gives each operation of each edge a probability of being chosen. Searches with
other seeds are the test: of the choices that were given 0.9, nine in ten should recur
there. A posterior knows how unsure its search was of alpha, and not how another seed would
have ended. So its standard deviations are multiplied by one number, chosen on the searches
of --fit (least mean squared error of the probabilities) and judged on those of --test.
Prints the table before and after; --output=FILE.png draws both.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import dataclasses
import glob
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.command import make_parser, path_option
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior, Score, choice_probabilities
from vinnas_tf.config import SearchConfig, restored
from vinnas_tf.errors import UserError, require
from vinnas_tf.methods import make_method, method_class
from vinnas_tf.plots.style import DPI, INK, png
from vinnas_tf.run.files import write_atomically
from vinnas_tf.run.folder import stage_record
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.run.tables import markdown_table

BINS = np.linspace(0, 1, 11)
FACTORS = tuple(float(2**power) for power in np.arange(-4, 10.5, 0.5))  # of the standard deviations; all are tried


@dataclass(frozen=True)
class Search:
    """A finished search: shared settings, the method's own, posterior, score of a draw, and choices, [edges, K]."""

    config: SearchConfig
    own: Any
    posterior: Posterior
    score: Score
    chosen: np.ndarray


@dataclass(frozen=True)
class Reliability:
    """Probabilities in BINS against what came.

    Attributes:
        error: mean squared difference of probability and outcome (Brier score).
        gap: expected calibration error, the mean distance between probability and recurrence weighted by counts.
        predicted: mean probability of each bin; NaN for an empty one.
        recurred: share that recurred.
        counts: pairs of a choice and another seed.
    """

    error: float
    gap: float
    predicted: np.ndarray
    recurred: np.ndarray
    counts: np.ndarray


def load(pattern: str) -> list[Search]:
    """The finished searches in the run folders that a pattern names; raises UserError for fewer than two."""
    folders = sorted(glob.glob(pattern))
    folders = [folder for folder in folders if Path(folder).is_dir()]
    require(len(folders) >= 2, f"{pattern} names {len(folders)} run folders: two searches or more are needed.")
    searches = []
    for folder in folders:
        settings = stage_record(folder, "search")["settings"]
        config = restored(SearchConfig, settings)
        own: Any = restored(method_class(config.method).Settings, settings)
        posterior = Posterior.load(finished_file(folder, "search", "posterior.json"))
        genotype = Genotype.load(finished_file(folder, "search", "genotype.json"))
        chosen = {group: np.zeros(mean.shape, bool) for group, mean in posterior.mean.items()}
        for group, edges in genotype.cells.items():
            for edge in edges:
                row = posterior.edges.index((edge.source, edge.target))
                chosen[group][row, posterior.primitives.index(edge.primitive)] = True
        searches.append(
            Search(config, own, posterior, make_method(config, own).score, np.concatenate([*chosen.values()]))
        )
    for search in searches:
        seedless = dataclasses.replace(search.config, seed=searches[0].config.seed)
        alike = (seedless, search.own) == (searches[0].config, searches[0].own)
        require(alike, f"{pattern} names searches that differ in more than their seeds: compare only equal ones.")
        deviations = [search.posterior.variance(group) for group in search.posterior.mean]
        uncertain = all((variance > 0).all() for variance in deviations)
        require(
            uncertain,
            f"{pattern} names searches with deterministic alphas, whose spread of 0 can't be calibrated.",
        )
    return searches


def probabilities(search: Search, factor: float) -> np.ndarray:
    """Choice probabilities of all cells, [edges, K], with `factor` times the posterior's standard deviations."""
    log_variance = {name: value + 2 * np.log(factor) for name, value in search.posterior.log_variance.items()}
    wide = dataclasses.replace(search.posterior, log_variance=log_variance)
    return np.concatenate([*choice_probabilities(wide, search.score).values()])


def reliability(searches: Sequence[Search], factor: float) -> Reliability:
    """Probabilities of each search against the choices of every other; zero, which is never chosen, is left out."""
    candidates = np.array(searches[0].posterior.primitives) != "zero"
    given = [probabilities(search, factor)[:, candidates].ravel() for search in searches]
    made = [search.chosen[:, candidates].ravel() for search in searches]
    pairs = list(itertools.permutations(range(len(searches)), 2))
    p = np.concatenate([given[one] for one, _ in pairs])
    y = np.concatenate([made[other] for _, other in pairs]).astype(float)
    bins = np.clip(np.digitize(p, BINS[1:-1], right=True), 0, len(BINS) - 2)
    counts = np.bincount(bins, minlength=len(BINS) - 1)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(bins, weights=p, minlength=len(counts)) / counts
        recurred = np.bincount(bins, weights=y, minlength=len(counts)) / counts
    gap = np.nansum(counts * np.abs(predicted - recurred)) / counts.sum()
    return Reliability(float(np.mean((p - y) ** 2)), float(gap), predicted, recurred, counts)


def best_factor(searches: Sequence[Search]) -> float:
    """The one of FACTORS with the least squared error."""
    return min(FACTORS, key=lambda factor: reliability(searches, factor).error)


def table(reliabilities: dict[str, Reliability]) -> str:
    """One line a bin, in Markdown; then the errors."""
    header = ["probability"] + [f"{name}: {what}" for name in reliabilities for what in ("mean", "recurred", "pairs")]
    rows = []
    for index, (low, high) in enumerate(itertools.pairwise(BINS)):
        row = [f"{low:.1f}–{high:.1f}"]
        for one in reliabilities.values():
            empty = one.counts[index] == 0
            shares = ("–", "–") if empty else (f"{one.predicted[index]:.2f}", f"{one.recurred[index]:.2f}")
            row += [*shares, str(one.counts[index])]
        rows.append(row)
    errors = [
        f"{name}: calibration error {one.gap:.3f}, mean squared error {one.error:.4f}."
        for name, one in reliabilities.items()
    ]
    return "\n".join([markdown_table(header, rows), "", *errors])


def draw(reliabilities: dict[str, Reliability], path: Path) -> None:
    """The reliability diagrams side by side: how often a choice recurred against its probability, area by count."""
    figure = Figure(figsize=(4.2 * len(reliabilities), 4.9), dpi=DPI, facecolor="white", layout="constrained")
    axes: Any = figure.subplots(1, len(reliabilities), sharey=True, squeeze=False)[0]
    for panel, (name, one) in zip(axes, reliabilities.items(), strict=True):
        panel.plot([0, 1], [0, 1], color="#999999", linewidth=1, zorder=1)
        areas = 20 + 380 * one.counts / one.counts.max()
        panel.scatter(one.predicted, one.recurred, s=areas, color="#0072B2", alpha=0.75, zorder=2)
        for x, y, count in zip(one.predicted, one.recurred, one.counts, strict=True):
            if count:
                panel.annotate(
                    f"{count:,}", (x, y), xytext=(0, 11), textcoords="offset points", size=7, ha="center", color=INK
                )
        panel.set(xlim=(-0.08, 1.08), ylim=(-0.06, 1.1), aspect="equal", xlabel="probability of the choice")
        panel.set_title(f"{name}: calibration error {one.gap:.2f}", size=10, color=INK)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("share of other seeds that made it")
    write_atomically(path, png(figure))


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.calibration", __doc__)
    parser.add_argument(
        "--fit", required=True, help="run folders to choose on, a pattern such as 'runs/d/vinnas-seed*'"
    )
    parser.add_argument("--test", required=True, help="run folders of other seeds to judge by")
    parser.add_argument("--output", type=path_option, help="PNG file for the diagrams")
    arguments = parser.parse_args(argv)
    try:
        fit, test = load(arguments.fit), load(arguments.test)
        both = {search.config.seed for search in fit} & {search.config.seed for search in test}
        require(not both, f"--fit and --test both have seed {min(both, default=0)}: judge by seeds not chosen on.")
        factor = best_factor(fit)
        judged = {"as searched": reliability(test, 1.0), f"deviations × {factor:.2g}": reliability(test, factor)}
        if arguments.output:
            draw(judged, arguments.output)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"{len(fit)} searches to choose on, {len(test)} to judge by.\n\n{table(judged)}")


if __name__ == "__main__":
    main()
