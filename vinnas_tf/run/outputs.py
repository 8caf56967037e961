"""What each stage leaves in a run folder, and the marker of a finished stage, which holds its files to what they were.

The marker is text as `sha256sum` writes it, behind a line with the date and before one with the SHA-256 of the marker.
A stage of an earlier version left the date alone: its files are read as they are.
"""

import datetime
import os
import re
from pathlib import Path

from vinnas_tf.errors import FileError, require
from vinnas_tf.run.digest import sha256
from vinnas_tf.run.files import write_atomically

# Per stage: the file that is its result, one of these, and everything that it may write into its folder.
RESULTS = {
    "search": ("genotype.json", "masks.json"),
    "train": ("result.json",),
    "compress": ("result.json",),
    "export": ("manifest.json",),
    "compare": ("comparison.csv",),
    "pipeline": ("plan.json",),
}
OUTPUTS = {
    "search": (
        "genotype.json", "posterior.json", "metrics.csv", "trajectory.npz", "cells.png", "cells.svg", "posterior.png",
        "images.csv", "tensorboard", "checkpoints", "masks.json", "masks.png", "candidates.csv", "candidates.png",
        "network.keras", "result.json", "confusion.png", "confusion.csv", "fine_tuning",
    ),
    "train": (
        "result.json", "genotype.json", "network.keras", "network_dense.keras", "metrics.csv", "sparsity.png",
        "threshold.png", "threshold.csv", "confusion.png", "confusion.csv", "images.csv", "tensorboard", "checkpoints",
        "fine_tuning",
        "magnitude_pruning", "magnitude_pruning.json",
    ),
    "compress": (
        "result.json", "compression.json", "network.keras", "network_dense.keras", "metrics.csv", "curve.csv",
        "curve.png", "units.png", "confusion.png", "confusion.csv", "images.csv", "dense", "points",
    ),
    "export": ("saved_model", "tflite", "onnx", "manifest.json"),
    "compare": ("comparison.csv", "comparison.md", "comparison.png", "rows", "tensorboard"),
    "pipeline": ("plan.json", "choice.json"),
}  # fmt: skip
NETWORK = "network.keras"
_OF_TRAINED = ("train", "search")  # Stages that may write it, the one that counts first.
MARKER = "finished"
_BEGINS = "finished "
_ENTRY = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>.+)\n")
_EARLIER = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+]+\n")


def mark(folder: Path, stage: str) -> None:
    """Marks the stage whose outputs lie in `folder` as finished; raises FileError where it can't be written."""
    files = [folder / name for name in OUTPUTS[stage] if (folder / name).is_file()]
    lines = [_BEGINS + datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")]
    lines += [f"{sha256(path.read_bytes())}  {path.name}" for path in files]
    text = "".join(line + "\n" for line in lines)
    write_atomically(folder / MARKER, f"{text}{sha256(text)}  {MARKER}\n")


def is_finished(run_dir: Path, stage: str) -> bool:
    """Whether `stage` was run to its end in a run folder; raises FileError where its marker is damaged."""
    folder = run_dir / stage
    return any((folder / name).exists() for name in RESULTS[stage]) and _recorded(folder, stage) is not None


def network_stage(run_dir: Path) -> str:
    """The stage whose network a run folder ships: its compression where that is finished, else `trained_stage`."""
    return "compress" if is_finished(run_dir, "compress") else trained_stage(run_dir)


def trained_stage(run_dir: Path) -> str:
    """The stage that trained a run folder's network: its training, or a search that leaves a finished network."""
    return next((stage for stage in _OF_TRAINED if (run_dir / stage / NETWORK).exists()), _OF_TRAINED[0])


def finished_file(run_dir: str | os.PathLike[str], stage: str, name: str) -> Path:
    """The path of a file that a finished stage wrote, which is what it was then.

    Raises:
        FileError: it is missing, or was changed since.
    """
    folder = Path(run_dir) / stage
    path = folder / name
    recorded = (_recorded(folder, stage) or {}).get(name)
    if recorded is not None:
        try:
            same = sha256(path.read_bytes()) == recorded
        except OSError as error:
            raise FileError(f"can't read {path}: {error.strerror}. {_remedy(folder, stage)}") from error
        require(
            same,
            f"{path} is not the file that the stage wrote: it was changed or cut off. {_remedy(folder, stage)}",
            FileError,
        )
    return path


def _recorded(folder: Path, stage: str) -> dict[str, str] | None:
    """SHA-256 of each file of a finished stage, by name; None where there is no marker."""
    path = folder / MARKER
    try:
        text = path.read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"can't read {path}: {error.strerror}.") from error
    if _EARLIER.fullmatch(text):
        return {}
    *lines, last = text.splitlines(keepends=True) or [""]
    whole = text.startswith(_BEGINS) and last == f"{sha256(''.join(lines))}  {MARKER}\n"
    entries = [_ENTRY.fullmatch(line) for line in lines[1:]]
    require(whole and all(entries), f"{path} is damaged: {_remedy(folder, stage)}", FileError)
    return {entry["name"]: entry["digest"] for entry in entries if entry}


def _remedy(folder: Path, stage: str) -> str:
    again = "do the stage again with overwrite" if stage == "export" else "run the stage's command again"
    return f"Restore it, or remove {folder / MARKER} and {again}."
