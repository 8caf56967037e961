"""What two runs have in common, and what tells one state of a folder from another."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks.crash_drill import tree
from vinnas_tf.run.files import write_metrics
from vinnas_tf.run.outputs import mark
from vinnas_tf.run.sealed import write_sealed


def write_run(root: Path, seconds: float, weight: float = 1.0, loss: float = 0.5) -> None:
    """A run folder, which took some time."""
    folder = root / "search"
    folder.mkdir(parents=True)
    rows = [{"epoch": 1, "loss": loss, "seconds": seconds}]
    write_metrics(folder / "metrics.csv", rows)
    write_sealed(folder / "epoch-1.npz", {"variable/0": np.array([weight]), "rows": np.array(json.dumps(rows))})
    (folder / "result.json").write_text(json.dumps({"loss": loss, "search_seconds": seconds, "network_sha256": "a"}))
    (folder / "comparison.md").write_text(
        f"| row | accuracy | search min |\n| --- | --- | --- |\n| a | 1 | {seconds} |\n"
    )
    inputs = keras.Input((2,), name="x")
    network = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones", name="y")(inputs), name="z")
    network.layers[-1].kernel.assign(np.full((2, 1), weight))
    network.save(folder / "network.keras")
    (folder / "tensorboard").mkdir()
    (folder / "tensorboard" / f"events.{seconds}").write_text("x")
    mark(folder, "search")


def test_only_times_are_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1.5)
    write_run(tmp_path / "b", 2.5)
    write_run(tmp_path / "other_weight", 1.5, weight=1.1)
    write_run(tmp_path / "other_loss", 1.5, loss=0.6)
    a, b, weight, loss = (tree.contents(tmp_path / name) for name in ("a", "b", "other_weight", "other_loss"))
    assert a == b
    assert len(a) == 6
    differ = {name.removeprefix("search/") for name in a if weight[name] != a[name]}
    assert differ == {"epoch-1.npz", "network.keras"}
    differ = {name.removeprefix("search/") for name in a if loss[name] != a[name]}
    assert differ == {"metrics.csv", "epoch-1.npz", "result.json"}


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a").write_bytes(b"xz"),
        lambda root: (root / "a").rename(root / "b"),
        lambda root: (root / "folder").rmdir(),
        lambda root: (root / "new").write_bytes(b""),
        lambda root: (root / "folder" / ".lock").write_bytes(b""),
    ],
)
def test_every_change_but_of_who_holds_the_lock_is_another_state(change, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "a").write_bytes(b"xy")
    (root / ".lock").write_bytes(b"1")
    before = tree.digest(root)
    (root / ".lock").write_bytes(b"2")
    assert tree.digest(root) == before
    change(root)
    assert tree.digest(root) != before


def test_a_copy_is_the_same_whatever_was_there(tmp_path: Path) -> None:
    write_run(tmp_path / "a", 1.5)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "more").write_text("x")
    tree.copy(tmp_path / "a", tmp_path / "b")
    assert tree.digest(tmp_path / "a") == tree.digest(tmp_path / "b")
    tree.copy(tmp_path / "nothing", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_damaged_file_is_what_its_bytes_are(tmp_path: Path) -> None:
    for name in ("a.json", "b.npz", "c.keras", "d.md", "finished"):
        (tmp_path / name).write_bytes(b"finished\nhalf of it")
    assert len(tree.contents(tmp_path)) == 5
