"""Draws among images by what they are called, so that no image's part depends on which others there are."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

# Draws for different ends do not depend on each other, so that one part of a set is no special choice of another.
Purpose = Literal["test", "fraction", "held out", "alpha half", "weight half"]

LEAST_PER_CLASS = 5  # The fewest of which a fifth is a whole image.
_TEST_SHARE = 0.2
_TEST_SEED = 0  # Not the run's: the test images of a set are the same for every run.


def uniform(names: Sequence[str] | np.ndarray, seed: int, purpose: Purpose) -> np.ndarray:
    """A number in [0, 1) for each name, float64 [n]: a hash of name, seed and purpose, and of nothing else."""
    draw = hashlib.blake2b(digest_size=8, salt=seed.to_bytes(8, "big"), person=purpose.encode())
    numbers = []
    for name in names:
        of_name = draw.copy()
        of_name.update(name.encode("utf-8", "surrogateescape"))
        numbers.append(int.from_bytes(of_name.digest(), "big") >> 11)
    return np.array(numbers, np.float64) / 2**53


def draw_share(
    labels: np.ndarray, names: Sequence[str] | np.ndarray, share: float, seed: int, purpose: Purpose
) -> np.ndarray:
    """Draws each image with probability `share`, whatever else there is: new images move no other one.

    So each class gives its share but for chance. A class that chance would leave without any gives its likeliest
    image, as long as it has five.

    Args:
        labels: [n] class of each image.
        names: [n] what each image is called.
        share: in [0, 1).
        seed: of the draw, not negative.
        purpose: what the draw is for.

    Returns:
        bool [n].
    """
    draws = uniform(names, seed, purpose)
    drawn = draws < share
    if share > 0:
        for label in np.unique(labels):
            of_class = np.flatnonzero(labels == label)
            if len(of_class) >= LEAST_PER_CLASS and not drawn[of_class].any():
                drawn[of_class[draws[of_class].argmin()]] = True
    return drawn


def stratified_split(
    labels: np.ndarray, names: Sequence[str] | np.ndarray, size: int, seed: int, purpose: Purpose
) -> tuple[np.ndarray, np.ndarray]:
    """Draws exactly `size` of the images, each class in proportion to its count, and leaves the rest.

    A class of c among n images gives size * c / n of them, rounded down or up so that the counts add up (largest
    remainders first, ties at random), and those with the smallest numbers of `uniform`. scikit-learn's
    `train_test_split(stratify=...)` isn't used because it draws by position.

    Args:
        labels: [n] class of each image.
        names: [n] what each image is called.
        size: how many images to draw, 0 to n.
        seed: of the draw, not negative.
        purpose: what the draw is for.

    Returns:
        Indices of the drawn images, [size], and of the rest, [n - size], each in ascending order.
    """
    draws = uniform(names, seed, purpose)
    classes, counts = np.unique(labels, return_counts=True)
    shares = size * counts / len(labels)
    quotas = np.floor(shares).astype(int)
    by_remainder = np.lexsort((uniform([f"class {label}" for label in classes], seed, purpose), quotas - shares))
    quotas[by_remainder[: size - quotas.sum()]] += 1
    drawn = np.zeros(len(labels), bool)
    for label, quota in zip(classes, quotas, strict=True):
        of_class = np.flatnonzero(labels == label)
        drawn[of_class[np.argsort(draws[of_class], kind="stable")[:quota]]] = True
    return np.flatnonzero(drawn), np.flatnonzero(~drawn)


def split_test(labels: np.ndarray, names: Sequence[str] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The test part of a set that never grows and has none of its own: a fifth of each class.

    Returns:
        Indices of the test images and of the training images, in ascending order.
    """
    return stratified_split(labels, names, round(_TEST_SHARE * len(labels)), _TEST_SEED, "test")


def draw_test(labels: np.ndarray, names: Sequence[str] | np.ndarray, digests: np.ndarray) -> np.ndarray:
    """The test part of a folder without one, bool [n]: each picture by its name, so that more pictures move none.

    Where all of a class's are copies of training images, its likeliest picture is one, with all copies of it.

    Args:
        labels: [n] class of each picture.
        names: [n] what each picture is called.
        digests: [n] `picture.digest` of each.
    """
    test = draw_share(labels, names, _TEST_SHARE, _TEST_SEED, "test")
    draws = uniform(names, _TEST_SEED, "test")
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        alone = test[of_class] & ~np.isin(digests[of_class], digests[~test])
        if not alone.any() and len(np.unique(digests[of_class])) > 1:
            test |= digests == digests[of_class[draws[of_class].argmin()]]
    return test
