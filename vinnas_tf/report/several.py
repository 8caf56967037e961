"""Several runs: a table that sorts, and a plot whose points name their run."""

import csv
import io
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vinnas_tf.compare.statistics import from_csv, legend, summarize, to_cells
from vinnas_tf.errors import FileError, UserError
from vinnas_tf.report.facts import stages_of
from vinnas_tf.report.folder import RunFolder, State
from vinnas_tf.report.part import Chart, Missing, Series, Table
from vinnas_tf.run.files import read_text
from vinnas_tf.run.outputs import finished_file, is_finished
from vinnas_tf.run.record import read_stages

_HEADER = (
    "run", "data set", "method", "seed", "test accuracy", "parameters not 0", "MFLOPs", "search min", "train min",
    "stages",
)  # fmt: skip
_NAMED = 12  # Up to so many points have their run's name beside them.


@dataclass(frozen=True)
class Line:
    """A run in the table.

    Attributes:
        name: of the run.
        link: to its own page, where it has one beside it; may be empty.
        cells: text of the other columns.
        keys: what they are sorted by.
        error: why it could not be read; may be empty.
    """

    name: str
    link: str
    cells: Sequence[str]
    keys: Sequence[Any]
    error: str = ""


@dataclass(frozen=True)
class Several:
    """What the page shows of several runs.

    Attributes:
        header: titles of the columns.
        lines: the runs.
        chart: test accuracy against size; or why there is none.
        summary: means of a comparison, with what the titles mean.
        warnings: of runs that could not be read.
    """

    header: Sequence[str]
    lines: Sequence[Line]
    chart: Chart | Missing
    summary: tuple[Table, str] | None
    warnings: Sequence[str]


def read_several(folders: Sequence[Path], given: Sequence[Path], page: Path) -> Several:
    """The figures of runs.

    Args:
        folders: the run folders.
        given: what the user named; a comparison or a benchmark has figures of its own.
        page: where the page is written, from which it leads to others.
    """
    published = _published(given)
    extra = ["published accuracy"] if published else []
    names = _names(folders)
    lines, points = [], []
    for folder, name in zip(folders, names, strict=True):
        try:
            cells, point = _figures(RunFolder(folder), published.get(folder.resolve()))
        except UserError as error:
            lines.append(Line(name, "", [], [], str(error)))
            continue
        texts, keys = zip(*cells, strict=True)
        lines.append(Line(name, _link(folder, page), texts[: None if extra else -1], keys[: None if extra else -1]))
        points.append((name, point))
    warnings = [f"{line.name}: {line.error}" for line in lines if line.error]
    return Several([*_HEADER, *extra], lines, _chart(points), _summary(given), warnings)


Figures = list[tuple[str, Any]]  # Of each column its text, and what it is sorted by.


def _figures(run: RunFolder, published: float | None) -> tuple[Figures, Mapping[str, float | None]]:
    """The columns behind the name, and what the plot is made of."""
    first = next(iter(run.records.values()))["settings"]
    stage = run.network_stage
    result = run.json(stage, "result.json") if stage else None
    accuracy = result["test"]["stripped"]["accuracy"] if result else None
    parameters = result["params_stored_nonzero"] if result else None
    flops = result["flops"]["stripped"] / 1e6 if result else None
    search, train = (
        sum(float(row["seconds"] or 0) for row in run.rows(of, "metrics.csv")) / 60 for of in ("search", "train")
    )
    states = stages_of(run)
    begun = [one for one in states if one.state is not State.NOT_RUN]
    told = ", ".join(one.name if one.state is State.FINISHED else f"{one.name} ({one.state})" for one in begun)
    cells = [
        (str(first.get("dataset", "-")), str(first.get("dataset", ""))),
        (str(first.get("method", "-")), str(first.get("method", ""))),
        (str(first.get("seed", "-")), first.get("seed")),
        ("-" if accuracy is None else f"{100 * accuracy:.2f}", accuracy),
        ("-" if parameters is None else f"{parameters:,}", parameters),
        ("-" if flops is None else f"{flops:.2f}", flops),
        (f"{search:.1f}" if search else "-", search or None),
        (f"{train:.1f}" if train else "-", train or None),
        (told, told),
        ("-" if published is None else f"{published:.2f}", published),
    ]
    return cells, {
        "accuracy": None if accuracy is None else 100 * accuracy,
        "parameters": parameters,
        "published": published,
        "minutes": search,
    }


def _chart(points: Sequence[tuple[str, Mapping[str, float | None]]]) -> Chart | Missing:
    """Accuracy against parameters; of searches alone, published accuracy against time."""
    for x, y, titles, title in (
        (
            "parameters",
            "accuracy",
            ("parameters not 0, of the stripped network", "test accuracy, %"),
            "Test accuracy against parameters",
        ),
        (
            "minutes",
            "published",
            ("minutes of search", "published accuracy, %"),
            "Published accuracy of the found cell against the time of its search",
        ),
    ):
        held = [(name, of[x], of[y]) for name, of in points if of[x] is not None and of[y] is not None]
        if held:
            names, xs, ys = zip(*held, strict=True)
            labels = [f"{name}: {value:.2f} %" for name, value in zip(names, ys, strict=True)]
            series = [Series("runs", xs, ys, "first", labels=labels, line=False)]
            beside = names if len(names) <= _NAMED else ()
            return Chart("runs", title, *titles, series, log_x=x == "parameters", names=beside)
    return Missing("No run has a finished network yet, so there is no accuracy to show.")


def _names(folders: Sequence[Path]) -> list[str]:
    """The folders' names; where two are alike, with the folders above."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(of[-length:]) for of in parts]
        if len({*names}) == len(names):
            return names
    return [str(folder) for folder in folders]


def _link(folder: Path, page: Path) -> str:
    """The way from a page to that of a run; empty where there is none."""
    own = folder / "report.html"
    if not own.is_file() or own.resolve() == page.resolve():
        return ""
    try:
        return urllib.parse.quote(own.resolve().relative_to(page.resolve().parent).as_posix())
    except ValueError:
        return own.resolve().as_uri()


def _published(given: Sequence[Path]) -> dict[Path, float]:
    """What a benchmark's results.csv says of a cell's accuracy in a published table, in percent, by run folder."""
    found: dict[Path, float] = {}
    for folder in given:
        for path in [folder / "results.csv", *sorted(folder.glob("*/results.csv"))]:
            if path.is_file():
                rows = csv.DictReader(io.StringIO(read_text(path)))
                if {"row", "seed", "accuracy"} <= {*(rows.fieldnames or ())}:
                    runs = path.resolve().parent
                    try:
                        found |= {runs / f"{row['row']}-seed{row['seed']}": float(row["accuracy"]) for row in rows}
                    except (TypeError, ValueError) as error:
                        raise FileError(f"{path} is not a benchmark's results ({error}): make it anew.") from error
    return found


def _summary(given: Sequence[Path]) -> tuple[Table, str] | None:
    """The table of a comparison, where exactly one was named that has figures."""
    compared = [path for path in given if "compare" in read_stages(path)]
    if len(compared) != 1:
        return None
    path = compared[0]
    finished = is_finished(path, "compare")
    file = finished_file(path, "compare", "comparison.csv") if finished else path / "compare" / "comparison.csv"
    if not file.is_file():
        return None
    summaries = summarize(from_csv(read_text(file)))
    header, rows = to_cells(summaries)
    return Table(["row", *header[1:]], rows, "Means over the seeds"), legend(summaries)
