"""Digests against those that `sha256sum` prints."""

import subprocess

import pytest

from vinnas_tf.errors import UserError
from vinnas_tf.run.digest import files_of, sha256, sha256_of


def shell(command, folder):
    return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout.split()[0]


def test_of_a_file_a_text_and_a_folder(tmp_path):
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "one").write_bytes(b"\0\xff")
    (tmp_path / "b" / "two").write_text("été")
    (tmp_path / "a.b").write_text("")
    assert (
        sha256("été")
        == sha256("été".encode())
        == sha256_of(tmp_path / "b" / "two")
        == shell("sha256sum b/two", tmp_path)
    )
    listing = r"find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    assert sha256_of(str(tmp_path)) == shell(listing, tmp_path)
    assert files_of(tmp_path / "a.b") == [tmp_path / "a.b"]


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match="can't read .*none: No such file"):
        sha256_of(tmp_path / "none")
