"""Folders of real image files, written here and read back."""

import os

import numpy as np
import pytest
from PIL import Image

from vinnas_tf.config import ConfigError, DataConfig
from vinnas_tf.data import load_test, load_train
from vinnas_tf.sources import open_source

RED, BLUE, SIZE = (200, 30, 10), (20, 40, 220), (10, 8)  # Pillow's sizes are (width, height).


def write(folder, count=5, colour=RED, size=SIZE, suffix="png", mode="RGB"):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 20, (size[1], size[0], 3), np.uint8) + np.uint8(colour)
        Image.fromarray(pixels).convert(mode).save(folder / f"{index:03}.{suffix}")


@pytest.fixture
def two_classes(tmp_path):
    write(tmp_path / "cat", 10)
    write(tmp_path / "dog", 15, BLUE)
    return tmp_path


@pytest.fixture
def parts(tmp_path):
    for part, count in (("train", 4), ("test", 3)):
        write(tmp_path / part / "cat", count)
        write(tmp_path / part / "dog", count, BLUE)
    return tmp_path


def config(folder, **settings):
    return DataConfig(dataset=f"folder:{folder}", **settings)


def message(call, *arguments):
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refusal(folder, **settings):
    return message(load_train, config(folder, **settings), 0)


def test_a_folder_of_class_folders(two_classes):
    dataset, test = load_train(config(two_classes), 0), load_test(config(two_classes))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.images.shape == (20, 8, 10, 3)
    assert np.bincount(dataset.train.labels).tolist() == [8, 12]
    assert np.bincount(test.labels).tolist() == [2, 3]
    for part in (dataset.train, test):
        assert ((part.images[..., 0] > part.images[..., 2]) == (part.labels == 0)[:, None, None]).all()
    # Both parts together are the files, each once, pixel for pixel.
    loaded = sorted(image.tobytes() for image in np.concatenate([dataset.train.images, test.images]))
    assert loaded == sorted(np.asarray(Image.open(file)).tobytes() for file in two_classes.glob("*/*.png"))


def test_the_test_images_of_a_folder_are_the_same_for_every_seed(two_classes):
    everything = load_train(config(two_classes), 0).train.images
    for seed in range(3):
        part = load_train(config(two_classes, data_fraction=0.5), seed).train.images
        assert {image.tobytes() for image in part} <= {image.tobytes() for image in everything}
    assert load_test(config(two_classes)).images.tobytes() == load_test(config(two_classes)).images.tobytes()


def test_train_and_test_folders(parts):
    dataset, test = load_train(config(parts), 0), load_test(config(parts))
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 4
    assert test.labels.tolist() == [0] * 3 + [1] * 3
    assert (dataset.train.images[5] == np.asarray(Image.open(parts / "train/dog/001.png"))).all()
    assert (test.images[5] == np.asarray(Image.open(parts / "test/dog/002.png"))).all()


def test_loading_training_images_opens_no_test_file(parts, two_classes):
    sane = load_train(config(parts), 0).fingerprint
    for file in (parts / "test").glob("*/*"):
        file.write_bytes(b"no image")
    (parts / "test" / "bird").mkdir()
    assert load_train(config(parts), 0).fingerprint == sane
    assert "bird is a class without training images" in message(load_test, config(parts))


def test_loading_training_images_opens_no_held_out_file(two_classes):
    held_out = {image.tobytes() for image in load_test(config(two_classes)).images}
    sane = load_train(config(two_classes), 0).fingerprint
    for file in two_classes.glob("*/*.png"):
        if np.asarray(Image.open(file)).tobytes() in held_out:
            file.write_bytes(b"no image")
    assert load_train(config(two_classes), 0).fingerprint == sane
    assert "can't be read as an image" in message(load_test, config(two_classes))


def test_png_jpg_and_jpeg_of_any_case_are_read_and_other_files_left_alone(tmp_path):
    for suffix in ("png", "jpg", "JPEG"):
        write(tmp_path / "cat" / suffix, 2, suffix=suffix)
        for file in (tmp_path / "cat" / suffix).iterdir():
            file.rename(tmp_path / "cat" / f"{suffix}-{file.name}")
    write(tmp_path / "dog", 6, BLUE)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "cat" / ".hidden.png").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    assert load_train(config(tmp_path), 0).class_names == ("cat", "dog")
    assert len(open_source(config(tmp_path), "train").labels) + len(open_source(config(tmp_path), "test").labels) == 12


def test_grey_files_have_one_channel(tmp_path):
    write(tmp_path / "cat", mode="L")
    write(tmp_path / "dog", mode="1")
    images = load_train(config(tmp_path), 0).train.images
    assert images.shape == (8, 8, 10, 1)
    assert set(np.unique(images[4:])) <= {0, 255}


def test_grey_among_colour_files_becomes_rgb(parts):
    Image.new("L", SIZE, 77).save(parts / "train/cat/000.png")
    Image.new("L", SIZE, 78).save(parts / "test/cat/000.png")
    assert (load_train(config(parts), 0).train.images[0] == 77).all()
    assert load_test(config(parts)).images[0].shape == (8, 10, 3)


