"""A run folder as the page reads it: how far each stage is, and its files. Nothing is written, and no lock taken."""

import csv
import io
import json
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from vinnas_tf.errors import FileError, RunFolderError, require
from vinnas_tf.run.files import Value, read_metrics, read_text
from vinnas_tf.run.folder import lock_owner
from vinnas_tf.run.outputs import finished_file, is_finished, network_stage
from vinnas_tf.run.record import read_stages

STAGES = ("search", "train", "compress", "export")


class State(StrEnum):
    """How far a stage is, in words."""

    NOT_RUN = "not run"
    INTERRUPTED = "interrupted"
    GOING_ON = "going on"
    FINISHED = "finished"


class RunFolder:
    """A run folder that is read.

    Files of a finished stage are held to what they were when it ended; those of another one are read as they are.

    Args:
        path: of the folder.

    Raises:
        RunFolderError: it is no run folder.
        FileError: a marker is damaged.

    Attributes:
        records: of each stage that was begun, its part of config.json.
        finished: names of the stages that were run to their end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[str, dict[str, Any]] = read_stages(path)
        require(
            bool(self.records),
            f"{path} is no run folder: it has no config.json. Name the --run_dir of a search or a training.",
            RunFolderError,
        )
        self.finished = {stage for stage in self.records if is_finished(path, stage)}

    @property
    def name(self) -> str:
        """What a person calls the run."""
        return self.path.name or self.path.resolve().name

    def state(self, stage: str) -> State:
        """How far a stage is; one that is begun is going on where the process that last held the folder lives."""
        if stage in self.finished:
            return State.FINISHED
        if stage not in self.records:
            return State.NOT_RUN
        # Of several that are not finished, the one that was begun last is at work.
        open_stages = [name for name in self.records if name not in self.finished]
        last = max(open_stages, key=lambda name: self.records[name]["created"])
        owner = lock_owner(self.path)
        alive = owner is not None and psutil.pid_exists(owner)
        return State.GOING_ON if alive and stage == last else State.INTERRUPTED

    @property
    def network_stage(self) -> str | None:
        """The finished stage whose network the folder ships; None where none is finished."""
        stage = network_stage(self.path)
        return stage if stage in self.finished and self.file(stage, "result.json") else None

    def settings(self, stage: str) -> Mapping[str, Any]:
        """The settings of a stage that was begun."""
        return self.records[stage]["settings"]

    def file(self, stage: str, name: str) -> Path | None:
        """A file of a stage, held to what it was; None where there is none.

        Raises:
            FileError: it was changed since the stage was finished.
        """
        path = finished_file(self.path, stage, name) if stage in self.finished else self.path / stage / name
        return path if path.is_file() else None

    def json(self, stage: str, name: str) -> Any:
        """The content of a JSON file; None where there is no file."""
        path = self.file(stage, name)
        if path is None:
            return None
        try:
            return json.loads(read_text(path))
        except (ValueError, RecursionError) as error:
            raise FileError(f"{path} is not JSON ({error}): run the stage's command again.") from error

    def rows(self, stage: str, name: str) -> list[dict[str, Value]]:
        """The rows of a metrics file; none where there is no file."""
        path = self.file(stage, name)
        try:
            return read_metrics(path) if path is not None else []
        except (OSError, ValueError) as error:
            raise FileError(f"{path} can't be read as figures ({error}): run the stage's command again.") from error

    def table(self, stage: str, name: str) -> list[list[str]]:
        """The cells of a CSV file; none where there is no file."""
        path = self.file(stage, name)
        return [*csv.reader(io.StringIO(read_text(path)))] if path is not None else []

    def arrays(self, stage: str, name: str) -> dict[str, np.ndarray]:
        """The arrays of an .npz file; none where there is no file."""
        path = self.file(stage, name)
        if path is None:
            return {}
        try:
            with np.load(path, allow_pickle=False) as held:
                return {name: held[name] for name in held.files}
        except (OSError, ValueError) as error:
            raise FileError(f"{path} can't be read as arrays ({error}): run the stage's command again.") from error


def run_folders(path: Path) -> list[Path]:
    """The run folders that a folder stands for: itself, those of a comparison, or those that lie in it.

    Raises:
        RunFolderError: it holds none.
    """
    rows = path / "compare" / "rows"
    stages = read_stages(path)
    if stages and "compare" not in stages:
        return [path]
    inside = rows if "compare" in stages else path
    found = sorted(entry.parent for entry in inside.glob("*/config.json"))
    found = found or sorted(entry.parent for entry in inside.glob("*/*/config.json"))
    require(
        bool(found),
        f"{path} is no run folder, and holds none: name the --run_dir of a search, a training or a comparison.",
        RunFolderError,
    )
    return found


def common_folder(paths: list[Path]) -> Path:
    """The innermost folder that holds all of them; of one folder, itself."""
    return Path(os.path.commonpath([os.path.abspath(path) for path in paths])) if len(paths) > 1 else paths[0]
