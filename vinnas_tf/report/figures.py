"""Charts of a run: the terms of the objective, accuracy against size, and what is left of each layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vinnas_tf.compress.report import LEGEND as COMPRESS_LEGEND
from vinnas_tf.compress.report import TABLE as COMPRESS_TABLE
from vinnas_tf.compress.units import Units
from vinnas_tf.console import TRAIN_TABLE
from vinnas_tf.console import Table as EpochTable
from vinnas_tf.methods import method_class
from vinnas_tf.network.pruning import ThresholdPoint, sparsest_within_error
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.report.part import Chart, Series, Table, command, exact, percent
from vinnas_tf.run.files import Value
from vinnas_tf.train.report import NO_ADVICE, threshold_advice

_COLOURS = ("first", "second", "third", "fourth", "fifth", "sixth")
# What the commands do not print, in the manner of what they do.
_UNPRINTED = {"alpha_cross_entropy": "CE of the alpha steps"}
_ACCURACIES = ("weight_accuracy", "alpha_accuracy", "accuracy", "held_out_accuracy")


@dataclass(frozen=True)
class Objective:
    """The epochs of a stage, or of a part of it.

    Attributes:
        title: what was trained.
        legend: what the titles mean, as the command prints it.
        charts: terms of the objective, and accuracies.
        table: every figure of every epoch.
    """

    title: str
    legend: str
    charts: Sequence[Chart]
    table: Table


def read_objectives(run: RunFolder, stage: str) -> list[Objective]:
    """The terms of a stage's objective over its epochs, of each part of it that has some."""
    found = [_objective(run, stage, name, title) for name, title in _files_of_epochs(run, stage)]
    return [one for one in found if one is not None]


def _files_of_epochs(run: RunFolder, stage: str) -> list[tuple[str, str]]:
    """The metrics files of a stage, and what each is of."""
    files = [("metrics.csv", stage)]
    settings = run.settings(stage)
    if stage == "train" and settings.get("fine_tuning_epochs"):
        name = f"{settings['log_noise_ratio_threshold']:g}_{settings['fine_tuning_epochs']}"
        files.append((f"fine_tuning/{name}/metrics.csv", "train, fine-tuning"))
    if stage == "compress" and stage not in run.finished:
        folder = run.path / stage
        under_way = [*folder.glob("dense/metrics.csv"), *folder.glob("points/*/metrics.csv")]
        if under_way:
            newest = max(under_way, key=lambda path: path.stat().st_mtime_ns).relative_to(folder)
            what = "dense" if newest.parts[0] == "dense" else f"penalty {newest.parts[1]}"
            files.append((newest.as_posix(), f"compress, {what}"))
    return files


def _objective(run: RunFolder, stage: str, name: str, title: str) -> Objective | None:
    """What a metrics file holds; None where there is no file."""
    rows = run.rows(stage, name)
    if not rows:
        return None
    printed = _printed(run, stage)
    titles = {column: words for words, column, _, _ in printed.columns if words} | _UNPRINTED
    columns = list(rows[0])
    terms = [column for column in columns if column in ("cross_entropy", "alpha_cross_entropy", "penalty")]
    terms += [column for column in columns if column.endswith("_weighted")]
    x = range(1, len(rows) + 1)  # A compression's epochs start over where fine-tuning begins.
    charts = []
    for key, wanted, words, y, factor in (
        ("terms", terms, "Terms of the objective, weighted", "nats an image", 1.0),
        ("accuracies", [column for column in columns if column in _ACCURACIES], "Accuracy", "accuracy, %", 100.0),
    ):
        series = [
            Series(titles.get(column, column.replace("_", " ")), *_known(x, rows, column, factor), _COLOURS[number % 6])
            for number, column in enumerate(wanted)
            if any(row[column] is not None for row in rows)
        ]
        if series:
            charts.append(Chart(f"{title}: {key}", words, "epoch", y, series))
    legend = COMPRESS_LEGEND if stage == "compress" else printed.legend
    cells = [[exact(row[column]) for column in columns] for row in rows]
    return Objective(title, " ".join(legend.split()), charts, Table(columns, cells, f"Every epoch: {stage}/{name}"))


def _printed(run: RunFolder, stage: str) -> EpochTable:
    """What the command prints of an epoch."""
    if stage == "search":
        return method_class(run.settings(stage)["method"]).table
    return TRAIN_TABLE if stage == "train" else COMPRESS_TABLE


def _known(
    x: Sequence[Any], rows: Sequence[Mapping[str, Value]], name: str, factor: float
) -> tuple[list[Any], list[float]]:
    """The epochs that have a figure, and the figure."""
    pairs = [(at, factor * float(row[name] or 0)) for at, row in zip(x, rows, strict=True) if row[name] is not None]
    return [at for at, _ in pairs], [value for _, value in pairs]


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
        (best, "the sparsest within one standard error of the best"),
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
        (None, ""),
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
    recommended: tuple[int | None, str],
    advice: str,
    table: Table,
) -> Curve:
    """A chart of (size, accuracy, standard error) with the point in use."""
    places = [(size, 100 * accuracy) for size, accuracy, _ in points]
    labels = [f"{name}: {text}" for name, text in zip(names, told, strict=True)]
    sizes, accuracies = ([place[axis] for place in places] for axis in (0, 1))
    series = [Series("accuracy", sizes, accuracies, "first", [100 * error for _, _, error in points], labels)]
    special = [(used, f"{names[used]} in use", "accent")]
    number, reason = recommended
    if number is not None and number != used:
        special.append((number, f"{names[number]}: {reason}", "third"))
    series += [Series(name, [sizes[at]], [accuracies[at]], colour, labels=[labels[at]]) for at, name, colour in special]
    chart = Chart(key, title, x, "accuracy, %", series, table, log_x=True)
    return Curve(chart, places, names, told, commands, used, advice)


@dataclass(frozen=True)
class Layer:
    """What is left of a layer with a kernel.

    Attributes:
        name: of it.
        width: its weights before pruning, in percent of the largest layer's.
        left: what is left of them, in percent of the same.
        told: both counts, in words.
        channels: its inputs and outputs that are left, in words.
        stored: parameters that the stripped network stores.
    """

    name: str
    width: float
    left: float
    told: str
    channels: tuple[str, str]
    stored: str


def read_layers(result: Mapping[str, Any], units: Sequence[Units]) -> tuple[str, list[Layer]]:
    """Weights and channels that are left of each layer with a kernel, and of all together, in words.

    Args:
        result: of the stage, with "layers".
        units: channels of the layers, where they are known.
    """
    layers = {name: of for name, of in result["layers"].items() if of["weights_dense"]}
    largest = max(of["weights_dense"] for of in layers.values())
    of_layer = {one.layer: one for one in units}
    found = []
    for name, of in layers.items():
        dense, left = of["weights_dense"], of["weights_nonzero"]
        one = of_layer.get(name)
        channels = (
            (f"{one.inputs_left:,} of {one.inputs:,}", f"{one.outputs_left:,} of {one.outputs:,}")
            if one
            else ("-", "-")
        )
        told = f"{left:,} of {dense:,} ({left / dense:.0%})"
        found.append(
            Layer(
                name,
                _percent_of(dense, largest),
                _percent_of(left, largest),
                told,
                channels,
                exact(of["params_stored"]),
            )
        )
    dense, left = result["weights_dense"], result["weights_nonzero"]
    return f"{left:,} of {dense:,} weights left ({left / dense:.1%})", found


def _percent_of(part: int, whole: int) -> float:
    return round(100 * part / whole, 2)
