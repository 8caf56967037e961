"""The stages of a run, in their order: what each is called, and what a person reads of it at the end."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.export import manifest
from vinnas_tf.run.files import read_metrics
from vinnas_tf.run.outputs import finished_file, trained_stage


@dataclass(frozen=True)
class Stage:
    """One command of a run.

    Attributes:
        name: such as "search"; the command is `python -m vinnas_tf.NAME`.
        result: its main figures, from the run folder in which it is finished, in at most 60 characters.
    """

    name: str
    result: Callable[[Path], str]

    @property
    def module(self) -> str:
        """What is run."""
        return f"vinnas_tf.{self.name}"


def _found(path: Path) -> str:
    if trained_stage(path) == "search":
        return _trained(path)
    genotype = Genotype.load(finished_file(path, "search", "genotype.json"))
    edges = [edge for cell in genotype.cells.values() for edge in cell]
    free = round(genotype.parameter_free_share * len(edges))
    rows = read_metrics(finished_file(path, "search", "metrics.csv"))
    found = f"{len(edges)} operations found, {free} of them without weights"
    return f"{found}, in {len(rows)} epochs" if rows else f"{found}, by a draw"


def _trained(path: Path) -> str:
    stage = trained_stage(path)
    result = json.loads(finished_file(path, stage, "result.json").read_bytes())
    accuracy = result["test"]["stripped"]["accuracy"]
    # A choice of channels leaves zeros until they are stripped.
    left = result["params_nonzero" if stage == "train" else "params_stored_nonzero"]
    return f"{accuracy:.2%} of test images right, {left:,} parameters not 0"


def _exported(path: Path) -> str:
    files = manifest.read(path / "export" / manifest.NAME)["files"]
    proven = [name for name, entry in files.items() if not entry["figures"]["failures"]]
    if not proven:
        return f"none of {len(files)} files proven"
    least = min(proven, key=lambda name: files[name]["figures"]["bytes"])
    return f"{len(proven)} of {len(files)} files proven, {least} {files[least]['figures']['bytes']:,} bytes"


def page(path: Path) -> Path:
    """The page that shows what the run folder holds."""
    return path / "report.html"


STAGES = (
    Stage("search", _found),
    Stage("train", _trained),
    Stage("export", _exported),
    Stage("report", lambda path: str(page(path))),
)
