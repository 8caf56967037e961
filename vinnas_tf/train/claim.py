"""What the checkpoints of a training are of, so that no other training goes on from them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vinnas_tf.errors import require
from vinnas_tf.run.files import read_text, write_atomically, writing

# Settings that only the last steps depend on: with others, a finished training is pruned again.
LATE_SETTINGS = ("log_noise_ratio_threshold", "fine_tuning_epochs")
NAME = "training.json"


def claim(folder: Path, record: Mapping[str, Any]) -> None:
    """Records in a new folder what its checkpoints are of, or makes sure that those in it are of the same.

    Args:
        folder: where checkpoints are kept.
        record: settings, and what tells images and networks apart; `LATE_SETTINGS` don't count.

    Raises:
        SettingError: the folder holds another training's, or something else.
        FileError: it can't be written.
    """
    text = json.dumps({name: value for name, value in record.items() if name not in LATE_SETTINGS}, indent=2) + "\n"
    record = json.loads(text)  # JSON has no tuples.
    path = folder / NAME
    if not path.exists():
        require(
            not folder.exists() or not any(folder.iterdir()),
            f"checkpoints={str(folder)!r} holds something else than checkpoints of this class: name another folder.",
        )
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        return
    try:
        before = dict(json.loads(read_text(path)))
    except (ValueError, TypeError):
        before = {}
    changed = [name for name, value in record.items() if before.get(name) != value]
    require(
        not changed,
        f"checkpoints={str(folder)!r} holds another training ({', '.join(changed)} differ): name another folder.",
    )
