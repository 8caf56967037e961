"""The found cells, and how they came about: after each epoch the cells that would have been chosen then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vinnas_tf.architecture.found import Columns, Found
from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.space import SPACES, SearchSpace
from vinnas_tf.console import idle_cells
from vinnas_tf.errors import SettingError, UserError
from vinnas_tf.methods import recorded_method
from vinnas_tf.methods.base import Method
from vinnas_tf.plots.style import short_number, with_minus
from vinnas_tf.report.drawing import Drawing, draw
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.report.part import Table, exact

_MOST_STEPS = 40  # Of the slider; of more epochs evenly spaced ones are shown.
_MOST_DRAWN = 32  # Operations of a cell that is drawn for an epoch; the found cell is drawn whatever it has.
# What the quantities of posterior.json are, those that a reader asks for first at the top.
_QUANTITIES = {
    "probability": "probability of being in the cell",
    "snr": "SNR",
    "keep_operation": "keep probability of the operation",
    "keep_edge": "keep probability of the edge",
    "strength": "switch w'w, root mean square over the cells",
    "gamma": "γ, variance of the switch's prior",
    "determined": "share that the data determine",
    "mask": "kept (1) or pruned (0)",
    "mean": "mean of alpha",
    "variance": "variance of alpha",
    "log_variance": "log-variance of alpha",
}


@dataclass(frozen=True)
class Step:
    """The cells at an epoch, as the page's script takes them.

    Attributes:
        title: which epoch.
        cells: by cell group: "drawing", the key of its picture or None; "said", what stands in place of it; "notes" and
            "tips" of its operations; "values", [edges][K] pairs of text and shade in [-100, 100]; and "chosen", [edge,
            k] of each operation.
    """

    title: str
    cells: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cells:
    """What the page shows of a search of cells.

    Attributes:
        genotype: what was found, or would be chosen now.
        drawings: all pictures, by key.
        steps: the epochs, in order; one where there is no trajectory.
        shown: position of the step that the page opens with.
        edges: name of each edge.
        primitives: names of the candidates.
        caption: what the values are; empty where nothing is known of the choices.
        meaning: what a note beside an operation stands for; may be empty.
        tables: by cell group, all that is known of every candidate.
        warnings: of the search.
        remark: what else is to be known of them; may be empty.
    """

    genotype: Genotype
    drawings: Mapping[str, Drawing]
    steps: Sequence[Step]
    shown: int
    edges: Sequence[str] = ()
    primitives: Sequence[str] = ()
    caption: str = ""
    meaning: str = ""
    tables: Mapping[str, Table] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    remark: str = ""


def trained_cells(run: RunFolder) -> Cells | None:
    """The cells of a training in whose folder no search has run; None where there is none."""
    path = run.file("train", "genotype.json") if "train" in run.records else None
    remark = "No search has run in this folder: these are the cells that the training was given."
    return _alone(Genotype.load(path), None, remark=remark) if path else None


def read_cells(run: RunFolder) -> Cells | None:
    """What a search of cells has found, or would choose now; None where there is nothing yet.

    Raises:
        UserError: a file is damaged.
    """
    trajectory, path = run.arrays("search", "trajectory.npz"), run.file("search", "genotype.json")
    finished = "search" in run.finished
    try:
        method = recorded_method(run.settings("search"))
    except SettingError as error:
        if path is None:
            return None
        return _without_method(Genotype.load(path), run, str(error))
    if not finished and not trajectory:
        return None
    held = run.file("search", "posterior.json") if finished else None
    found = Found.load(held) if held else _found(method, trajectory, -1) if trajectory else None
    genotype = Genotype.load(path) if finished and path else method.derive(found)
    if found is None:
        return _alone(genotype, None, warnings=idle_cells(genotype))
    return _with_values(method, found, genotype, trajectory or {name: of[None] for name, of in found.arrays.items()})


def _alone(genotype: Genotype, found: Found | None, **known: Any) -> Cells:
    """Cells without their way over the epochs, with what a posterior.json holds of their choices."""
    columns = _columns(found) if found else {}

    def tip(group: str, edge: Edge) -> str:
        if found is None or group not in columns:
            return ""
        edges = found.space.edges(found.states)
        return _tip(columns[group], (edges.index((edge.source, edge.target)), found.primitives.index(edge.primitive)))

    drawings = {f"{group}-0": draw(edges, genotype) for group, edges in genotype.cells.items()}
    cells = {
        group: {
            "drawing": f"{group}-0", "said": "", "notes": [""] * len(edges),
            "tips": [tip(group, edge) for edge in edges],
            "values": [], "chosen": [],
        }
        for group, edges in genotype.cells.items()
    }  # fmt: skip
    return Cells(genotype, drawings, [Step("", cells)], 0, **known)


def _without_method(genotype: Genotype, run: RunFolder, reason: str) -> Cells:
    """The found cells, and what the file holds of each candidate, where the settings can't be read."""
    path = run.file("search", "posterior.json")
    found = Found.load(path) if path else None
    tables = _tables(found, genotype) if found else {}
    warning = f"The choices of this search are shown without their values over the epochs: {reason}"
    return _alone(genotype, found, tables=tables, warnings=[warning, *idle_cells(genotype)])


