"""Folders of real image files as data sets: written here, loaded, and held against the files."""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.test_picture import write_png16
from vinnas_tf.config import DataConfig
from vinnas_tf.data.folder import open_pictures
from vinnas_tf.data.images import load_part, load_test, load_train
from vinnas_tf.data.picture import Preparation
from vinnas_tf.data.picture_index import unwatched
from vinnas_tf.errors import UserError

RED, BLUE, SIZE = (200, 30, 10), (20, 40, 220), (10, 8)  # Pillow's sizes are (width, height).


def write(folder, count=5, colour=RED, size=SIZE, suffix="png", mode="RGB", first=0):
    """Pictures of their own, all in the shades of one colour."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + count):
        seed = zlib.crc32(f"{folder.parent.name}/{folder.name}/{index}".encode())
        pixels = np.random.default_rng(seed).integers(0, 20, (size[1], size[0], 3), np.uint8) + np.uint8(colour)
        Image.fromarray(pixels).convert(mode).save(folder / f"{index:03}.{suffix}")


@pytest.fixture
def two_classes(tmp_path):
    write(tmp_path / "cat", 40)
    write(tmp_path / "dog", 60, BLUE)
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
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refusal(folder, **settings):
    return message(load_train, config(folder, **settings), 0)


def notes(folder, **settings):
    return " ".join(load_train(config(folder, **settings), 0).notes)


def pictures(images):
    return {image.tobytes() for image in images.images}


def test_both_parts_together_are_the_files_each_once(two_classes):
    dataset, test = load_train(config(two_classes), 0), load_test(config(two_classes))
    assert dataset.class_names == ("cat", "dog")
    for part in (dataset.train, test):
        assert part.images.shape[1:] == (8, 10, 3)
        assert ((part.images[..., 0] > part.images[..., 2]) == (part.labels == 0)[:, None, None]).all()
        for image, label, name in zip(part.images, part.labels, part.names, strict=True):
            assert (np.asarray(Image.open(two_classes / ("cat", "dog")[label] / name)) == image).all()
    loaded = sorted(image.tobytes() for image in np.concatenate([dataset.train.images, test.images]))
    assert loaded == sorted(np.asarray(Image.open(file)).tobytes() for file in two_classes.glob("*/*.png"))
    assert 10 <= len(test) <= 30 and set(test.labels) == {0, 1}


def test_more_files_move_no_other_file(two_classes):
    before = load_train(config(two_classes), 0).train, load_test(config(two_classes))
    write(two_classes / "cat", 30, first=100)
    write(two_classes / "cat/more", 10)
    after = load_train(config(two_classes), 0).train, load_test(config(two_classes))
    for old, new in zip(before, after, strict=True):
        assert pictures(old) < pictures(new)
    for file in [*(two_classes / "cat").glob("1*.png"), *(two_classes / "cat/more").iterdir()]:
        file.unlink()
    again = load_train(config(two_classes), 0).train, load_test(config(two_classes))
    assert [pictures(part) for part in again] == [pictures(part) for part in before]


def test_the_test_images_are_the_same_for_every_seed_and_place(two_classes, tmp_path_factory):
    everything = pictures(load_train(config(two_classes), 0).train)
    for seed in range(3):
        assert pictures(load_train(config(two_classes, data_fraction=0.5), seed).train) <= everything
    moved = tmp_path_factory.mktemp("elsewhere") / "pictures"
    fingerprint = load_train(config(two_classes), 0).fingerprint
    two_classes.rename(moved)
    assert load_train(config(moved), 0).fingerprint == fingerprint


def test_images_come_in_the_same_order_whatever_their_files_are_called(parts):
    before = load_train(config(parts), 0)
    for index, file in enumerate(sorted((parts / "train").glob("*/*.png"), reverse=True)):
        file.rename(file.with_name(f"{index}.png"))
    assert load_train(config(parts), 0).fingerprint == before.fingerprint


def test_a_validation_folder_is_kept_apart(parts):
    write(parts / "Validation/cat", 2)
    write(parts / "Validation/dog", 2, BLUE)
    dataset = load_train(config(parts), 0)
    assert len(dataset.train) == 8 and len(dataset.validation) == 4
    files = {np.asarray(Image.open(file)).tobytes() for file in (parts / "Validation").glob("*/*.png")}
    assert pictures(dataset.validation) == files
    assert "Validation images: cat=2, dog=2." in dataset.notes


def test_train_and_validation_alone_draw_the_test_part(parts):
    (parts / "test").rename(parts / "val")
    for name, colour in (("cat", RED), ("dog", BLUE)):
        write(parts / "train" / name, 20, colour)
    dataset, test = load_train(config(parts), 0), load_test(config(parts))
    assert len(dataset.validation) == 6 and len(dataset.train) + len(test) == 40 and len(test) > 0


def test_a_copy_stays_in_training(parts):
    copied = Image.open(parts / "train/cat/001.png")
    copied.save(parts / "test/cat/copy.png")
    copied.save(parts / "test/dog/copy.bmp")  # Another file, and another class, of the same pixels.
    test = load_test(config(parts))
    assert len(test) == 6 and copied.tobytes() not in pictures(test)
    assert "2 test images are training images too, pixel for pixel" in notes(parts)
    copied.save(parts / "train/dog/copy.png")
    assert "1 pictures lie in more than one class" in notes(parts)


def test_a_folder_of_copies_has_a_test_part_of_its_own(tmp_path):
    for name, colour in (("cat", RED), ("dog", BLUE)):
        write(tmp_path / name, 5, colour)
        for file in (tmp_path / name).iterdir():
            Image.open(file).save(tmp_path / name / f"copy of {file.stem}.bmp")
    train, test = load_train(config(tmp_path), 0).train, load_test(config(tmp_path))
    assert set(test.labels) == set(train.labels) == {0, 1}
    assert not pictures(train) & pictures(test)


def test_a_test_part_of_copies_is_refused(parts):
    for file in (parts / "test").glob("*/*.png"):
        file.write_bytes((parts / "train/cat/000.png").read_bytes())
    assert "All 6 test images" in refusal(parts) and "take the copies away" in refusal(parts)


def test_a_broken_file_of_any_part_is_found_at_once(parts):
    file = parts / "test/dog/002.png"
    whole = file.read_bytes()
    for spoilt in (b"", b"GIF or something", whole[: len(whole) // 2]):
        file.write_bytes(spoilt)
        assert str(file) in refusal(parts)
    for index in range(3):
        (parts / f"test/cat/00{index}.png").write_bytes(b"")
    text = refusal(parts)
    assert text.count("can't be read as an image") == 3 and "1 more can't be read either" in text


def test_a_second_start_decodes_nothing_that_is_known(parts, monkeypatch):
    checked = []

    def watch(what, paths):
        checked.extend(paths)
        return iter(paths)

    load_train(config(parts), 0, watch)
    assert len(checked) == 14
    checked.clear()
    load_train(config(parts), 0, watch)
    assert checked == []
    write(parts / "train/cat", 1, BLUE)  # The same name and size, changed.
    changed = load_train(config(parts), 0, watch)
    assert (
        checked == [parts / "train/cat/000.png"] and ((changed.train.images[..., 2] > 200).all(axis=(1, 2))).sum() == 5
    )
    for memory in Path(os.environ["XDG_CACHE_HOME"], "vinnas_tf/pictures").iterdir():
        memory.write_text(memory.read_text().replace('"flat_on": []', '"flat_on": [ ]'))  # Damaged.
    checked.clear()
    assert load_train(config(parts), 0, watch).fingerprint == changed.fingerprint
    assert len(checked) == 14


def test_what_is_left_out_is_told(parts):
    (parts / "train/cat/a.heic").write_bytes(b"x")
    (parts / "train/cat/b.txt").write_bytes(b"x")
    assert "Left out, as no pictures that can be read: 1 .heic, 1 .txt." in notes(parts)


def test_grey_files_have_one_channel(tmp_path):
    write(tmp_path / "cat", 20, mode="L")
    write(tmp_path / "dog", 20, BLUE, mode="1")
    train = load_train(config(tmp_path), 0).train
    assert train.images.shape[1:] == (8, 10, 1)
    assert set(np.unique(train.images[train.labels == 1])) <= {0, 255}


def test_one_colour_file_makes_all_rgb(parts):
    for name in ("cat", "dog"):
        write(parts / "train" / name, 4, mode="L")
    write(parts / "train/cat", 1)
    Image.new("L", SIZE, 78).save(parts / "test/cat/000.png")
    assert load_train(config(parts), 0).train.images.shape == (8, 8, 10, 3)
    test = load_test(config(parts))
    assert (test.images[test.names == "000.png"][test.labels[test.names == "000.png"] == 0] == 78).all()


def test_colour_test_files_become_grey_where_training_is_grey(parts):
    for name in ("cat", "dog"):
        write(parts / "train" / name, 4, mode="L")
    Image.new("RGB", SIZE, (255, 0, 0)).save(parts / "test/cat/red.png")
    test = load_test(config(parts))
    assert test.images.shape == (7, 8, 10, 1)
    assert (test.images[test.names == "red.png"] == round(0.299 * 255)).all()  # ITU-R 601 luma.


@pytest.mark.parametrize(("highest", "white"), [(200, 255), (1000, 1023), (3000, 4095), (40000, 65535)])
def test_deep_levels_are_scaled_by_the_range_of_the_set_and_told(highest, white, tmp_path):
    rng = np.random.default_rng(0)
    levels = {}
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(10):
            levels[name, f"{index}.png"] = rng.integers(0, highest + 1, (8, 8)).astype(np.uint16)
            levels[name, f"{index}.png"][0, 0] = highest
            Image.fromarray(levels[name, f"{index}.png"]).save(tmp_path / name / f"{index}.png")
    dataset, test = load_train(config(tmp_path), 0), load_test(config(tmp_path))
    for part in (dataset.train, test):
        for image, label, name in zip(part.images, part.labels, part.names, strict=True):
            expected = levels[dataset.class_names[label], name] * (255 / white)
            assert (abs(image[..., 0] - expected) <= 0.5).all()
    assert f"levels up to {highest:,}: {white:,} is shown as white" in " ".join(dataset.notes)


def test_deep_colours_of_low_levels_are_refused(parts):
    write_png16(parts / "train/cat/000.png", np.random.default_rng(0).integers(0, 4096, (8, 10, 3)), 2)
    assert "save them with 8 bits" in refusal(parts)
    write_png16(parts / "train/cat/000.png", np.random.default_rng(0).integers(0, 65536, (8, 10, 3)), 2)
    assert len(load_train(config(parts), 0).train) == 8


@pytest.mark.parametrize(("colour", "ground"), [((255, 255, 255), "black"), ((0, 0, 0), "white")])
def test_drawings_on_a_transparent_ground_stay_visible(colour, ground, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(10):
            alpha = rng.integers(0, 2, (8, 8), np.uint8) * 255
            drawing = np.dstack([np.full((8, 8, 3), colour, np.uint8), alpha])
            Image.fromarray(drawing).save(tmp_path / name / f"{index}.png")
    dataset = load_train(config(tmp_path), 0)
    assert all(len(np.unique(image)) == 2 for image in dataset.train.images)
    assert f"Transparent parts of {len(dataset.train)} pictures are laid on {ground}." in dataset.notes


def test_pictures_of_one_colour_are_warned_of(tmp_path):
    write(tmp_path / "cat", 10)
    (tmp_path / "dog").mkdir()
    for index in range(10):
        Image.new("RGB", SIZE, (index, 0, 0)).save(tmp_path / f"dog/{index}.png")
    dataset = load_train(config(tmp_path), 0)
    flat = np.count_nonzero(dataset.train.labels == 1)
    assert f"warning: {flat} of {flat} pictures of dog show one colour only." in dataset.notes
    assert "of cat show" not in " ".join(dataset.notes)


def test_animations_and_skew_are_told(parts):
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    frames[0].save(parts / "train/cat/000.gif", save_all=True, append_images=frames[1:])
    assert "Of 1 animations the first frame is taken." in notes(parts)
    write(parts / "train/dog", 15, BLUE)
    assert "cat has 5 images and dog 15: train with class_weights=balanced" in notes(parts)


def test_sizes_that_differ_need_image_size(parts):
    write(parts / "train/dog", 1, BLUE, size=(12, 20))
    text = refusal(parts)
    assert "000.png is 10 x 8" in text and "dog/000.png is 12 x 20" in text and "image_size=8" in text
    resized = load_train(config(parts, image_size=16), 0).train
    assert resized.images.shape == (8, 16, 16, 3)
    assert ((resized.images[..., 0] > resized.images[..., 2]) == (resized.labels == 0)[:, None, None]).all()


def test_too_few_images_are_refused(tmp_path):
    write(tmp_path / "cat", 9)
    write(tmp_path / "dog", 4)
    assert "dog: 4; put at least 5 there, so that a fifth can be kept for the test" in refusal(tmp_path)
    for part in ("train", "test"):
        write(tmp_path / "parts" / part / "cat", 2)
        write(tmp_path / "parts" / part / "dog", 1)
    assert "dog: 1; put at least 2 there." in refusal(tmp_path / "parts")


def test_all_pictures_of_some_classes_are_read_for_a_network_that_knows_them(parts):
    (parts / "train/cat").rename(parts / "cats away")
    for name in ("train", "test"):
        for file in (parts / name).glob("cat/*"):
            file.unlink()
    preparation = Preparation(4, 4, 1)
    part = open_pictures(parts / "test", ("bird", "dog", "cat"), unwatched)
    images = load_part(DataConfig(), preparation, part)
    assert images.images.shape == (3, 4, 4, 1) and images.labels.tolist() == [1, 1, 1]
    text = message(open_pictures, parts / "test", ("bird", "cat"), unwatched)
    assert "dog is a class without training images; the classes are bird, cat" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_an_unreadable_folder_is_told(parts):
    (parts / "train/dog").chmod(0)
    try:
        assert "dog" in refusal(parts)
    finally:
        (parts / "train/dog").chmod(0o755)
