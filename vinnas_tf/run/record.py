"""What made each stage of a run folder: `config.json`, how it is read, and how two records of a stage differ.

A record holds resolved settings (the seed among them), preset, data fingerprint, versions, platform and date.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import vinnas_tf
from vinnas_tf.errors import RunFolderError, require
from vinnas_tf.run.digest import sha256_of_json
from vinnas_tf.run.files import write_atomically

FORMAT = "vinnas_tf run 1"
PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy")
# Where a file lies isn't what it is: the fingerprints of data and genotype answer for that.
_PLACES = frozenset({"data_dir", "genotype"})
# What computes isn't what is computed: a run may go on with other devices.
_COMPUTERS = frozenset({"devices", "deterministic"})
# What earlier versions did, whose records don't tell.
_BEFORE = {"precision": "float32", "float32_precision": "tf32", "jit_compile": "auto"}


def provenance() -> dict[str, Any]:
    """Versions, platform and date; they are recorded, and may differ when a run is resumed."""
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {
        "versions": {"vinnas_tf": vinnas_tf.__version__, **versions},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def read_stages(path: Path) -> dict[str, Any]:
    """The records of a run folder by stage; none where there is no config.json.

    Raises:
        RunFolderError: it is damaged, or of another format.
    """
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        known = config["format"] == FORMAT and config.get("sha256") in (None, sha256_of_json(config["stages"]))
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


def write_stages(path: Path, stages: Mapping[str, Any]) -> None:
    """Writes all records of a run folder; raises FileError where that can't be done."""
    config = {"format": FORMAT, "stages": stages, "sha256": sha256_of_json(stages)}
    write_atomically(path / "config.json", json.dumps(config, indent=2) + "\n")


def settings_of(configs: Sequence[Any]) -> dict[str, Any]:
    """The fields of all dataclass instances, or mappings, as JSON holds them; of one name the last counts."""
    fields = (config if isinstance(config, Mapping) else dataclasses.asdict(config) for config in configs)
    values = {name: value for of_one in fields for name, value in of_one.items()}
    return cast(dict[str, Any], json.loads(json.dumps(values)))


def require_own_version(path: Path, record: Mapping[str, Any]) -> None:
    """Raises RunFolderError where another version began what is to go on: it may round and record otherwise."""
    begun = record["versions"].get("vinnas_tf")
    require(
        begun == vinnas_tf.__version__,
        f"run folder {path} was begun by vinnas_tf {begun}, and this is {vinnas_tf.__version__}: go on with that "
        "version, use --overwrite to start anew, or use another --run_dir.",
        RunFolderError,
    )


def refuse(path: Path, changes: Sequence[str], remedy: str) -> None:
    """Raises RunFolderError where there are changes of settings; `remedy` says what to do about them."""
    require(
        not changes,
        f"run folder {path} was made with other settings: {', '.join(changes)}; {remedy}, or use another --run_dir.",
        RunFolderError,
    )


def changes_between(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """'field old -> new' for each setting, and the data, that differ."""
    old, new = (
        {**_BEFORE, **record["settings"], "data_fingerprint": record["data_fingerprint"][:12]}
        for record in (before, now)
    )
    free = _PLACES | _COMPUTERS
    if before["data_fingerprint"] == now["data_fingerprint"]:  # The same images in another place are the same data set.
        free |= {"dataset"}
    # What only the old record has, the stage no longer reads.
    names = [name for name in new if name not in free and old.get(name) != new[name]]
    return [f"{name} {json.dumps(old.get(name))} -> {json.dumps(new[name])}" for name in names]