def _with_values(method: Method, found: Found, genotype: Genotype, trajectory: Mapping[str, np.ndarray]) -> Cells:
    """Cells with all that the method knows of each choice, at each epoch."""
    epochs = len(next(iter(trajectory.values())))
    values = method.edge_values(found, trajectory)
    assert values is not None  # Something was trained.
    kept = (values.kept_epoch or epochs) - 1
    numbers = sorted({*np.linspace(0, epochs - 1, min(epochs, _MOST_STEPS)).round().astype(int).tolist(), kept})
    low, high = values.limits or (0.0, max(float(np.abs(of).max()) for of in values.trajectory.values()) or 1.0)
    drawings: dict[str, Drawing] = {}
    keys: dict[tuple[str, tuple[Edge, ...]], str] = {}

    def key_of(group: str, edges: tuple[Edge, ...], chosen: Genotype) -> str:
        if (group, edges) not in keys:
            keys[group, edges] = f"{group}-{len(keys)}"
            drawings[keys[group, edges]] = draw(edges, chosen)
        return keys[group, edges]

    steps = []
    for number in numbers:
        is_kept = number == kept
        at = found if is_kept else _found(method, trajectory, number)
        columns = _columns(found) if is_kept else method.columns(at)
        shown = method.edge_values(at, {name: of[number : number + 1] for name, of in trajectory.items()})
        assert shown is not None
        chosen, said = (genotype, "") if is_kept else _derived(method, at)
        cells = {}
        for group in values.values:
            edges = chosen.cells[group] if chosen else ()
            drawn = bool(edges) and (len(edges) <= _MOST_DRAWN or is_kept)
            places = [values.place(edge) for edge in edges]
            cells[group] = {
                "drawing": key_of(group, edges, chosen) if chosen and drawn else None,
                "said": "" if drawn else said or f"{len(edges)} operations: the table below has them.",
                "notes": [_note(shown.note.name, float(shown.note.values[group][place])) for place in places],
                "tips": [_tip(columns[group], place) for place in places],
                "values": [[_shaded(float(value), low, high) for value in row] for row in shown.values[group]],
                "chosen": places,
            }
        title = f"epoch {number + 1} of {epochs}"
        steps.append(Step(f"{title}, the one that was kept" if values.kept_epoch == number + 1 else title, cells))
    warning = method.warning(found)
    return Cells(
        genotype,
        drawings,
        steps,
        numbers.index(kept),
        [edge_name(found.space, edge) for edge in values.edges],
        found.primitives,
        values.name,
        values.note.meaning,
        _tables(found, genotype),
        [*([warning] if warning else []), *idle_cells(genotype)],
    )


def _derived(method: Method, found: Found) -> tuple[Genotype | None, str]:
    """The cells that would be chosen, or why there are none."""
    try:
        return method.derive(found), ""
    except UserError as error:
        return None, str(error)


def _shaded(value: float, low: float, high: float) -> tuple[str, int]:
    """A value as text, and how dark its field is: 0 to 100, below 0 for values below the middle."""
    return (short_number(value), round(100 * (value - low) / (high - low))) if np.isfinite(value) else ("-", 0)


def _found(method: Method, trajectory: Mapping[str, np.ndarray], epoch: int) -> Found:
    """The architecture parameters at the end of an epoch."""
    config = method.config
    arrays = {name: of[epoch] for name, of in trajectory.items()}
    return Found(SPACES[config.space], config.states, method.primitives, arrays)


def _columns(found: Found) -> Columns:
    """All arrays, by cell group and quantity: of a posterior.json, its columns."""
    columns: dict[str, dict[str, np.ndarray]] = {group: {} for group in found.groups}
    for name, values in found.arrays.items():
        group, quantity = name.split("/", 1)
        columns[group][quantity] = values
    return columns


def edge_name(space: SearchSpace, edge: tuple[int, int]) -> str:
    """What a person reads for an edge."""
    return " → ".join(with_minus(space.node_name(node)) for node in edge)


def _note(name: str, value: float) -> str:
    return f"{name} {short_number(value)}" if np.isfinite(value) else ""


def _ordered(columns: Mapping[str, np.ndarray]) -> list[str]:
    """The quantities, those first that a reader asks for first."""
    return [name for name in _QUANTITIES if name in columns] + [name for name in columns if name not in _QUANTITIES]


def _title(quantity: str) -> str:
    return _QUANTITIES.get(quantity, quantity.replace("_", " "))


def _value(values: np.ndarray, place: tuple[int, int]) -> str:
    """The figure of an operation, or of its edge; what is not finite is a dash, as it is null in the file."""
    value = float(values[place] if values.ndim == 2 else values[place[0]])
    return exact(value) if np.isfinite(value) else "-"


def _tip(columns: Mapping[str, np.ndarray], place: tuple[int, int]) -> str:
    """All that is known of an operation, a line for each quantity."""
    return "\n".join(f"{_title(name)}: {_value(columns[name], place)}" for name in _ordered(columns))


def _tables(found: Found, genotype: Genotype) -> dict[str, Table]:
    """All that a posterior.json holds of every candidate, by cell group."""
    edges = found.space.edges(found.states)
    tables = {}
    for group, columns in _columns(found).items():
        kept = {(edge.source, edge.target, edge.primitive) for edge in genotype.cells.get(group, ())}
        names = _ordered(columns)
        rows = [
            [
                edge_name(found.space, edge),
                primitive,
                "yes" if (*edge, primitive) in kept else "no",
                *(_value(columns[name], (row, k)) for name in names),
            ]
            for row, edge in enumerate(edges)
            for k, primitive in enumerate(found.primitives)
        ]
        header = ["edge", "operation", "in the cell", *map(_title, names)]
        tables[group] = Table(header, rows, f"All candidates of the {group} cell")
    return tables
