"""The exported files: sizes, figures, and the bars that they were held to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vinnas_tf.export import manifest, table
from vinnas_tf.export.proof import BARS
from vinnas_tf.report.folder import RunFolder
from vinnas_tf.report.part import command
from vinnas_tf.run.digest import sha256_of


@dataclass(frozen=True)
class Exported:
    """A file, or a folder, of an export.

    Attributes:
        name: of it, below export/.
        cells: of the table.
        width: its bytes in percent of the largest of all files and baselines.
        bar: what it must reach.
        met: whether it does.
        remarks: what there is to say of it.
        command: what names the class of a picture with it.
    """

    name: str
    cells: Sequence[str]
    width: float
    bar: str
    met: bool
    remarks: Sequence[str]
    command: str


@dataclass(frozen=True)
class Baseline:
    """What the files are compared with: its name, its cells, and its bytes in percent of the largest of all."""

    name: str
    cells: Sequence[str]
    width: float


@dataclass(frozen=True)
class Files:
    """What the page shows of an export.

    Attributes:
        legend: what the titles mean, as the command prints it.
        header: titles of the columns.
        files: the files.
        baselines: files that were compared with and are not kept.
    """

    legend: str
    header: Sequence[str]
    files: Sequence[Exported]
    baselines: Sequence[Baseline]


def read_files(run: RunFolder) -> Files | None:
    """The files of a finished export; None where there is none."""
    if "export" not in run.finished:
        return None
    folder = run.path / "export"
    content = manifest.read(folder / manifest.NAME)
    sizes = [entry["figures"]["bytes"] for entry in content["files"].values()]
    largest = max(sizes + [figures["bytes"] for figures in content["baselines"].values()])
    files = []
    for name, entry in content["files"].items():
        path, figures = folder / name, entry["figures"]
        precision = entry.get("precision", "float32")
        bar = BARS[precision]
        remarks = [" ".join(table.remarks(name, figures))] if table.remarks(name, figures) else []
        if not path.exists():
            remarks.append("It is not there any more: export with --overwrite.")
        elif sha256_of(path) != entry["sha256"]:
            remarks.append(
                "It is not the file that these figures are of: it was changed since. Export with --overwrite."
            )
        files.append(
            Exported(
                name,
                table.cells(figures),
                _width(figures, largest),
                f"agree ≥ {bar.agreement:.1%}, accuracy drops by ≤ {100 * bar.accuracy_drop:g} points",
                not figures["failures"],
                remarks,
                command("export.predict", path, "PICTURE"),
            )
        )
    baselines = [
        Baseline(name, table.cells(figures), _width(figures, largest)) for name, figures in content["baselines"].items()
    ]
    return Files(" ".join(table.LEGEND.split()), table.TITLES, files, baselines)


def _width(figures: Mapping[str, Any], largest: int) -> float:
    return round(100 * figures["bytes"] / largest, 2)
