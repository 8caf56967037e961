"""Folders as people lay them out, made here; and those that are refused, with the line that helps."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vinnas_tf.data.folder_layout import read_layout
from vinnas_tf.errors import UserError


def write(folder: Path, count: int = 5, suffix: str = "png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels = np.random.default_rng(hash(str(folder)) % 2**32 + index).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.{suffix}")


def refusal(folder):
    with pytest.raises(UserError) as caught:
        read_layout(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_class_folders(tmp_path):
    write(tmp_path / "dog", 2)
    write(tmp_path / "cat", 3)
    layout = read_layout(tmp_path)
    assert layout.class_names == ("cat", "dog") and list(layout.parts) == ["train"]
    files = layout.parts["train"]
    assert files.classes == ["cat"] * 3 + ["dog"] * 2
    assert files.names == ["000.png", "001.png", "002.png", "000.png", "001.png"]
    assert files.paths[3] == tmp_path / "dog/000.png"


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "validation", "test"), ("Train", "VAL", "Test"), ("TRAIN", "valid", "test")],
)
def test_parts_in_any_case(train, validation, test, tmp_path):
    for part in (train, validation, test):
        write(tmp_path / part / "cat", 1)
        write(tmp_path / part / "dog", 1)
    layout = read_layout(tmp_path)
    assert layout.class_names == ("cat", "dog")
    assert {part: files.paths[1] for part, files in layout.parts.items()} == {
        "train": tmp_path / train / "dog/000.png",
        "validation": tmp_path / validation / "dog/000.png",
        "test": tmp_path / test / "dog/000.png",
    }


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "car", "train"):
        write(tmp_path / name)
    assert read_layout(tmp_path).class_names == ("bus", "car", "train")


def test_folders_inside_a_class_belong_to_it_once_each(tmp_path):
    write(tmp_path / "cat/more/still", 2)
    write(tmp_path / "cat", 1)
    write(tmp_path / "dog", 1)
    (tmp_path / "cat" / "more" / "again").symlink_to(tmp_path / "cat")  # A link back, as backups have them.
    names = read_layout(tmp_path).parts["train"].names
    assert names == ["000.png", "more/still/000.png", "more/still/001.png", "000.png"]


def test_what_is_left_out_is_counted_by_kind(tmp_path):
    write(tmp_path / "cat", 1)
    write(tmp_path / "dog", 1, "webp")
    for name in ("notes.txt", "b.txt", "photo.heic", "noend", ".hidden.png"):
        (tmp_path / "cat" / name).write_text("")
    (tmp_path / "dog" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "labels.csv").write_text("")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    layout = read_layout(tmp_path)
    assert layout.class_names == ("cat", "dog") and len(layout.parts["train"].paths) == 2
    assert dict(layout.left_out) == {
        ".txt": 2,
        ".heic": 1,
        "without suffix": 1,
        "hidden": 1,
        "links that lead nowhere": 1,
        "outside of class folders": 1,
    }


def test_flat_folders_are_refused_with_a_layout_that_works(tmp_path):
    assert "nowhere is no folder" in refusal(tmp_path / "nowhere")
    assert "no class folders" in refusal(tmp_path)
    write(tmp_path, 4)
    text = refusal(tmp_path)
    assert "4 images and no class folders" in text and f"{tmp_path}/cat/*.jpg" in text
    for part in ("train", "test"):
        write(tmp_path / "flat" / part, 3)
    assert "train holds 3 images and no class folders" in refusal(tmp_path / "flat")
    write(tmp_path / "mixed" / "train" / "cat", 3)
    write(tmp_path / "mixed" / "train" / "dog", 3)
    write(tmp_path / "mixed" / "test", 3)
    text = refusal(tmp_path / "mixed")
    assert "test holds no class folders" in text and "test/cat/*.jpg" in text


def test_folders_that_may_mean_two_things_are_refused(tmp_path):
    for name in ("cat", "dog"):
        write(tmp_path / "train" / name)
    write(tmp_path / "raw")
    assert "raw/" in refusal(tmp_path) and "parts or classes" in refusal(tmp_path)
    write(tmp_path / "two" / "val" / "cat")
    write(tmp_path / "two" / "validation" / "cat")
    assert "val/ and validation/" in refusal(tmp_path / "two")
    write(tmp_path / "loose" / "cat")
    write(tmp_path / "loose" / "dog")
    write(tmp_path / "loose" / "test")  # Images without labels, as competitions hand them out.
    assert "test holds 5 images and no class folders" in refusal(tmp_path / "loose")
    write(tmp_path / "testonly" / "test" / "cat")
    assert "no train/" in refusal(tmp_path / "testonly")


def test_one_class_is_no_data_set(tmp_path):
    write(tmp_path / "cat")
    assert "one class only (cat)" in refusal(tmp_path)


def test_a_class_of_a_part_must_have_training_images(tmp_path):
    for part, names in (("train", "ab"), ("test", "abc")):
        for name in names:
            write(tmp_path / part / name, 2)
    assert "test/c is a class without training images; the classes are a, b" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "tail ", "\u2028", b"\xff\xfe".decode("utf-8", "surrogateescape")])
def test_names_that_no_file_of_labels_can_hold_are_refused(name, tmp_path):
    write(tmp_path / "cat")
    (tmp_path / name).mkdir()
    assert "can't be written into a file of labels" in refusal(tmp_path)


def test_names_are_the_same_on_every_file_system(tmp_path):
    write(tmp_path / "Ku\u0308he")  # As macOS spells it.
    write(tmp_path / "Esel")
    assert read_layout(tmp_path).class_names == ("Esel", "K\u00fche")
    (tmp_path / "K\u00fche").mkdir()
    assert "spelt in two ways" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_an_unreadable_folder_is_no_empty_one(tmp_path):
    write(tmp_path / "cat")
    write(tmp_path / "dog")
    (tmp_path / "dog").chmod(0)
    try:
        with pytest.raises(OSError, match="dog"):
            read_layout(tmp_path)
    finally:
        (tmp_path / "dog").chmod(0o755)
