"""Which point of a compression's curve is taken."""

from collections.abc import Sequence
from dataclasses import dataclass

from vinnas_tf.compress.point import Point
from vinnas_tf.config import ACCURACY_LOSS, CompressConfig
from vinnas_tf.errors import SettingError

_ROUNDING = 1e-9  # Accuracies are quotients of whole numbers.


@dataclass(frozen=True)
class Budget:
    """What a compressed network may cost.

    Attributes:
        name: of the setting.
        most: what it allows, in parameters, bytes or as a share of the images.
    """

    name: str
    most: float

    def spent(self, point: Point, dense_accuracy: float) -> float:
        """What a point takes of it."""
        if self.name == "max_accuracy_loss":
            return dense_accuracy - point.accuracy
        return float(point.bytes if self.name == "max_bytes" else point.parameters)

    def met(self, point: Point, dense_accuracy: float) -> bool:
        """Whether a point is within it."""
        return self.spent(point, dense_accuracy) <= self.most + _ROUNDING

    def __str__(self) -> str:
        return f"{self.name}={self.most:{'g' if self.name == 'max_accuracy_loss' else '.0f'}}"


@dataclass(frozen=True)
class Chosen:
    """The point that is taken.

    Attributes:
        point: the point.
        reason: why this one, and which budget bounds it, in words.
    """

    point: Point
    reason: str


def budgets_of(config: CompressConfig) -> list[Budget]:
    """The budgets that the settings have; one of accuracy where they have none."""
    names = ("max_accuracy_loss", "max_parameters", "max_bytes")
    given = [Budget(name, getattr(config, name)) for name in names if getattr(config, name)]
    return given or [Budget("max_accuracy_loss", ACCURACY_LOSS)]


def choose(points: Sequence[Point], dense_accuracy: float, config: CompressConfig) -> Chosen:
    """The smallest point within all budgets where one is of accuracy, else the most accurate one.

    Of equals it is the more accurate or smaller one, then the one of the smaller penalty. Networks that are cut, whose
    answers don't depend on the image, are never taken.

    Args:
        points: the curve, without the network that it starts from.
        dense_accuracy: that of this network on the held-out images.
        config: the budgets.

    Raises:
        SettingError: no point is within all budgets; the nearest is named.
    """
    budgets = budgets_of(config)
    smallest = budgets[0].name == "max_accuracy_loss"

    def rank(point: Point) -> tuple[float, ...]:
        size, loss = float(point.parameters), -point.accuracy
        return (size, loss, point.penalty) if smallest else (loss, size, point.penalty)

    def missed(point: Point) -> list[Budget]:
        return [budget for budget in budgets if not budget.met(point, dense_accuracy)]

    connected = sorted((point for point in points if point.connected), key=rank)
    within = [point for point in connected if not missed(point)]
    if not within:
        raise SettingError(_none_met(connected, budgets, dense_accuracy))
    chosen = within[0]
    better = [point for point in connected if rank(point) < rank(chosen)]
    aim, other = ("smallest", "larger") if smallest else ("most accurate", "smaller")
    if not better:
        bound = f"the {aim} of the curve; no budget bounds it, and {other} penalties may give a better one"
    else:
        bound = f"the {aim} within {' and '.join(map(str, missed(better[-1])))}"
    return Chosen(chosen, f"penalty {chosen.penalty:g}: {bound}")


def _none_met(points: Sequence[Point], budgets: Sequence[Budget], dense_accuracy: float) -> str:
    """Says that no point will do, and which is nearest."""
    wanted = " and ".join(map(str, budgets))
    if not points:
        return f"no penalty leaves a network that reads its images ({wanted}): use smaller penalties."

    def excess(point: Point) -> float:
        spent = ((budget.spent(point, dense_accuracy), budget.most) for budget in budgets)
        return max(taken / most for taken, most in spent)

    near = min(points, key=excess)
    accuracy = [one for one in budgets if one.name == "max_accuracy_loss"]
    remedy = "larger" if all(one.met(near, dense_accuracy) for one in accuracy) else "smaller"
    return (
        f"no point of the curve is within {wanted}: the nearest, of penalty {near.penalty:g}, has {near.parameters:,} "
        f"parameters, {near.bytes:,} bytes and loses {dense_accuracy - near.accuracy:.4f} of accuracy; use {remedy} "
        "penalties too, or a wider budget."
    )
