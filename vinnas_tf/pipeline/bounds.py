"""Which pruning threshold the bounds of a run ask for, by held-out images and the bytes of real files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vinnas_tf.config import Bounds
from vinnas_tf.errors import SettingError
from vinnas_tf.network.pruning import ThresholdPoint

_ROUNDING = 1e-9  # Accuracies are quotients of whole numbers.


@dataclass(frozen=True)
class Choice:
    """A threshold of pruning.

    Attributes:
        threshold: in log lambda.
        reason: why this one, and which bound holds it back, in words.
        bytes: of the smallest TFLite file of the network; 0 where no bound asks for it.
    """

    threshold: float
    reason: str
    bytes: int = 0


def choose(points: Sequence[ThresholdPoint], bounds: Bounds, bytes_of: Callable[[ThresholdPoint], int]) -> Choice:
    """The smallest network within all bounds where one is of accuracy, else the most accurate one.

    Of equals it is the smaller or more accurate one, then that of the highest threshold.

    Args:
        points: the curve of a training, measured on held-out images.
        bounds: at least one.
        bytes_of: bytes of the smallest TFLite file of the network at a threshold. It grows with the parameters that are
            not zero, so that few networks have to be converted.

    Raises:
        SettingError: no threshold is within all bounds; the nearest is named.
    """
    smallest = bool(bounds.min_accuracy)

    def rank(point: ThresholdPoint) -> tuple[float, ...]:
        size, loss = float(point.params_nonzero), -point.accuracy
        return (*((size, loss) if smallest else (loss, size)), -point.threshold)

    # Of thresholds that prune alike the highest stands for all.
    distinct = {point.params_nonzero: point for point in sorted(points, key=lambda one: one.threshold)}
    small, size = _small_enough(sorted(distinct.values(), key=lambda one: one.params_nonzero), bounds, bytes_of)
    within = [point for point in small if point.accuracy >= bounds.min_accuracy - _ROUNDING]
    if not within:
        raise SettingError(_none_met(list(distinct.values()), small, bounds, size))
    chosen = min(within, key=rank)
    better = [point for point in distinct.values() if rank(point) < rank(chosen)]
    aim = "smallest" if smallest else "most accurate"
    if not better:
        bound = f"the {aim} of all thresholds, so no bound holds it back"
    else:
        last = max(better, key=rank)
        bound = f"the {aim} within {' and '.join(_missed(last, bounds, last in small))}"
    figures = f"{chosen.accuracy:.2%} of held-out images, {chosen.params_nonzero:,} parameters not 0"
    of_bytes = (size.get(chosen) or bytes_of(chosen)) if bounds.max_bytes else 0
    return Choice(chosen.threshold, f"{bound}: {figures}", of_bytes)


def _missed(point: ThresholdPoint, bounds: Bounds, small: bool) -> list[str]:
    """The bounds that a point is not within; `small` says whether it has few enough parameters and bytes."""
    missed = []
    if bounds.min_accuracy and point.accuracy < bounds.min_accuracy - _ROUNDING:
        missed.append(f"min_accuracy={bounds.min_accuracy:g}")
    if bounds.max_parameters and point.params_nonzero > bounds.max_parameters:
        missed.append(f"max_parameters={bounds.max_parameters}")
    elif bounds.max_bytes and not small:
        missed.append(f"max_bytes={bounds.max_bytes}")
    return missed


def _small_enough(
    points: Sequence[ThresholdPoint], bounds: Bounds, bytes_of: Callable[[ThresholdPoint], int]
) -> tuple[list[ThresholdPoint], dict[ThresholdPoint, int]]:
    """The points within the bounds of size, of those in the order of their size; and the bytes that were looked at."""
    size: dict[ThresholdPoint, int] = {}
    if bounds.max_parameters:
        points = [point for point in points if point.params_nonzero <= bounds.max_parameters]
    if not bounds.max_bytes:
        return list(points), size
    fit, unfit = 0, len(points)  # So many of the smallest are within it, and so many at the most.
    while fit < unfit:
        # The largest first: often it will do.
        middle = unfit - 1 if not size else (fit + unfit) // 2
        size[points[middle]] = bytes_of(points[middle])
        if size[points[middle]] <= bounds.max_bytes:
            fit = middle + 1
        else:
            unfit = middle
    return list(points[:fit]), size


def _none_met(
    points: Sequence[ThresholdPoint],
    small: Sequence[ThresholdPoint],
    bounds: Bounds,
    size: dict[ThresholdPoint, int],
) -> str:
    """Says that no threshold will do, and which is nearest."""
    near = max(small, key=lambda one: one.accuracy) if small else min(points, key=lambda one: one.params_nonzero)
    of_bytes = f", {size[near]:,} bytes" if near in size else ""
    return (
        f"no threshold is within {bounds}: the nearest, {near.threshold:g}, has {near.params_nonzero:,} parameters not "
        f"0{of_bytes}, and {near.accuracy:.2%} of held-out images right. Give a wider bound, or train a network with "
        f"{'more' if small else 'fewer'} channels; search and training are kept."
    )
