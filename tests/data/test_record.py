"""The record of which image was which, written and read back."""

import csv

import numpy as np
import pytest

from vinnas_tf.data import record as image_record
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.picture import digest
from vinnas_tf.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), np.uint8)
NAMES = np.array(
    ["a.jpg", 'b "two", c.jpg', "more/d.jpg", "ü.jpg", "e", "f", "g", "h", b"\xff".decode(errors="surrogateescape")]
)


HEADER = "part,class,name,digest\n"
PARTS = {"training": (0, 4), "held_out": (4, 5), "test": (5, 9)}


@pytest.fixture
def record(tmp_path):
    images = ImageSet(PIXELS, np.arange(9, dtype=np.int32) % 2, NAMES)
    parts = {part: images.take(np.arange(*ends)) for part, ends in PARTS.items()}
    image_record.write(tmp_path / image_record.NAME, parts, ("cat", "dog, big"))
    return tmp_path / image_record.NAME


def test_every_image_stands_on_a_line(record):
    with open(record, encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["part"] for row in rows] == ["training"] * 4 + ["held_out"] + ["test"] * 4
    assert [row["name"] for row in rows] == NAMES.tolist()
    assert [row["class"] for row in rows] == ["cat", "dog, big"] * 4 + ["cat"]
    assert [int(row["digest"], 16) for row in rows] == [digest(image) for image in PIXELS]


def test_what_was_learnt_from_is_told_from_test_images(record):
    digests = np.array([digest(image) for image in PIXELS], np.uint64)
    assert image_record.learnt(record).tolist() == digests[:5].tolist()
    assert image_record.held_out(record).tolist() == digests[4:5].tolist()
    assert image_record.tested(record).tolist() == digests[5:].tolist()
    assert image_record.learnt(record.with_name("nowhere.csv")).size == 0


@pytest.mark.parametrize("rows", ["", "part,name\n", f"{HEADER}training,cat,a,no number\n", f"{HEADER}a,b\n"])
def test_a_damaged_record_is_refused(rows, record):
    record.write_text(rows)
    with pytest.raises(UserError, match=r"images\.csv is not the record of a stage's images"):
        image_record.learnt(record)
