"""What a killed command leaves in a run folder beside its outputs, and how the next one removes it."""

import os
import re
import shutil
from pathlib import Path

TRASH = ".trash"  # Outputs that an --overwrite removes.
BUILDING, SCRATCH = ".building", ".scratch"  # An export's files before they stand in their place.
_FOLDERS = frozenset({TRASH, BUILDING, SCRATCH})
_TEMPORARY = re.compile(r"\..+\.tmp")  # As `write_atomically` names them.


def clear(run_dir: Path, stage: Path) -> None:
    """Removes them from the folder of a stage, and files from the run folder itself; nobody else may write there.

    Run folders inside, such as a comparison's, may be in use and are left alone.
    """
    _remove_files(run_dir, os.listdir(run_dir))
    for place, folders, files in os.walk(stage):
        if "config.json" in files:
            folders.clear()
            continue
        _remove_files(Path(place), files)
        for name in _FOLDERS.intersection(folders):
            shutil.rmtree(Path(place, name))
            folders.remove(name)


def _remove_files(folder: Path, names: list[str]) -> None:
    for name in names:
        if _TEMPORARY.fullmatch(name):
            (folder / name).unlink(missing_ok=True)
