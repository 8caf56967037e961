"""Files that tell whether they are as they were written."""

from pathlib import Path

import numpy as np
import pytest

from vinnas_tf.errors import UserError
from vinnas_tf.run.sealed import read_sealed, write_sealed


def test_arrays_come_back_in_their_order_and_numpy_reads_them_too(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    arrays = {"b": np.array([np.nan, 5e-324]), "a/c": np.array("é"), "empty": np.zeros((0, 3), np.float32)}
    write_sealed(path, arrays)
    read = read_sealed(path)
    assert list(read) == list(arrays)
    with np.load(path, allow_pickle=False) as other:
        for name, value in arrays.items():
            for one in (read[name], other[name]):
                assert (one.dtype, one.shape, one.tobytes()) == (value.dtype, value.shape, value.tobytes())


def test_a_file_that_is_no_longer_what_it_was_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_sealed(path, {"a": np.arange(3)})
    good = path.read_bytes()
    turned = [good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :] for at in range(len(good))]
    for content in (b"", good[:-1], good[: len(good) // 2], good + b"x", *turned):
        path.write_bytes(content)
        assert read_sealed(path) is None
    path.unlink()
    with pytest.raises(UserError, match="^can't read .*a.npz: No such file"):
        read_sealed(path)
