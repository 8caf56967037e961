"""How alike BayesNAS's gammas and the sizes of its switches rank the operations of a cell.

    python -m benchmarks.switch_ranks runs/a runs/b

Reads posterior.json of each run folder with a finished search by method=bayesnas. gamma is
the variance that an operation went or stayed by, and the size is the root mean square over
the cells of what it was multiplied by. Spearman's correlation of both is 1 where choosing
by magnitude would order them as the evidence does (Zhou et al. 2019, figure 1).
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from scipy.stats import spearmanr

from benchmarks.command import make_parser, path_option
from vinnas_tf.architecture.found import Found
from vinnas_tf.errors import ArchitectureError, UserError, require
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.run.tables import markdown_table


def rank_correlations(found: Found) -> Mapping[str, float]:
    """Spearman's correlation of gamma and the size of the switches over the operations of each cell group.

    Raises:
        ArchitectureError: it is not what bayesnas found.
    """
    gamma, strength = found.of("gamma"), found.of("strength")
    require(bool(gamma and strength), "no gammas and switches of method=bayesnas in it.", ArchitectureError)
    return {group: float(spearmanr(gamma[group].ravel(), strength[group].ravel())[0]) for group in gamma}


def table(folders: list[Path]) -> str:
    """A line a run folder and cell group, in Markdown.

    Raises:
        UserError: a folder has no finished search by bayesnas.
    """
    lines = []
    for folder in folders:
        path = finished_file(folder, "search", "posterior.json")
        found = Found.load(path)
        try:
            correlations = rank_correlations(found)
        except ArchitectureError as error:
            raise ArchitectureError(f"{path}: {error}") from None
        for group, correlation in correlations.items():
            kept = found.of("mask")[group] > 0
            lines.append([str(folder), group, f"{kept.sum()} of {kept.size}", f"{correlation:+.2f}"])
    return markdown_table(("run", "cells", "kept", "rank correlation"), lines)


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser: argparse.ArgumentParser = make_parser("benchmarks.switch_ranks", __doc__)
    parser.usage = "%(prog)s RUN_DIR ..."
    parser.add_argument("run_dirs", type=path_option, nargs="+", metavar="RUN_DIR", help="with a finished search")
    arguments = parser.parse_args(argv)
    try:
        print(table(arguments.run_dirs))
    except UserError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
