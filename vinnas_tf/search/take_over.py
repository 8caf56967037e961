"""A search that goes on from the last epoch of another, and does what comes after it in its own way."""

import os
import shutil
from pathlib import Path
from typing import Any

from vinnas_tf.errors import RunFolderError, require
from vinnas_tf.run.files import writing
from vinnas_tf.run.folder import RunDir, stage_record

_CHECKPOINTS = "checkpoints"


def take_over(source: Path, target: Path, own: Any) -> None:
    """Makes `target` the run folder of a search that has the epochs of the one in `source` behind it.

    The search command then resumes there after the last epoch. Where only what follows reads the settings that differ,
    it ends as if it had done the epochs itself. A folder that has begun is left as it is.

    Args:
        source: run folder with a finished search.
        target: run folder to write.
        own: the method's own settings, a dataclass instance; all others are those of `source`.

    Raises:
        RunFolderError: `source` has no finished search or no checkpoint of it, or `target` is another run.
        FileError: `target` cannot be written.
    """
    record = stage_record(source, "search")
    kept = source / "search" / _CHECKPOINTS
    require(
        kept.is_dir(),
        f"{kept} is missing, which another row's choice needs: remove {source} to search again.",
        RunFolderError,
    )
    with RunDir(
        target,
        stage="search",
        settings=[record["settings"], own],
        data_fingerprint=record["data_fingerprint"],
        preset=record["preset"],
    ) as run:
        checkpoints = run.file(_CHECKPOINTS)
        if checkpoints.exists():
            return
        half = run.file(f".{_CHECKPOINTS}.tmp")
        shutil.rmtree(half, ignore_errors=True)  # Of a copy that was killed.
        with writing(half):
            shutil.copytree(kept, half)
            os.replace(half, checkpoints)
