"""Arguments as Keras's layers take them: what is wrong with one raises an error that is a ValueError, in one line."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from vinnas_tf.errors import require


def whole(value: Any, name: str) -> int:
    """A whole number of at least 1, such as a number of channels; raises SettingError for anything else."""
    require(_is_whole(value), f"{name} must be a whole number of at least 1, got {value!r}.")
    return int(value)


def pair(value: Any, name: str) -> tuple[int, int]:
    """Height and width out of one whole number for both, or of two; raises SettingError for anything else."""
    both = tuple(value) if isinstance(value, Iterable) else (value, value)
    right = len(both) == 2 and all(map(_is_whole, both))
    require(right, f"{name} must be a whole number of at least 1, or two of them, got {value!r}.")
    return int(both[0]), int(both[1])


def one_of(value: Any, name: str, choices: Iterable[str]) -> str:
    """One of `choices`; raises SettingError for anything else."""
    names = tuple(choices)
    require(value in names, f"{name} must be {' or '.join(names)}, got {value!r}.")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 1)
