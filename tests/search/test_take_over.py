"""A search that goes on from another's last epoch: what its folder holds, and what is refused."""

import shutil
from pathlib import Path

import pytest

from vinnas_tf.config import DataConfig, SearchConfig
from vinnas_tf.errors import UserError
from vinnas_tf.methods.vinnas import VinnasSettings
from vinnas_tf.run.folder import RunDir, stage_record
from vinnas_tf.search.take_over import take_over


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """A finished search's folder, with two checkpoints."""
    path = tmp_path / "vinnas"
    settings = [DataConfig(), SearchConfig(seed=7), VinnasSettings(), {"backbone_sha256": "of a file"}]
    with RunDir(path, stage="search", settings=settings, data_fingerprint="f", preset="digits") as run:
        run.file("checkpoints").mkdir()
        for epoch in (1, 2):
            (run.file("checkpoints") / f"epoch-{epoch}.npz").write_bytes(bytes([epoch]))
        run.file("genotype.json").write_text("{}")
        run.mark_finished()
    return path


def test_it_has_the_epochs_and_the_record_but_for_its_own_settings(searched: Path, tmp_path: Path) -> None:
    target = tmp_path / "magnitude"
    own = VinnasSettings(select="magnitude")
    half = target / "search" / ".checkpoints.tmp"
    for attempt in range(3):
        take_over(searched, target, own)
        for epoch in (1, 2):
            assert (target / "search" / "checkpoints" / f"epoch-{epoch}.npz").read_bytes() == bytes([epoch])
        assert not half.exists()
        if attempt == 0:  # As if it had been killed in the middle of copying.
            shutil.rmtree(target / "search" / "checkpoints")
            half.mkdir()
            (half / "epoch-1.npz").write_bytes(b"cut")
        else:  # A search that goes on there has a checkpoint of its own: it is left.
            (target / "search" / "checkpoints" / "epoch-3.npz").write_bytes(b"3")
    assert (target / "search" / "checkpoints" / "epoch-3.npz").exists()
    source = stage_record(searched, "search")
    settings = [DataConfig(), SearchConfig(seed=7), own, {"backbone_sha256": "of a file"}]
    with RunDir(target, stage="search", settings=settings, data_fingerprint="f") as run:  # The command finds its own.
        assert run.record["settings"] == {**source["settings"], "select": "magnitude"}
        assert (run.record["preset"], run.record["data_fingerprint"]) == ("digits", "f")
        assert not run.finished


def test_what_is_not_there_to_go_on_from_is_told(searched: Path, tmp_path: Path) -> None:
    shutil.rmtree(searched / "search" / "checkpoints")
    with pytest.raises(UserError, match="checkpoints is missing, which another row's choice needs: remove .*vinnas to"):
        take_over(searched, tmp_path / "other", VinnasSettings())
    (searched / "search" / "finished").unlink()
    with pytest.raises(UserError, match="has no finished search"):
        take_over(searched, tmp_path / "other", VinnasSettings())
    assert not (tmp_path / "other").exists()
