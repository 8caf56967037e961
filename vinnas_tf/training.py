"""What both training loops share."""

import math
from collections.abc import Mapping

from vinnas_tf.errors import DivergenceError


def ramp(epoch: int, start: int, end: int) -> float:
    """0 up to epoch `start`, 1 from epoch `end` on, linear in between; a step where the two are equal."""
    return float(epoch >= start) if start == end else min(1.0, max(0.0, (epoch - start) / (end - start)))


def require_finite(logs: Mapping[str, float], epoch: int, remedy: str, kept: bool = True) -> None:
    """Raises DivergenceError where a figure of `epoch`, from 0, is not finite.

    Args:
        logs: the figures.
        epoch: which one, from 0.
        remedy: what to do, a sentence.
        kept: whether there is a checkpoint of the epoch before.
    """
    if not all(math.isfinite(value) for value in logs.values()):
        state = f"; the state after epoch {epoch} is kept" if kept else ""
        raise DivergenceError(f"the loss is not finite in epoch {epoch + 1}{state}. {remedy}")
