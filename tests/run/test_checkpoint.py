"""What a run goes on from, and where it can't."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from vinnas_tf.errors import UserError
from vinnas_tf.run.checkpoint import EpochCheckpoint, Restored, warn_of_lost_epochs

ROWS = [{"epoch": 1, "loss": 0.1 + 0.2, "held_out": None}, {"epoch": 2, "loss": 1e-45, "held_out": 3}]
ARRAYS = {"normal/mean": np.array([[0.1, np.nan], [2.0, 3.0]])}


def model_of(widths: tuple[int, ...]) -> keras.Model:
    return keras.Sequential([keras.layers.Input((3,)), *(keras.layers.Dense(width) for width in widths)])


def checkpoint(folder: Path, widths: tuple[int, ...] = (4,)) -> EpochCheckpoint:
    return EpochCheckpoint(model_of(widths), [], folder)


def test_what_comes_back_is_what_was_saved_bit_for_bit(tmp_path: Path) -> None:
    model, optimizer = model_of((4, 5)), keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    optimizer.apply([np.full(v.shape, 0.3, np.float32) for v in model.trainable_variables])
    EpochCheckpoint(model, [optimizer], tmp_path).save(2, ROWS, ARRAYS)
    again, other = model_of((4, 5)), keras.optimizers.Adam()
    other.build(again.trainable_variables)
    restored = EpochCheckpoint(again, [other], tmp_path).restore()
    assert (restored.epochs, restored.rows) == (2, ROWS)
    np.testing.assert_array_equal(restored.arrays["normal/mean"], ARRAYS["normal/mean"])
    for one, two in zip([*model.variables, *optimizer.variables], [*again.variables, *other.variables], strict=True):
        assert one.numpy().tobytes() == two.numpy().tobytes()


@pytest.mark.parametrize("widths", [(4, 6), (4,), (4, 5, 2)], ids=["shapes", "fewer", "more"])
def test_a_checkpoint_of_other_variables_is_one_clear_error(widths: tuple[int, ...], tmp_path: Path) -> None:
    checkpoint(tmp_path, (4, 5)).save(3, ROWS, ARRAYS)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"epoch-3\.npz has other variables .* start anew\.$"):
        checkpoint(tmp_path, widths).restore()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    assert checkpoint(tmp_path, (4, 5)).restore().epochs == 3


def test_every_cut_and_every_turned_bit_falls_back_to_the_checkpoint_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for epochs in (1, 2):
        checkpoint(tmp_path).save(epochs, ROWS[:epochs], {})
    newest = tmp_path / "epoch-2.npz"
    good = newest.read_bytes()
    turned = [
        good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :] for place in range(0, len(good), 7)
    ]
    for damaged in (b"", good[: len(good) // 2], good[:-1], *turned):
        newest.write_bytes(damaged)
        caplog.clear()
        restored = checkpoint(tmp_path).restore()
        assert (restored.epochs, restored.rows) == (1, ROWS[:1])
        assert caplog.messages == [f"{newest} is damaged: goes on from epoch-1.npz."]
    newest.write_bytes(good)
    assert checkpoint(tmp_path).restore().epochs == 2


def test_where_all_are_damaged_the_run_stops_and_says_so(tmp_path: Path) -> None:
    for epochs in (1, 2):
        checkpoint(tmp_path).save(epochs, ROWS[:epochs], {})
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="epoch-1.npz and .*epoch-2.npz are damaged, .* start anew with overwrite"):
        checkpoint(tmp_path).restore()


def test_two_are_kept_and_what_a_killed_write_left_goes(tmp_path: Path) -> None:
    (tmp_path / ".epoch-3.npz.tmp").write_bytes(b"half")
    (tmp_path / "ckpt-3_temp").mkdir()
    (tmp_path / "ckpt-3_temp" / "part").write_bytes(b"half")
    for epochs in range(8, 12):
        checkpoint(tmp_path).save(epochs, [], {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-10.npz", "epoch-11.npz"]
    assert checkpoint(tmp_path).restore().epochs == 11


def test_a_checkpoint_is_data_and_runs_no_code(tmp_path: Path) -> None:
    checkpoint(tmp_path).save(1, ROWS[:1], {})
    with zipfile.ZipFile(tmp_path / "epoch-1.npz") as archive:
        assert archive.testzip() is None
    with np.load(tmp_path / "epoch-1.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_lost_checkpoints_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = tmp_path / "metrics.csv"
    warn_of_lost_epochs(metrics, Restored())
    assert not caplog.messages
    metrics.write_text("epoch\n1\n")
    warn_of_lost_epochs(metrics, Restored(1))
    assert not caplog.messages
    warn_of_lost_epochs(metrics, Restored())
    assert caplog.messages == [f"{metrics} tells of epochs that no checkpoint holds: starts anew."]


def test_a_folder_that_was_moved_is_gone_on_from_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint(Path("run") / "checkpoints").save(2, [], {})
    Path("run").rename("moved")
    Path("link").symlink_to("moved")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    for folder in (tmp_path / "moved", Path("../moved"), Path("../link")):
        assert checkpoint(folder / "checkpoints").restore().epochs == 2
    monkeypatch.chdir(tmp_path / "moved")
    checkpoint(Path("checkpoints")).save(3, [], {})
    assert checkpoint(tmp_path / "link" / "checkpoints").restore().epochs == 3
