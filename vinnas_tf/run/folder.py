"""What a run folder holds, and how it is written, resumed and protected.

A run folder has `config.json` and one folder per stage. `config.json` keeps, for each stage, a record of what made it:
resolved settings (the seed among them), preset, data fingerprint, versions, platform, date. A stage is finished when
its marker file and its result exist. Whenever a crash comes, a reader sees an old file or a new one, never half of one.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

from vinnas_tf.errors import RunFolderError, require
from vinnas_tf.run import lock
from vinnas_tf.run.files import writing
from vinnas_tf.run.leftovers import TRASH, clear
from vinnas_tf.run.outputs import MARKER, OUTPUTS, RESULTS, is_finished, mark
from vinnas_tf.run.record import (
    changes_between,
    provenance,
    read_stages,
    refuse,
    require_own_version,
    settings_of,
    write_stages,
)


def default_run_dir(dataset: str, method: str, seed: int) -> Path:
    """Returns runs/DATASET-METHOD-seedN, with what can't stand in a file name turned into dashes."""
    name = re.sub(r"[^\w.]+", "-", dataset).strip("-.")
    return Path("runs") / f"{name}-{method}-seed{seed}"


class RunDir:
    """A run folder, opened by one process for one stage; a context manager that holds the folder's lock.

    Attributes:
        path: the run folder.
        stage: the stage that this process runs, such as "search".
        record: the stage's part of config.json.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        stage: str,
        settings: Sequence[Any],
        data_fingerprint: str,
        preset: str = "",
        overwrite: bool = False,
        late_settings: Collection[str] = (),
    ) -> None:
        """Opens the folder, making it where it doesn't exist; an earlier run with equal settings is to be resumed.

        Args:
            path: the run folder.
            stage: a key of `OUTPUTS`.
            settings: dataclass instances, or mappings, whose fields together decide the stage's result.
            data_fingerprint: hash of the data that the stage reads.
            preset: name of the preset that the settings came from; recorded only.
            overwrite: remove what the stage wrote before and start anew.
            late_settings: settings that only the stage's last steps depend on. Where no others differ from an earlier
                run, the stage counts as unfinished again.

        Raises:
            RunFolderError: the folder is in use by another process, holds something that isn't a run, or (without
                `overwrite`) holds a run with other settings or data; or TensorFlow can't be given its name.
            FileError: the folder can't be written.
        """
        self.path = Path(path)
        _refuse_unfit_name(self.path)
        self.stage = stage
        self._late_settings = late_settings
        self._lock: lock.Lock | None = None
        self.record: dict[str, Any] = {
            "settings": settings_of(settings),
            "preset": preset,
            "data_fingerprint": data_fingerprint,
            **provenance(),
        }
        with writing(self.path):
            _refuse_foreign(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            try:
                self._claim(overwrite)
            except BaseException:
                self.close()
                raise

    def file(self, name: str) -> Path:
        """Returns the path of one of the stage's files."""
        return self.path / self.stage / name

    @property
    def finished(self) -> bool:
        """Whether the stage has ended; then its result exists."""
        return is_finished(self.path, self.stage)

    @property
    def result(self) -> Path:
        """The path of the finished stage's result."""
        return next(self.file(name) for name in RESULTS[self.stage] if self.file(name).exists())

    def remove(self, stage: str) -> None:
        """Removes what another stage of the run may have written, so that it starts anew."""
        self._remove_outputs(stage)

    def mark_finished(self) -> None:
        """Marks the stage as finished; call it last, after every output is written."""
        mark(self.file(""), self.stage)

    def close(self) -> None:
        """Releases the lock."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_lock(self) -> None:
        try:
            self._lock = lock.Lock(self.path)
        except OSError:
            if not self.finished:  # Else there is nothing left to write, so that a folder to read from will do.
                raise

    def _claim(self, overwrite: bool) -> None:
        """Resumes the stage's earlier record, or writes a new one."""
        stages = read_stages(self.path)
        before = stages.get(self.stage)
        # A command that ended at its checks has written a record and nothing else: it must not bind the next one.
        begun = any(self.file(name).exists() for name in OUTPUTS[self.stage])
        if before is not None and begun and not overwrite:
            changes = changes_between(before, self.record)
            if not self.finished or changes:
                require_own_version(self.path, before)
            early = [change for change in changes if change.split()[0] not in self._late_settings]
            refuse(self.path, early, "use --overwrite to start anew")
            if changes:
                self.file(MARKER).unlink(missing_ok=True)
                self._write_record(stages)
            else:
                self.record = before
        else:
            if before is not None:
                self._remove_outputs(self.stage)
            self._write_record(stages)
        self.file("").mkdir(exist_ok=True)
        if not self.finished:
            clear(self.path, self.file(""))

    def _write_record(self, stages: Mapping[str, Any]) -> None:
        write_stages(self.path, {**stages, self.stage: self.record})

    def _remove_outputs(self, stage: str) -> None:
        """Removes what a stage may have written and nothing else.

        Outputs are first moved aside, the marker foremost: a crash half-way leaves no checkpoint that is half there.
        """
        folder = self.path / stage
        if not folder.is_dir():
            return
        trash = folder / TRASH
        shutil.rmtree(trash, ignore_errors=True)
        trash.mkdir()
        for name in (MARKER, *OUTPUTS[stage]):
            with contextlib.suppress(FileNotFoundError):
                os.replace(folder / name, trash / name)
        shutil.rmtree(trash)