def test_colour_test_files_become_grey_where_training_is_grey(parts):
    write(parts / "train/cat", 4, mode="L")
    write(parts / "train/dog", 4, mode="L")
    Image.new("RGB", SIZE, (255, 0, 0)).save(parts / "test/cat/000.png")
    images = load_test(config(parts)).images
    assert images.shape == (6, 8, 10, 1)
    assert (images[0] == round(0.299 * 255)).all()  # ITU-R 601 luma.


def test_unusual_kinds_of_files_look_as_a_viewer_shows_them_on_white(parts):
    cat = parts / "train" / "cat"
    Image.new("RGBA", SIZE, (0, 100, 200, 0)).save(cat / "000.png")  # Fully transparent.
    half = Image.new("RGBA", SIZE, (0, 100, 200, 128))
    half.save(cat / "001.png")
    palette = Image.new("P", SIZE, 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    palette.save(cat / "002.png")
    deep = Image.fromarray(np.full((8, 10), 40000, np.uint16))
    deep.save(cat / "003.png")
    assert Image.open(cat / "003.png").mode == "I;16"
    images = load_train(config(parts), 0).train.images[:4]
    assert (images[0] == 255).all()
    assert (abs(images[1].astype(int) - [127, 177, 227]) <= 1).all()
    assert (images[2] == [9, 8, 7]).all()
    assert (abs(images[3].astype(int) - 40000 * 255 / 65535) <= 1).all()


def test_sizes_that_differ_need_image_size(parts):
    write(parts / "train/dog", 1, BLUE, size=(12, 20))
    text = refusal(parts)
    assert "000.png is 10 x 8" in text and "dog/000.png is 12 x 20" in text and "--image_size" in text
    resized = load_train(config(parts, image_size=16), 0).train
    assert resized.images.shape == (8, 16, 16, 3)
    assert ((resized.images[..., 0] > resized.images[..., 2]) == (resized.labels == 0)[:, None, None]).all()


def test_resizing_down_averages(tmp_path):
    stripes = np.tile(np.array([0, 200], np.uint8), (16, 8))
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for index in range(5):
            Image.fromarray(stripes).save(tmp_path / label / f"{index}.png")
    images = load_train(config(tmp_path, image_size=8), 0).train.images
    assert (abs(images[:, :, 1:-1].astype(int) - 100) <= 5).all()


def test_test_images_of_another_size_are_refused(parts):
    for label in ("cat", "dog"):
        write(parts / "test" / label, 3, size=(6, 6))
    text = message(load_test, config(parts))
    assert "6 x 6" in text and "10 x 8" in text and "--image_size=8" in text
    assert load_test(config(parts, image_size=8)).images.shape == (6, 8, 8, 3)


def test_a_corrupt_image_is_named(parts):
    file = parts / "train/dog/002.png"
    whole = file.read_bytes()
    for spoilt in (b"", b"GIF or something", whole[: len(whole) // 2]):
        file.write_bytes(spoilt)
        assert str(file) in refusal(parts)
    photo = parts / "train/cat/001.jpg"
    write(parts / "photos", 1, suffix="jpg", size=(64, 64))
    photo.write_bytes((parts / "photos/000.jpg").read_bytes()[:400])
    file.write_bytes(whole)
    assert str(photo) in refusal(parts, image_size=16)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_an_unreadable_folder_is_told(parts):
    (parts / "train/dog").chmod(0)
    try:
        assert "dog" in refusal(parts)
    finally:
        (parts / "train/dog").chmod(0o755)


def test_folders_that_hold_no_data_set(tmp_path):
    assert "nowhere is no folder" in refusal(tmp_path / "nowhere")
    assert "holds no class folders" in refusal(tmp_path)
    Image.new("RGB", SIZE).save(tmp_path / "loose.png")
    assert "holds no class folders" in refusal(tmp_path)
    write(tmp_path / "cat", 9)
    assert "one class only (cat)" in refusal(tmp_path)
    (tmp_path / "dog").mkdir()
    text = refusal(tmp_path)
    assert "dog: 0" in text and "at least 5" in text
    write(tmp_path / "dog", 4)
    assert "dog: 4;" in refusal(tmp_path)
    write(tmp_path / "dog", 5)
    assert len(load_train(config(tmp_path), 0).train) == 11


def test_a_train_folder_wants_a_test_folder(tmp_path):
    write(tmp_path / "train/cat")
    write(tmp_path / "train/dog", 1)
    assert "dog: 1; put at least 2" in refusal(tmp_path)
    write(tmp_path / "train/dog", 2)
    assert "no test/" in refusal(tmp_path)
    (tmp_path / "test").mkdir()
    assert len(load_train(config(tmp_path), 0).train) == 7
    assert "holds no images" in message(load_test, config(tmp_path))
