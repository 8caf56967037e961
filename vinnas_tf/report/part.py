"""What parts of the page are made of: figures for a chart, tables, and what is said where there is nothing to show."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vinnas_tf.plots.style import with_minus


@dataclass(frozen=True)
class Missing:
    """What stands where a part of the page would.

    Attributes:
        text: why it is not there.
        command: what would make it; may be empty.
    """

    text: str
    command: str = ""


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        header: title of each column.
        rows: cells of each row.
        caption: what it shows.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str


@dataclass(frozen=True)
class Series:
    """Points of a chart that belong together.

    Attributes:
        name: in the legend.
        x: where they stand.
        y: their height.
        colour: a role of `page.css`, such as "first" or "accent".
        error: half length of a bar up and down; empty for none.
        labels: what is told of each point; empty: its figures.
        line: whether a line joins them.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    error: Sequence[float] = ()
    labels: Sequence[str] = ()
    line: bool = True


@dataclass(frozen=True)
class Chart:
    """A chart of points, whose figures stand in a table below it too.

    Attributes:
        key: its name in the page, a word.
        title: what it shows.
        x: title of the x axis.
        y: title of the y axis.
        series: what is drawn.
        table: the same figures, where no other table has them.
        log_x: whether the x axis is logarithmic.
        names: of the points of the first series, written beside them; empty for none.
    """

    key: str
    title: str
    x: str
    y: str
    series: Sequence[Series]
    table: Table | None = None
    log_x: bool = False
    names: Sequence[str] = ()


def command(module: str, *words: object, **flags: object) -> str:
    """A command of the package as a shell takes it."""
    given = [*map(str, words), *(f"--{name}={value}" for name, value in flags.items())]
    return shlex.join(["python", "-m", f"vinnas_tf.{module}", *given])


def exact(value: Any) -> str:
    """A figure of a file, as exact as it is useful to a reader; nothing is a dash."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return with_minus(f"{value:,}")
    return with_minus(f"{value:.6g}") if isinstance(value, float) else str(value)


def percent(share: float | None) -> str:
    """A share as the commands print it."""
    return "-" if share is None else f"{share:.2%}"
