"""What both training loops share."""

import math
from collections.abc import Mapping

from vinnas_tf.errors import DivergenceError


def ramp(epoch: int, start: int, end: int) -> float:
    """0 up to epoch `start`, 1 from epoch `end` on, linear in between; a step where the two are equal."""
    return float(epoch >= start) if start == end else min(1.0, max(0.0, (epoch - start) / (end - start)))


def require_finite(logs: Mapping[str, float], epoch: int, remedy: str) -> None:
    """Raises DivergenceError with the `remedy` where a figure of `epoch`, from 0, is not finite."""
    if not all(math.isfinite(value) for value in logs.values()):
        raise DivergenceError(
            f"the loss is not finite in epoch {epoch + 1}; the state after epoch {epoch} is kept. {remedy}"
        )
