"""Genotypes that what was searched in a PyramidNet's trees is held against.

    python -m benchmarks.trees --cells=NNRNRN --run_dir=runs/trees

Writes plain.json, in which a block has the grouped 3x3 convolution of a plain PyramidNet,
and full.json, with every operation on every edge of the trees. Each is trained by
python -m vinnas_tf.train --genotype=FILE --cells=NNRNRN, as what a search found is.
"""

import sys
from pathlib import Path

from benchmarks.command import make_parser, path_option
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.skeleton import searched_cells
from vinnas_tf.architecture.space import TREE_PYRAMID
from vinnas_tf.config import require_skeleton
from vinnas_tf.errors import UserError
from vinnas_tf.flags.define import spelt_as_flags

_STATES = 12


def plain_pyramid(cells: str) -> Genotype:
    """One root of each tree and nothing behind it: PyramidNet as published, but for the groups."""
    return _same_in_all(cells, (Edge(2, 0, "skip"), Edge(6, 2, "skip")))


def full_trees(cells: str) -> Genotype:
    """What a search chooses from."""
    edges = TREE_PYRAMID.edges(_STATES)
    return _same_in_all(
        cells, tuple(Edge(target, source, name) for source, target in edges for name in TREE_PYRAMID.primitives)
    )


def _same_in_all(cells: str, cell: tuple[Edge, ...]) -> Genotype:
    return Genotype(_STATES, dict.fromkeys(searched_cells(cells, TREE_PYRAMID), cell), TREE_PYRAMID.name)


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.trees", __doc__)
    parser.add_argument("--cells", default="NNRNRN", help="skeleton (%(default)s)")
    parser.add_argument("--run_dir", type=path_option, default=Path("runs/trees"), help="(%(default)s)")
    arguments = parser.parse_args(argv)
    try:
        require_skeleton(arguments.cells)
        arguments.run_dir.mkdir(parents=True, exist_ok=True)
        for name, genotype in (("plain", plain_pyramid(arguments.cells)), ("full", full_trees(arguments.cells))):
            genotype.save(arguments.run_dir / f"{name}.json")
            print(arguments.run_dir / f"{name}.json")
    except UserError as error:
        parser.exit(2, f"error: {spelt_as_flags(str(error))}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
