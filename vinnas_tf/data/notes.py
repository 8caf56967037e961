"""What a person should know about the images before hours are spent on them, one line each."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from vinnas_tf.data.picture_index import Facts

_LISTED = 12  # Classes that are all named; of more, only the extremes.
_EXTREMES = 3


def counts(class_names: Sequence[str], labels: np.ndarray) -> str:
    """How many images each class has: `cat=80, dog=92`; of many classes the fewest and the most."""
    numbers = np.bincount(labels, minlength=len(class_names))
    if len(class_names) <= _LISTED:
        return ", ".join(f"{name}={number:,}" for name, number in zip(class_names, numbers, strict=True))
    order = np.argsort(numbers, kind="stable")
    fewest, most = (
        ", ".join(f"{class_names[i]}={numbers[i]:,}" for i in of)
        for of in (order[:_EXTREMES].tolist(), order[-1:].tolist())
    )
    return f"{numbers.mean():,.0f} of each class on average; fewest: {fewest}; most: {most}"


def skewed(class_names: Sequence[str], labels: np.ndarray) -> list[str]:
    """A line where one class has three times the images of another, or more."""
    numbers = np.bincount(labels, minlength=len(class_names))
    if numbers.min() * 3 > numbers.max():
        return []
    least, most = int(numbers.argmin()), int(numbers.argmax())
    return [
        f"{class_names[least]} has {numbers.min():,} images and {class_names[most]} "
        f"{numbers.max():,}: train with class_weights=balanced if both matter alike."
    ]


def streamed(shape: Sequence[int]) -> list[str]:
    """A line about images of this shape, [n, h, w, c], that stay in their files."""
    return [f"{math.prod(shape) / 2**30:.1f} GiB of pixels: read from files as they are needed."]


def left_out(kinds: Mapping[str, int]) -> list[str]:
    """A line about files that are no pictures."""
    if not kinds:
        return []
    listed = ", ".join(f"{number:,} {kind}" for kind, number in Counter(kinds).most_common())
    return [f"Left out, as no pictures that can be read: {listed}."]


def depths(facts: Sequence[Facts], white: float) -> list[str]:
    """Lines about pictures with more than 8 bits a channel."""
    deep = [one.highest for one in facts if one.highest and not one.colour_levels]
    if not deep:
        return []
    return [
        f"{len(deep):,} pictures have more than 8 bits a channel, levels up to {max(deep):,}: {white:,.0f} is shown as "
        "white."
    ]


def grounds(facts: Sequence[Facts], labels: np.ndarray, class_names: Sequence[str], ground: str) -> list[str]:
    """Lines about transparent pictures, and a warning of classes that mostly show one colour."""
    lines = []
    if transparent := sum(one.transparent for one in facts):
        lines.append(f"Transparent parts of {transparent:,} pictures are laid on {ground}.")
    for label, name in enumerate(class_names):
        of_class = [facts[index] for index in np.flatnonzero(labels == label).tolist()]
        flat = [one for one in of_class if ground in one.flat_on]
        if 2 * len(flat) > len(of_class):
            remedy = ": give them a ground of their own" if any(one.transparent for one in flat) else ""
            lines.append(
                f"warning: {len(flat):,} of {len(of_class):,} pictures of {name} show one colour only{remedy}."
            )
    return lines


def frames(facts: Sequence[Facts]) -> list[str]:
    """A line about animations."""
    animated = sum(one.animated for one in facts)
    return [f"Of {animated:,} animations the first frame is taken."] if animated else []


def copies(left: Mapping[str, int], digests: np.ndarray, labels: np.ndarray) -> list[str]:
    """Lines about equal pictures: of those that a part shares with the training images, and of two classes.

    Args:
        left: how many images each part leaves out, because they are training images too.
        digests: of the training images.
        labels: of them.
    """
    lines = [
        f"{number:,} {part} images are training images too, pixel for pixel: they are left out of the {part} part."
        for part, number in left.items()
        if number
    ]
    several = len({*zip(digests.tolist(), labels.tolist(), strict=True)}) - len({*digests.tolist()})
    if several:
        lines.append(f"warning: {several:,} pictures lie in more than one class.")
    return lines
