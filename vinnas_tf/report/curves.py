"""Accuracy against parameters: what every threshold of a training gives, and every penalty of a compression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vinnas_tf.network.pruning import ThresholdPoint, sparsest_within_error
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.report.part import Chart, Series, Table, command, exact, percent
from vinnas_tf.run.files import Value
from vinnas_tf.train.report import NO_ADVICE, threshold_advice


def _floats(row: Mapping[str, Value], *names: str) -> list[float]:
    return [float(row[name] or 0) for name in names]


@dataclass(frozen=True)
class Curve:
    """Accuracy against parameters, at each value of what prunes.

    Attributes:
        chart: all points, and the one in use.
        points: x and y of each point, in the order of the slider.
        titles: the value of each.
        told: what it would give, in words.
        commands: what takes it; may be empty.
        used: position of the one in use.
        advice: what the command says of it.
    """

    chart: Chart
    points: Sequence[tuple[float, float]]
    titles: Sequence[str]
    told: Sequence[str]
    commands: Sequence[str]
    used: int
    advice: str


def read_pruning(run: RunFolder, result: Mapping[str, Any]) -> Curve | None:
    """What every threshold of the training gives; None for a network of deterministic weights."""
    rows = run.rows("train", "threshold.csv")
    if not rows:
        return None
    settings = run.settings("train")
    points = [
        ThresholdPoint(threshold, accuracy, error, round(size))
        for threshold, accuracy, error, size in (
            _floats(row, "threshold", "accuracy", "standard_error", "params_nonzero") for row in rows
        )
    ]
    used = float(settings["log_noise_ratio_threshold"])
    fine_tuned = bool(settings["fine_tuning_epochs"])
    held_out = "held_out" in result
    advice = NO_ADVICE
    if held_out:
        advice = threshold_advice(
            points, used, fine_tuned, "vinnas_tf.train with --log_noise_ratio_threshold={:g} prunes again"
        )
    images = "held-out images" if held_out else "training images"
    position = next(number for number, point in enumerate(points) if point.threshold == used)
    best = points.index(sparsest_within_error(points)) if held_out else None
    names = [f"threshold {point.threshold:g}" for point in points]
    told = [
        f"{percent(point.accuracy)} ± {percent(point.standard_error)} of the {images}, {point.params_nonzero:,} "
        f"parameters not 0"
        for point in points
    ]
    table = Table(
        ["threshold", "accuracy", "standard error", "parameters not 0"],
        [
            [exact(of.threshold), percent(of.accuracy), percent(of.standard_error), exact(of.params_nonzero)]
            for of in points
        ],
        "What every threshold gives",
    )
    return _curve(
        "pruning",
        f"Accuracy on {images} against parameters" + (", before fine-tuning" if fine_tuned else ""),
        "parameters that are not 0",
        [(of.params_nonzero, of.accuracy, of.standard_error) for of in points],
        names,
        told,
        [command("train", run_dir=run.path, log_noise_ratio_threshold=f"{of.threshold:g}") for of in points],
        position,
        [(best, f"{names[best]}: the sparsest within one standard error of the best")] if best is not None else [],
        " ".join(advice.split()),
        table,
    )  # fmt: skip


def read_compression(run: RunFolder, result: Mapping[str, Any] | None) -> Curve | None:
    """Every point of a compression's curve; None where there is none yet."""
    rows = run.rows("compress", "curve.csv")
    if len(rows) < 2:
        return None
    penalties = [float(row["penalty"] or 0) for row in rows]
    names = [f"penalty {penalty:g}" if penalty else "as it came" for penalty in penalties]
    figures = [_floats(row, "parameters", "accuracy", "standard_error") for row in rows]
    told = [
        f"{percent(accuracy)} ± {percent(error)} of the held-out images, {size:,.0f} parameters, {row['bytes']:,} "
        f"bytes of float32 TFLite{'' if row['connected'] else '; the network is cut'}"
        for row, (size, accuracy, error) in zip(rows, figures, strict=True)
    ]
    header = list(rows[0])
    table = Table(header, [[exact(row[name]) for name in header] for row in rows], "Every point of the curve")
    used = penalties.index(float(result["penalty"])) if result else 0
    return _curve(
        "compression",
        "Accuracy on held-out images against parameters",
        "parameters of the stripped network",
        figures,
        names,
        told,
        [],
        used,
        [(0, names[0])],
        f"{result['chosen']}." if result else "No point is taken yet.",
        table,
    )


def _curve(
    key: str,
    title: str,
    x: str,
    points: Sequence[Sequence[float]],
    names: Sequence[str],
    told: Sequence[str],
    commands: Sequence[str],
    used: int,
    others: Sequence[tuple[int, str]],
    advice: str,
    table: Table,
) -> Curve:
    """A chart of (size, accuracy, standard error) with the point in use."""
    places = [(size, 100 * accuracy) for size, accuracy, _ in points]
    labels = [f"{name}: {text}" for name, text in zip(names, told, strict=True)]
    sizes, accuracies = ([place[axis] for place in places] for axis in (0, 1))
    series = [Series("accuracy", sizes, accuracies, "first", [100 * error for _, _, error in points], labels)]
    special = [(used, f"{names[used]} in use", "accent")]
    special += [(at, name, "third") for at, name in others if at != used]
    series += [Series(name, [sizes[at]], [accuracies[at]], colour, labels=[labels[at]]) for at, name, colour in special]
    chart = Chart(key, title, x, "accuracy, %", series, table, log_x=True)
    return Curve(chart, places, names, told, commands, used, advice)
