"""Streamed sets, held to the same sets in memory."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from vinnas_tf.config import AUGMENTATIONS, DataConfig
from vinnas_tf.data import batches as data_batches
from vinnas_tf.data import image_set, streamed
from vinnas_tf.data.batches import Normalization, evaluation_batches, training_batches
from vinnas_tf.data.image_set import fingerprint
from vinnas_tf.data.images import hold_out, load_test, load_train, split_halves
from vinnas_tf.data.streamed import Streamed, reading
from vinnas_tf.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photographs of several sizes, one turned by its EXIF tag, and a transparent drawing."""
    folder = tmp_path_factory.mktemp("photographs")
    for label, name in enumerate(("cat", "dog", "newt")):
        (folder / name).mkdir()
        for index in range(20):
            generator = np.random.default_rng([label, index])
            pixels = generator.integers(0, 256, (24 + index, 40 - index, 3), np.uint8)
            picture = Image.fromarray(pixels)
            if index == 3:
                picture.getexif()[0x0112] = 6
            if index == 4:
                picture.putalpha(Image.fromarray(pixels[..., 0]))
                picture.save(folder / name / f"{index}.png")
            else:
                picture.save(folder / name / f"{index}.jpg", exif=picture.getexif())
    return folder


def config(folder, **settings):
    return DataConfig(**{"dataset": f"folder:{folder}", "image_size": 16, **settings})


@pytest.fixture(params=["stretch", "middle"])
def both(folder, monkeypatch, request):
    """The data set in memory, and streamed."""
    settings = config(folder, framing=request.param)
    in_memory = load_train(settings, 0)
    monkeypatch.setattr(streamed, "LEAST_BYTES", 0)
    return in_memory, load_train(settings, 0)


def collect(batches):
    x, y = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(x), np.concatenate(y)


def stream(images, augment, first_epoch=0, threads=0):
    batches = training_batches(
        images,
        batch_size=8,
        normalization=Normalization((0.4,) * 3, (0.2,) * 3),
        augment=augment,
        seed=3,
        first_epoch=first_epoch,
        epochs=3,
    )
    options = tf.data.Options()
    if threads:
        options.threading.private_threadpool_size = threads
    return collect(batches.with_options(options))


def test_a_set_is_streamed_where_its_pixels_take_more_than_the_limit(folder, monkeypatch):
    in_memory = load_train(config(folder), 0)
    size = len(in_memory.train) * 16 * 16 * 3
    for limit, streams in ((size, False), (size - 1, True)):
        monkeypatch.setattr(streamed, "LEAST_BYTES", limit)
        dataset = load_train(config(folder), 0)
        assert isinstance(dataset.train.frames, Streamed) == streams
        assert any("read from files as they are needed" in note for note in dataset.notes) == streams


def test_streamed_images_are_those_in_memory(both):
    in_memory, other = (dataset.train for dataset in both)
    assert isinstance(other.frames, Streamed) and isinstance(in_memory.frames, np.ndarray)
    for name in ("labels", "names", "digests", "images"):
        np.testing.assert_array_equal(getattr(other, name), getattr(in_memory, name))
    chosen = np.random.default_rng(0).permutation(len(other))[:20]
    np.testing.assert_array_equal(other.read(chosen), in_memory.images[chosen])
    np.testing.assert_array_equal(other.sample(), in_memory.sample())
    assert Normalization.of(other) == Normalization.of(in_memory)
    for split in (lambda images: hold_out(images, 0.3, 1), lambda images: split_halves(images, 1)):
        for ours, theirs in zip(split(other), split(in_memory), strict=True):
            np.testing.assert_array_equal(ours.images, theirs.images)
            np.testing.assert_array_equal(ours.names, theirs.names)


