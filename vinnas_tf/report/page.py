"""The page: everything that was read, put into templates that escape whatever comes from a file."""

import datetime
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import jinja2
from markupsafe import Markup

import vinnas_tf
from vinnas_tf.methods import METHODS
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.report import palette
from vinnas_tf.report.cells import Cells, read_cells, trained_cells
from vinnas_tf.report.channels import read_channels
from vinnas_tf.report.curves import Curve, read_compression, read_pruning
from vinnas_tf.report.facts import class_table, provenance, stages_of, summary, warnings_of
from vinnas_tf.report.files import read_files
from vinnas_tf.report.folder import RunFolder, State
from vinnas_tf.report.layers import read_layers
from vinnas_tf.report.network import NetworkView
from vinnas_tf.report.objective import read_objectives
from vinnas_tf.report.part import Chart, Missing, Table, command
from vinnas_tf.report.several import Several

_SCRIPTS = ("plotly-basic.min.js", "page.js")
_MOST_CLASSES, _PAIRS = 40, 40  # Of more classes the page has the most frequent confusions, and no matrix.


def run_page(run: RunFolder, network: NetworkView | None) -> str:
    """The page of a run.

    Args:
        run: the run folder.
        network: what was read off the network that it ships; None where it ships none yet.

    Raises:
        UserError: a file was changed, or can't be read.
    """
    stage = run.network_stage
    result = run.json(stage, "result.json") if stage else None
    search = _search(run)
    cells = search if isinstance(search, Cells) else None
    first = next(iter(run.records.values()))["settings"]
    pruning, compression = _pruning(run), _compression(run)
    curves = [one for one in (pruning, compression) if isinstance(one, Curve)]
    trained = [name for name in ("search", "train", "compress") if name in run.records]
    objectives = [one for name in trained for one in read_objectives(run, name)]
    channels = search if not isinstance(search, Cells | Missing) else None
    charts = [chart for one in objectives for chart in one.charts] + [one.chart for one in curves]
    charts += [channels.candidates] if channels and channels.candidates else []
    made_with, settings = provenance(run)
    drawn = {box.family for drawing in cells.drawings.values() for box in drawing.boxes} if cells else set()
    return _render(
        "run.html.j2",
        charts,
        {
            "cells": {"steps": [asdict(step) for step in cells.steps]} if cells else None,
            "channels": {"titles": channels.titles, "drop": [of.drop for of in channels.groups]} if channels else None,
            "curves": {one.chart.key: _slider(one) for one in curves},
        },
        title=run.name,
        dataset=first.get("dataset", ""),
        method=run.settings("search")["method"] if "search" in run.records else "",
        seed=first.get("seed", ""),
        stages=stages_of(run),
        going_on=any(one.state is State.GOING_ON for one in stages_of(run)),
        warnings=warnings_of(run, result, cells.warnings if cells else ()),
        summary=summary(run, result),
        stage=stage,
        search=search,
        cells=cells,
        channels=channels,
        families={name: of for name, of in palette.families().items() if name in drawn},
        objectives=objectives,
        objective_missing=_not_run(run, "search"),
        pruning=pruning,
        compression=compression,
        layers=read_layers(result, network.units if network else ()) if result else None,
        no_network=_no_network(run),
        confusion=_confusion(run, stage) if stage else None,
        recall=class_table(result) if result else None,
        mistakes=network.mistakes if network else None,
        files=read_files(run) or _not_run(run, "export"),
        provenance=made_with,
        settings=settings,
    )


def several_page(several: Several, title: str) -> str:
    """The page of several runs."""
    charts = [several.chart] if isinstance(several.chart, Chart) else []
    return _render("several.html.j2", charts, {}, title=title, several=several)


