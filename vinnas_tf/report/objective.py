"""The terms of the objective, and the accuracies, over the epochs of a stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vinnas_tf.compress.report import LEGEND as COMPRESS_LEGEND
from vinnas_tf.compress.report import TABLE as COMPRESS_TABLE
from vinnas_tf.console import TRAIN_TABLE
from vinnas_tf.console import Table as EpochTable
from vinnas_tf.methods import method_class
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.report.part import Chart, Series, Table, exact
from vinnas_tf.run.files import Value

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
    x: Sequence[int], rows: Sequence[Mapping[str, Value]], name: str, factor: float
) -> tuple[list[int], list[float]]:
    """The epochs that have a figure, and the figure."""
    figures = [np.nan if row[name] is None else float(row[name] or 0) for row in rows]
    pairs = [(at, factor * value) for at, value in zip(x, figures, strict=True) if np.isfinite(value)]
    return [at for at, _ in pairs], [value for _, value in pairs]