def test_their_batches_are_those_in_memory_bit_for_bit(both):
    in_memory, other = (dataset.train for dataset in both)
    for augment in ((), AUGMENTATIONS):
        for ours, theirs in zip(stream(other, augment), stream(in_memory, augment), strict=True):
            assert ours.tobytes() == theirs.tobytes()
    plain = [evaluation_batches(images, batch_size=7, normalization=None) for images in (other, in_memory)]
    for ours, theirs in zip(*map(collect, plain), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_a_stream_resumes_exactly_whatever_the_threads(both):
    images = both[1].train
    whole, labels = stream(images, AUGMENTATIONS)
    tail, tail_labels = stream(images, AUGMENTATIONS, first_epoch=2, threads=5)
    assert whole[-len(tail) :].tobytes() == tail.tobytes() and labels[-len(tail) :].tolist() == tail_labels.tolist()


def test_random_windows_see_the_margin_and_nothing_else_does(folder):
    images = load_train(config(folder, framing="middle"), 0).train
    frames = images.frames
    assert isinstance(frames, np.ndarray) and frames.shape[1:] == (18, 18, 3)
    assert images.margin == (1, 1) and images.image_shape == (16, 16, 3)
    assert (images.images == frames[:, 1:-1, 1:-1]).all()
    edges = np.zeros_like(frames)
    edges[:, [0, -1]] = edges[:, :, [0, -1]] = 255
    marked = image_set.ImageSet(edges, images.labels, images.names, images.digests, images.margin)
    dark = -0.4 / 0.2
    np.testing.assert_allclose(stream(marked, ("crop", "flip"))[0], dark, rtol=1e-5)
    assert (stream(marked, ("resized_crop",))[0] > dark + 1).any(axis=(1, 2, 3)).mean() > 0.1


def test_the_fingerprint_covers_pictures_labels_and_preparation(both):
    in_memory, other = both
    train = other.train
    parts = (repr(train.frames.shape), repr(other.preparation))
    content = "".join(parts).encode() + train.digests.tobytes() + train.labels.tobytes()
    assert other.fingerprint == hashlib.sha256(content).hexdigest() != in_memory.fingerprint
    assert fingerprint([train.take(np.arange(5))]) != fingerprint([train.take(np.arange(6))])


def test_the_statistics_of_many_images_are_those_of_a_fixed_draw(both, monkeypatch):
    images = both[1].train
    monkeypatch.setattr(data_batches, "NORMALIZED_BY", 12)
    found = Normalization.of(images)
    every = [Normalization.of(images.take(np.array([number]))).mean[0] for number in range(len(images))]
    draw = np.random.default_rng(0).choice(len(images), 12, replace=False)
    assert found.mean[0] == pytest.approx(np.mean(np.array(every)[draw])) and found == Normalization.of(images)


def test_blocks_are_all_images_in_their_order(both, monkeypatch):
    in_memory, other = (dataset.train for dataset in both)
    monkeypatch.setattr(image_set, "_BLOCK", 10_000)
    assert len(list(in_memory.blocks())) == 1
    blocks = list(other.blocks())
    assert len(blocks) > 3 and max(block.nbytes for block in blocks) <= 10_000
    np.testing.assert_array_equal(np.concatenate(blocks), in_memory.images)


def test_digests_that_a_source_does_not_know_are_made_once_and_counted(monkeypatch):
    known = load_train(DataConfig(), 0)
    monkeypatch.setattr(streamed, "LEAST_BYTES", 0)
    told = []

    def watch(what, items):
        told.append((what, len(items)))
        return iter(items)

    other = load_train(DataConfig(), 0, watch)
    assert told == [("Checks 1,438 pictures of digits", 1438)]
    np.testing.assert_array_equal(other.train.digests, known.train.digests)
    np.testing.assert_array_equal(other.train.read(np.arange(5)), known.train.images[:5])
    assert len(load_test(DataConfig())) == 359


def test_a_picture_that_goes_while_it_is_needed_is_told_in_a_line(tmp_path, folder, monkeypatch):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for path in (folder / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(streamed, "LEAST_BYTES", 0)
    images = load_train(config(tmp_path), 0).train
    for path in tmp_path.glob("*/*"):
        path.unlink()
    with pytest.raises(DataError, match="can't be read as an image") as caught, reading():
        stream(images, ())
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(tf.errors.InvalidArgumentError), reading():
        tf.constant([1.0]) + tf.constant([1.0, 2.0, 3.0])[:2] @ tf.constant([1.0])
