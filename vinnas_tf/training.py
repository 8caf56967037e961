"""What both training loops share."""

import math
from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from vinnas_tf.errors import DivergenceError

_DROWNS = 1e3  # Terms of healthy trainings stay below ten times the cross-entropy.


def ramp(epoch: int, start: int, end: int) -> float:
    """0 up to epoch `start`, 1 from epoch `end` on, linear in between; a step where the two are equal."""
    return float(epoch >= start) if start == end else min(1.0, max(0.0, (epoch - start) / (end - start)))


def require_finite(
    logs: Mapping[str, float], variables: Iterable[keras.Variable], epoch: int, remedy: str, kept: bool = True
) -> None:
    """Raises DivergenceError where a figure of an epoch, or what it left, is not finite.

    The last step of an epoch may break weights that no figure of that epoch saw.

    Args:
        logs: the figures.
        variables: the trained ones, after the epoch.
        epoch: which one, from 0.
        remedy: what to do, a sentence.
        kept: whether there is a checkpoint of the epoch before.
    """
    state = f"; the state after epoch {epoch} is kept" if kept else ""
    if not all(math.isfinite(value) for value in logs.values()):
        raise DivergenceError(f"the loss is not finite in epoch {epoch + 1}{state}. {remedy}")
    if not all(np.isfinite(variable).all() for variable in variables):
        raise DivergenceError(f"the weights are not finite after epoch {epoch + 1}{state}. {remedy}")


def suspects(rates: Sequence[str], weighted: Mapping[str, float], cross_entropy: float) -> str:
    """Names the settings that a loss which is not finite may come from, such as "learning_rate or gamma_weights".

    Args:
        rates: the settings of learning rates.
        weighted: the terms of the loss beside the cross-entropy, by the setting of their weight.
        cross_entropy: while it is finite, a term that drowns it is to blame alone.
    """
    healthy = math.isfinite(cross_entropy)
    largest = _DROWNS * max(1.0, cross_entropy) if healthy else _DROWNS
    drowning = [setting for setting, value in weighted.items() if not abs(value) < largest]
    *others, last = drowning if healthy and drowning else [*rates, *drowning]
    return f"{', '.join(others)} or {last}" if others else last
