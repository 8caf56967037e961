"""What a run goes on from, where it can't go on."""

from pathlib import Path

import keras
import pytest

from vinnas_tf.errors import UserError
from vinnas_tf.run.checkpoint import EpochCheckpoint


def checkpoint(folder: Path, widths: tuple[int, ...]) -> EpochCheckpoint:
    model = keras.Sequential([keras.layers.Input((3,)), *(keras.layers.Dense(width) for width in widths)])
    return EpochCheckpoint(model, [], folder)


@pytest.mark.parametrize("widths", [(4, 6), (4,), (4, 5, 2)], ids=["shapes", "fewer", "more"])
def test_a_checkpoint_of_other_variables_is_one_clear_error(widths: tuple[int, ...], tmp_path: Path) -> None:
    checkpoint(tmp_path, (4, 5)).save(3)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"ckpt-3 has other variables .* start anew\.$"):
        checkpoint(tmp_path, widths).restore()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    assert checkpoint(tmp_path, (4, 5)).restore() == 3


def test_a_folder_that_was_moved_is_gone_on_from_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved = checkpoint(Path("run") / "checkpoints", (4,))
    saved.save(1)
    saved.save(2)
    Path("run").rename("moved")
    Path("link").symlink_to("moved")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    for folder in (tmp_path / "moved", Path("../moved"), Path("../link")):
        assert checkpoint(folder / "checkpoints", (4,)).restore() == 2
    monkeypatch.chdir(tmp_path / "moved")
    checkpoint(Path("checkpoints"), (4,)).save(3)
    assert checkpoint(tmp_path / "link" / "checkpoints", (4,)).restore() == 3
    kept = sorted(path.stem for path in Path("checkpoints").glob("*.index"))
    assert kept == ["ckpt-2", "ckpt-3"]
