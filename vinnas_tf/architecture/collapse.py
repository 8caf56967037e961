"""How decided a search is: the entropy of its mixing weights, what leads on the edges, and signs of a collapse."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.primitives import PRIMITIVES

COLLAPSE_CHANCE = 1e-3
UNDECIDED_SHARE = 0.75

_POOLS = tuple(name for name, primitive in PRIMITIVES.items() if primitive.pool)


def mixing_entropy(weights: Mapping[str, np.ndarray]) -> float:
    """Shannon entropy in nats of an edge's mixing weights, mean over the edges of all cells; ln K is undecided.

    Args:
        weights: by cell group, [edges, K], each row a distribution.
    """
    tiny = np.finfo(np.float64).tiny
    rows = np.concatenate([*weights.values()]).astype(np.float64)
    return float(-(rows * np.log(np.maximum(rows, tiny))).sum(axis=-1).mean())


def choice_shares(preference: Mapping[str, np.ndarray], primitives: Sequence[str]) -> dict[str, float]:
    """Shares of skip, of the two pools and of zero among the primitives that lead on the edges of all cells.

    Args:
        preference: by cell group, [edges, K]; the largest of a row leads its edge.
        primitives: names of the K primitives.
    """
    leaders = np.concatenate([*_leaders(preference, primitives).values()])
    families = {"skip": ("skip",), "pool": _POOLS, "zero": ("zero",)}
    return {name: float(np.isin(leaders, members).mean()) for name, members in families.items()}


def _leaders(preference: Mapping[str, np.ndarray], primitives: Sequence[str]) -> dict[str, np.ndarray]:
    """The name of each edge's leading primitive."""
    names = np.array(primitives)
    return {group: names[values.argmax(axis=-1)] for group, values in preference.items()}


def collapse_warning(preference: Mapping[str, np.ndarray], primitives: Sequence[str], genotype: Genotype) -> str | None:
    """One line where the choices have collapsed, else None.

    They have where one primitive leads on more than half of a cell's edges and on so many that, if all primitives
    were equally likely, the chance of it would be below `COLLAPSE_CHANCE`. (Half alone is no sign in a small cell: some
    primitive leads on three of five edges once in twelve even by pure chance; there it takes all five.) They also have
    where only primitives without parameters lead, or are chosen, in the normal cell, or in the reduction cell of a
    skeleton without normal ones. (Beside a normal cell a reduction cell of pools and skips is no fault: the cells that
    DARTS published have one.)

    Args:
        preference: where the search stands, by cell group, [edges, K].
        primitives: names of the K primitives.
        genotype: what the search would choose from it.
    """
    count = len(primitives)
    leaders = _leaders(preference, primitives)
    for group, names in leaders.items():
        distinct, times = np.unique(names, return_counts=True)
        most, edges = int(times.max()), len(names)
        if most > edges / 2 and count * _binomial_tail(edges, 1 / count, most) < COLLAPSE_CHANCE:
            return (
                f"Collapse: {distinct[times.argmax()]} leads on {most} of {edges} edges of the {group} cell "
                "(over half, and more than chance explains); compare other seeds before you trust this search."
            )
    group = "normal" if "normal" in leaders else next(iter(leaders))
    leading = set(leaders[group].tolist())
    chosen = {edge.primitive for edge in genotype.cells[group]}
    for found, where in ((leading, "lead on the edges of"), (chosen, "are chosen in")):
        if all(PRIMITIVES[name].parameter_free for name in found):
            return (
                f"Collapse: only primitives without parameters ({', '.join(sorted(found))}) {where} "
                f"the {group} cell; compare other seeds before you trust this search."
            )
    return None


def undecided_warning(keep: Mapping[str, np.ndarray]) -> str | None:
    """One line where so many operations are likelier kept than not that hardly anything was decided, else None.

    Args:
        keep: probability of each operation to be kept, by cell group, [edges, K].
    """
    for group, probabilities in keep.items():
        kept = int((probabilities >= 0.5).sum())
        if kept > UNDECIDED_SHARE * probabilities.size:
            return (
                f"Undecided: {kept} of {probabilities.size} operations of the {group} cell are likelier kept than "
                f"not, {probabilities.sum():.0f} in the mean; search longer, or with a larger log_rate_rate."
            )
    return None


def _binomial_tail(trials: int, chance: float, least: int) -> float:
    """The probability of at least `least` successes."""
    return sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(least, trials + 1))
