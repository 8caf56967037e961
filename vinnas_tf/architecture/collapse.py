"""How decided a search is: the entropy of its mixing weights, what leads on the edges, and signs of a collapse."""

import math
from collections.abc import Mapping

import numpy as np

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.posterior import Posterior
from vinnas_tf.architecture.primitives import PRIMITIVES

COLLAPSE_CHANCE = 1e-3

_POOLS = tuple(name for name, primitive in PRIMITIVES.items() if primitive.pool)


def mixing_entropy(weights: Mapping[str, np.ndarray]) -> float:
    """Shannon entropy in nats of an edge's mixing weights, mean over the edges of all cell types; ln K is undecided.

    Args:
        weights: by cell type, [edges, K], each row a distribution.
    """
    tiny = np.finfo(np.float64).tiny
    rows = np.concatenate([*weights.values()]).astype(np.float64)
    return float(-(rows * np.log(np.maximum(rows, tiny))).sum(axis=-1).mean())


def choice_shares(posterior: Posterior) -> dict[str, float]:
    """Shares of skip, of the two pools and of zero among the primitives that lead on the edges of all cell types."""
    leaders = np.concatenate([*_leaders(posterior).values()])
    families = {"skip": ("skip",), "pool": _POOLS, "zero": ("zero",)}
    return {name: float(np.isin(leaders, members).mean()) for name, members in families.items()}


def _leaders(posterior: Posterior) -> dict[str, np.ndarray]:
    """The name of each edge's leading primitive: that with the largest mean.

    It leads the mixing weights too, except where it is zero and a method limits that.
    """
    names = np.array(posterior.primitives)
    return {cell_type: names[mean.argmax(axis=-1)] for cell_type, mean in posterior.mean.items()}


def collapse_warning(posterior: Posterior, genotype: Genotype) -> str | None:
    """One line where the choices have collapsed, else None.

    They have where one primitive leads on more than half of a cell's edges and on so many that, if all primitives
    were equally likely, the chance of it would be below `COLLAPSE_CHANCE`. (Half alone is no sign in a small cell: some
    primitive leads on three of five edges once in twelve even by pure chance; there it takes all five.) They also have
    where only primitives without parameters lead, or are chosen, in the normal cell, or in the reduction cell of a
    skeleton without normal ones. (Beside a normal cell a reduction cell of pools and skips is no fault: the cells that
    DARTS published have one.)

    Args:
        posterior: where the search stands.
        genotype: what the search would choose from it.
    """
    count = len(posterior.primitives)
    leaders = _leaders(posterior)
    for cell_type, names in leaders.items():
        distinct, times = np.unique(names, return_counts=True)
        most, edges = int(times.max()), len(names)
        if most > edges / 2 and count * _binomial_tail(edges, 1 / count, most) < COLLAPSE_CHANCE:
            return (
                f"Collapse: {distinct[times.argmax()]} leads on {most} of {edges} edges of the {cell_type} cell "
                "(over half, and more than chance explains); compare other seeds before you trust this search."
            )
    cell_type = "normal" if "normal" in leaders else "reduction"
    leading = set(leaders[cell_type].tolist())
    chosen = {edge.primitive for edge in genotype.cells[cell_type]}
    for found, where in ((leading, "lead on the edges of"), (chosen, "are chosen in")):
        if all(PRIMITIVES[name].parameter_free for name in found):
            return (
                f"Collapse: only primitives without parameters ({', '.join(sorted(found))}) {where} "
                f"the {cell_type} cell; compare other seeds before you trust this search."
            )
    return None


def _binomial_tail(trials: int, chance: float, least: int) -> float:
    """The probability of at least `least` successes."""
    return sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(least, trials + 1))
