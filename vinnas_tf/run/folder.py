"""What a run folder holds, and how it is written, resumed and protected.

A run folder has `config.json` and one folder per stage. `config.json` keeps, for each stage, a record of what made it:
resolved settings (the seed among them), preset, data fingerprint, versions, platform, date. A stage is finished when
its marker file and its result exist. Whenever a crash comes, a reader sees an old file or a new one, never half of one.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import vinnas_tf
from vinnas_tf.errors import RunFolderError, require
from vinnas_tf.run import lock
from vinnas_tf.run.files import write_atomically, writing
from vinnas_tf.run.leftovers import TRASH, clear
from vinnas_tf.run.outputs import MARKER, OUTPUTS, RESULTS, is_finished, mark

FORMAT = "vinnas_tf run 1"
PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy")
# Where a file lies isn't what it is: the fingerprints of data and genotype answer for that.
_PLACES = frozenset({"data_dir", "genotype"})


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
            settings: dataclass instances whose fields, together, decide the stage's result.
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
            "settings": _settings(settings),
            "preset": preset,
            "data_fingerprint": data_fingerprint,
            **_provenance(),
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
        stages = _read_stages(self.path)
        before = stages.get(self.stage)
        # A command that ended at its checks has written a record and nothing else: it must not bind the next one.
        begun = any(self.file(name).exists() for name in OUTPUTS[self.stage])
        if before is not None and begun and not overwrite:
            changes = _changes(before, self.record)
            if not self.finished or changes:
                _require_own_version(self.path, before)
            early = [change for change in changes if change.split()[0] not in self._late_settings]
            _refuse(self.path, early, "use --overwrite to start anew")
            if changes:
                self.file(MARKER).unlink(missing_ok=True)
                self._write_record(stages)
            else:
                self.record = before
        else:
            if before is not None:
                self._remove_outputs()
            self._write_record(stages)
        self.file("").mkdir(exist_ok=True)
        if not self.finished:
            clear(self.path, self.file(""))

    def _write_record(self, stages: Mapping[str, Any]) -> None:
        stages = {**stages, self.stage: self.record}
        config = {"format": FORMAT, "stages": stages, "sha256": _sha256(stages)}
        write_atomically(self.path / "config.json", json.dumps(config, indent=2) + "\n")

    def _remove_outputs(self) -> None:
        """Removes what the stage may have written and nothing else.

        Outputs are first moved aside, the marker foremost: a crash half-way leaves no checkpoint that is half there.
        """
        trash = self.file(TRASH)
        shutil.rmtree(trash, ignore_errors=True)
        trash.mkdir(parents=True)
        for name in (MARKER, *OUTPUTS[self.stage]):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.file(name), trash / name)
        shutil.rmtree(trash)


def stage_record(path: str | os.PathLike[str], stage: str) -> dict[str, Any]:
    """The record of a finished stage of a run folder, from its config.json.

    Raises:
        RunFolderError: the folder is no run folder, or the stage was not run in it to its end.
    """
    path = Path(path)
    record = _read_stages(path).get(stage)
    done = record is not None and is_finished(path, stage)
    require(
        done, f"{path} has no finished {stage}: run python -m vinnas_tf.{stage} --run_dir={path} first.", RunFolderError
    )
    return cast(dict[str, Any], record)


def require_made_with(path: Path, stage: str, settings: Sequence[Any]) -> None:
    """Raises RunFolderError where a finished stage has other settings than these dataclass instances."""
    record = stage_record(path, stage)
    changes = _changes(record, {**record, "settings": {**record["settings"], **_settings(settings)}})
    _refuse(path, changes, "remove it to do it again")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _provenance() -> dict[str, Any]:
    """Returns versions, platform and date; they are recorded, and may differ when a run is resumed."""
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {
        "versions": {"vinnas_tf": vinnas_tf.__version__, **versions},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "created": _now(),
    }


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
    if path.exists() and not _read_stages(path):
        ours = (lock.NAME, ".config.json.tmp")  # All that a run killed at its very start can leave.
        foreign = [entry for entry in path.iterdir() if entry.name not in ours]
        require(not foreign, f"{path} is not empty and not a run folder: use another --run_dir.", RunFolderError)


def _read_stages(path: Path) -> dict[str, Any]:
    """Returns config.json's records by stage."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        known = config["format"] == FORMAT and config.get("sha256") in (None, _sha256(config["stages"]))
        known = known and config.keys() <= {"format", "stages", "sha256"}  # None: of an earlier version.
        stages = {stage: {**record, "settings": {**record["settings"]}} for stage, record in config["stages"].items()}
    except FileNotFoundError:
        return {}
    # Not text, not JSON, JSON deeper than Python reads, or not of this shape.
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        known = False
    require(
        known,
        f"{path / 'config.json'} is damaged, or was not written by this version ({FORMAT}): restore it, or use another "
        "--run_dir.",
        RunFolderError,
    )
    return stages


def _sha256(stages: Mapping[str, Any]) -> str:
    """Of the records; a record that was changed by hand is not that of the files any more."""
    return hashlib.sha256(json.dumps(stages, sort_keys=True).encode()).hexdigest()


def _settings(configs: Sequence[Any]) -> dict[str, Any]:
    """The fields of all dataclass instances, as JSON holds them."""
    values = {name: value for config in configs for name, value in dataclasses.asdict(config).items()}
    return cast(dict[str, Any], json.loads(json.dumps(values)))


def _require_own_version(path: Path, record: Mapping[str, Any]) -> None:
    """Raises RunFolderError where another version began what is to go on: it may round and record otherwise."""
    begun = record["versions"].get("vinnas_tf")
    require(
        begun == vinnas_tf.__version__,
        f"run folder {path} was begun by vinnas_tf {begun}, and this is {vinnas_tf.__version__}: go on with that "
        "version, use --overwrite to start anew, or use another --run_dir.",
        RunFolderError,
    )


def _refuse(path: Path, changes: Sequence[str], remedy: str) -> None:
    require(
        not changes,
        f"run folder {path} was made with other settings: {', '.join(changes)}; {remedy}, or use another --run_dir.",
        RunFolderError,
    )


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns 'field old -> new' for each setting, and the data, that differ."""
    old, new = ({**record["settings"], "data_fingerprint": record["data_fingerprint"][:12]} for record in (before, now))
    # The same images in another place are the same data set.
    places = _PLACES | {"dataset"} if before["data_fingerprint"] == now["data_fingerprint"] else _PLACES
    # What only the old record has, the stage no longer reads.
    names = [name for name in new if name not in places and old.get(name) != new[name]]
    return [f"{name} {json.dumps(old.get(name))} -> {json.dumps(new[name])}" for name in names]
