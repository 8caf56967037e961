"""Records of files that TensorFlow writes, read by number."""

import numpy as np
import pytest
import tensorflow as tf

from vinnas_tf.data.records import Records


@pytest.fixture
def files(tmp_path):
    """Two files, and all that they hold, by what TFDS calls it."""
    held = {}
    for name, count in (("a.tfrecord-00000-of-00002", 7), ("a.tfrecord-00001-of-00002", 4)):
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for number in range(count):
                record = np.random.default_rng([number, count]).bytes(10 * number)
                writer.write(record)
                held[f"{name}__{number}"] = record
    return tmp_path, held


def test_any_record_is_read_in_any_order(files):
    folder, held = files
    ids = np.random.default_rng(0).permutation(list(held))
    records = Records(folder, ids.tolist())
    for index in (10, 0, 3, 3, 7):
        assert records[index] == held[ids[index]]


def test_a_file_that_is_cut_off_or_lacks_a_record_is_refused(files):
    folder, held = files
    with pytest.raises(ValueError, match="fewer records"):
        Records(folder, [*held, "a.tfrecord-00001-of-00002__4"])
    path = folder / "a.tfrecord-00001-of-00002"
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) - 40, 3):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is cut off|fewer records"):
            Records(folder, list(held))
    path.unlink()
    with pytest.raises(OSError, match="No such file"):
        Records(folder, list(held))