def _render(template: str, charts: Sequence[Chart], data: dict[str, Any], **content: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vinnas_tf.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False}  # A browser would not read it.
    environment.tests["missing"] = lambda part: isinstance(part, Missing)
    loader = environment.loader
    assert loader is not None
    # Our own files, and a library's: they hold nothing of a run.
    sources = {name: loader.get_source(environment, name)[0] for name in ("page.css", *_SCRIPTS)}
    return environment.get_template(template).render(
        style=Markup(sources["page.css"] + palette.style_sheet()),
        scripts=[Markup(sources[name]) for name in _SCRIPTS],
        data={"charts": {chart.key: asdict(chart) for chart in charts}, **data},
        family_class=palette.family_class,
        version=vinnas_tf.__version__,
        written=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        most_classes=_MOST_CLASSES,
        **content,
    )


def _search(run: RunFolder) -> Any:
    """What a search has found, `Cells` or `Channels`, or why there is nothing."""
    if "search" not in run.records:
        return trained_cells(run) or _not_run(run, "search")
    kind = METHODS.get(run.settings("search")["method"])
    channels = kind is not None and issubclass(kind, ChannelMethod)
    found = read_channels(run) if channels else read_cells(run)
    return found or Missing("The search has not finished an epoch yet.")


def _not_run(run: RunFolder, stage: str) -> Missing:
    """What stands in the place of a stage."""
    names = {"search": "search", "train": "training", "compress": "compression", "export": "export"}
    state = run.state(stage)
    if state is State.NOT_RUN:
        return Missing(f"No {names[stage]} has run in this folder.", command(stage, run_dir=run.path))
    return Missing(f"The {names[stage]} is {state}, and has nothing to show here yet.")


def _no_network(run: RunFolder) -> Missing:
    """What stands where figures of a finished network would."""
    if run.state("train") is State.NOT_RUN and "compress" in run.records:
        return _not_run(run, "compress")
    return _not_run(run, "train")


def _pruning(run: RunFolder) -> Curve | Missing:
    if "train" not in run.finished:
        if run.network_stage == "search":
            return Missing("A search of channels leaves a trained network, and needs no training.")
        return _not_run(run, "train")
    curve = read_pruning(run, run.json("train", "result.json"))
    return curve or Missing("The training has deterministic weights (--novariational), which no threshold prunes.")


def _compression(run: RunFolder) -> Curve | Missing:
    finished = "compress" in run.finished
    result = run.json("compress", "result.json") if finished else None
    curve = read_compression(run, result) if "compress" in run.records else None
    return curve or _not_run(run, "compress")


def _slider(curve: Curve) -> dict[str, Any]:
    """What the script needs of a curve."""
    return {name: getattr(curve, name) for name in ("points", "titles", "told", "commands", "used")}


def _confusion(run: RunFolder, stage: str) -> dict[str, Any] | None:
    """The names and counts of confusion.csv, and of each count its share of the true class, in percent."""
    table = run.table(stage, "confusion.csv")
    if not table:
        return None
    names, counts = table[0][1:], [[int(cell) for cell in row[1:]] for row in table[1:]]
    shares = [[round(100 * count / max(sum(row), 1), 1) for count in row] for row in counts]
    right = sum(row[number] for number, row in enumerate(counts))
    found = {"names": names, "counts": counts, "shares": shares, "right": right, "images": sum(map(sum, counts))}
    return found | {"pairs": _most_confused(names, counts, shares)}


def _most_confused(names: Sequence[str], counts: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]) -> Table:
    """The pairs of classes that are taken for each other most often, instead of a matrix of many classes."""
    pairs = [(count, row, column) for row, of in enumerate(counts) for column, count in enumerate(of) if row != column]
    pairs = sorted((pair for pair in pairs if pair[0]), key=lambda pair: (-pair[0], *pair[1:]))[:_PAIRS]
    rows = [[names[row], names[column], str(count), f"{shares[row][column]:g}%"] for count, row, column in pairs]
    return Table(["true", "predicted", "images", "share of the class"], rows, f"The {_PAIRS} most frequent confusions")
