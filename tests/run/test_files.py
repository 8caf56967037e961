"""Files are whole or not there, and metrics come back bit for bit."""

import os
import pwd
import resource
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vinnas_tf.errors import UserError
from vinnas_tf.run.files import read_metrics, read_text, user_path, write_atomically, write_metrics


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_write_atomically(tmp_path):
    path = tmp_path / "a.json"
    write_atomically(path, "é")
    assert path.read_bytes() == "é".encode()
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["a.json"]


def test_a_write_that_fails_leaves_the_old_content_alone(tmp_path):
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    # The kernel refuses a file beyond the limit half-way through the write, as it does on a full disk.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limit[1]))
    try:
        with pytest.raises(UserError, match="a.json: File too large"):
            write_atomically(path, b"n" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_metrics_come_back_bit_for_bit(tmp_path):
    path = tmp_path / "metrics.csv"
    generator = np.random.default_rng(0)
    rows = []
    for epoch, value in enumerate([*generator.normal(size=50), 5e-324, 1.7976931348623157e308, -0.0], 1):
        rows.append({"epoch": epoch, "cross_entropy": value, "kl": np.float32(np.tanh(value)), "alpha_error": None})
    write_metrics(path, rows)
    back = read_metrics(path)
    assert len(back) == len(rows)
    for row, read in zip(rows, back, strict=True):
        assert read["epoch"] == row["epoch"]
        assert isinstance(read["epoch"], int)
        assert isinstance(read["cross_entropy"], float)
        assert isinstance(read["kl"], float)
        assert read["cross_entropy"].hex() == float(row["cross_entropy"]).hex()
        assert read["kl"].hex() == float(row["kl"]).hex()
        assert read["alpha_error"] is None
    first = path.read_bytes()
    write_metrics(path, back)
    assert path.read_bytes() == first


def test_metrics_file_is_plain_csv(tmp_path):
    rows: list[dict[str, Any]] = [{"epoch": np.int64(1), "error": 0.1}, {"epoch": 2, "error": None}]
    write_metrics(tmp_path / "metrics.csv", rows)
    assert (tmp_path / "metrics.csv").read_text() == "epoch,error\n1,0.1\n2,\n"


def test_metrics_before_the_first_epoch(tmp_path):
    assert read_metrics(tmp_path / "metrics.csv") == []
    write_metrics(tmp_path / "metrics.csv", [])
    assert read_metrics(tmp_path / "metrics.csv") == []


def test_metrics_rows_must_match(tmp_path):
    with pytest.raises(ValueError, match="epoch, error"):
        write_metrics(tmp_path / "metrics.csv", [{"epoch": 1, "error": 0.5}, {"epoch": 2}])
    assert names(tmp_path) == []


def test_a_tilde_stands_for_a_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/pictures") == tmp_path / "pictures"
    user = pwd.getpwuid(os.getuid())
    assert user_path(f"~{user.pw_name}/pictures") == Path(user.pw_dir, "pictures")
    for text in ("runs/a", "runs/~", "/a", ""):
        assert user_path(text) == Path(text)


@pytest.mark.parametrize("text", ["~no-such-user/pictures", "~no-such-user"])
def test_an_unknown_home_folder_is_one_line(text):
    with pytest.raises(UserError, match=f"^{text}: there is no home folder ~no-such-user on this machine: [^\n]*$"):
        user_path(text)


def test_text_is_read_with_a_byte_order_mark_and_other_line_ends(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfc\xc3\xa9\r\nb\n")
    assert read_text(path) == "cé\nb\n"


@pytest.mark.parametrize("content", ["é".encode("latin-1"), "a".encode("utf-16"), "a".encode("utf-16-le")])
def test_text_of_another_encoding_is_one_line(tmp_path, content):
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(UserError, match="^can't read .*text: it isn't UTF-8 text.$"):
        read_text(path)
