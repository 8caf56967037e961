"""A run folder is worked in by one process, and as long as it is that folder."""

import shutil
from pathlib import Path

import pytest

from vinnas_tf.errors import RunFolderError
from vinnas_tf.run.files import write_atomically, writing
from vinnas_tf.run.lock import Lock


def test_one_at_a_time(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    with pytest.raises(RunFolderError, match="in use by process"):
        Lock(tmp_path)
    lock.release()
    lock.release()
    Lock(tmp_path).release()


@pytest.mark.parametrize("owner", [b"\xff\xfe", b""])
def test_a_lock_whose_content_is_damaged_is_one_all_the_same(owner: bytes, tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    (tmp_path / ".lock").write_bytes(owner)
    with pytest.raises(RunFolderError, match="in use by process"):
        Lock(tmp_path)
    lock.release()


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def replaced(folder: Path) -> None:
    """Somebody removed it, and started the command again."""
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "search").mkdir()
    (folder / ".lock").write_text("1")


@pytest.mark.parametrize("happens", [removed, moved, replaced])
def test_nothing_is_written_into_a_folder_that_is_another_now(
    happens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("run")
    (folder / "search").mkdir(parents=True)
    lock = Lock(folder)
    write_atomically(folder / "search" / "a", "x")
    happens(folder)
    there = sorted(tmp_path.rglob("*"))
    for path in (folder / "search" / "a", tmp_path / "run" / "search" / "b", folder / "config.json"):
        with pytest.raises(RunFolderError, match="^run folder .*run was removed, moved or replaced while"):
            write_atomically(path, "y")
        with pytest.raises(RunFolderError), writing(path):
            path.parent.mkdir(parents=True)
    assert sorted(tmp_path.rglob("*")) == there
    write_atomically(tmp_path / "other", "z")
    lock.release()


def test_a_link_to_it_is_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    lock = Lock(tmp_path / "link")
    with pytest.raises(RunFolderError, match="in use by process"):
        Lock(tmp_path / "run")
    write_atomically(tmp_path / "link" / "a", "x")
    assert (tmp_path / "run" / "a").read_text() == "x"
    lock.release()
