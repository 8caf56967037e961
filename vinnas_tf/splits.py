"""Seeded draws that keep the share of every class."""

import numpy as np


def stratified_split(labels: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws `size` of the examples at random, each class in proportion to its count, and leaves the rest.

    A class of c among n examples gives size * c / n of them, rounded down or up so that the counts add up (largest
    remainders first, ties at random). scikit-learn's `train_test_split(stratify=...)` isn't used because it refuses
    a part that is smaller than the number of classes, such as the rest of --data_fraction=0.999.

    Args:
        labels: [n] class of each example.
        size: how many examples to draw, 0 to n.
        seed: the same labels, size and seed give the same split.

    Returns:
        Indices of the drawn examples, [size], and of the rest, [n - size], each in ascending order.
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    shares = size * counts / len(labels)
    quotas = np.floor(shares).astype(int)
    by_remainder = np.lexsort((rng.permutation(len(classes)), quotas - shares))
    quotas[by_remainder[: size - quotas.sum()]] += 1
    drawn = np.zeros(len(labels), bool)
    for label, quota in zip(classes, quotas, strict=True):
        drawn[rng.permutation(np.flatnonzero(labels == label))[:quota]] = True
    return np.flatnonzero(drawn), np.flatnonzero(~drawn)