def lock_owner(path: Path) -> int | None:
    """The process that held a run folder last, and holds it where it still lives; None where none is known."""
    try:
        return int((path / lock.NAME).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def stage_record(path: str | os.PathLike[str], stage: str) -> dict[str, Any]:
    """The record of a finished stage of a run folder, from its config.json.

    Raises:
        RunFolderError: the folder is no run folder, or the stage was not run in it to its end.
    """
    path = Path(path)
    record = read_stages(path).get(stage)
    done = record is not None and is_finished(path, stage)
    require(
        done, f"{path} has no finished {stage}: run python -m vinnas_tf.{stage} --run_dir={path} first.", RunFolderError
    )
    return cast(dict[str, Any], record)


def changed_settings(path: Path, stage: str, settings: Sequence[Any]) -> list[str]:
    """What differs between the settings of a finished stage and these dataclass instances: 'field old -> new'."""
    record = stage_record(path, stage)
    return changes_between(record, {**record, "settings": {**record["settings"], **settings_of(settings)}})


def require_made_with(path: Path, stage: str, settings: Sequence[Any]) -> None:
    """Raises RunFolderError where a finished stage has other settings than these dataclass instances."""
    refuse(path, changed_settings(path, stage, settings), "remove it to do it again")


def _refuse_unfit_name(path: Path) -> None:
    """Raises RunFolderError for a name by which TensorFlow, which takes UTF-8 and patterns, finds other files."""
    found = sorted(set(str(path)) & set("*?[]\\"))
    require(
        not found,
        f"run folder {path} has {' '.join(found)} in its name, a pattern to TensorFlow: name it anew.",
        RunFolderError,
    )
    try:
        same = str(path).encode() == os.fsencode(path)
    except UnicodeEncodeError:
        same = False
    require(
        same, f"run folder {path} has a name that isn't UTF-8 here: name it anew, or set PYTHONUTF8=1.", RunFolderError
    )


def _refuse_foreign(path: Path) -> None:
    """Raises RunFolderError where a folder with content isn't a run folder, before anything is written into it."""
    if path.exists() and not read_stages(path):
        ours = (lock.NAME, ".config.json.tmp")  # All that a run killed at its very start can leave.
        foreign = [entry for entry in path.iterdir() if entry.name not in ours]
        require(not foreign, f"{path} is not empty and not a run folder: use another --run_dir.", RunFolderError)
