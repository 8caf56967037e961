"""Sets that TFDS really prepares, from generators below; and real ones where TFDS_DATA_DIR holds them."""

import http.server
import socket
import threading
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from vinnas_tf.config import DataConfig
from vinnas_tf.data import streamed
from vinnas_tf.data.images import load_test, load_train, open_source
from vinnas_tf.data.streamed import Streamed
from vinnas_tf.errors import UserError

PREPARED: list[str] = []  # Names of the sets below, each time one is generated.
COLOURS = ((250, 0, 0), (0, 250, 0), (0, 0, 250))


def picture(index, size):
    return np.full((*size, 3), COLOURS[index % 3], np.uint8)


class Generated(tfds.core.GeneratorBasedBuilder):
    """Images of three plain colours that no download is needed for."""

    VERSION = tfds.core.Version("1.0.0")
    url_infos: ClassVar[dict[str, None]] = {}
    image_shape = (4, 6, 3)
    counts = {"train": 30, "test": 9}

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=self.image_shape),
            "label": tfds.features.ClassLabel(names=["red", "green", "blue"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        PREPARED.append(self.name)
        return {split: self._generate_examples(count) for split, count in self.counts.items()}

    def _generate_examples(self, count):
        for index in range(count):
            size = self.image_shape[:2] if None not in self.image_shape else (4 + index, 6)
            yield index, {"image": picture(index, size), "label": index % 3}


class GeneratedOnce(Generated):
    pass


class GeneratedTrainOnly(Generated):
    counts = {"train": 30}


class GeneratedWithValidation(Generated):
    counts = {"train": 30, "validation": 12}


class GeneratedOfAnySize(Generated):
    image_shape = (None, None, 3)


class GeneratedUnlabelledTest(Generated):
    def _generate_examples(self, count):
        for index, example in super()._generate_examples(count):
            yield index, {**example, "label": -1 if count == 9 else example["label"]}


class GeneratedFromAfar(Generated):
    pass


class GeneratedTexts(Generated):
    def _info(self):
        features = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=3)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))


def refusal(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def config(name, folder, **settings):
    return DataConfig(dataset=name, data_dir=str(folder), **settings)


def test_a_set_is_prepared_once_and_then_read_from_disk(tmp_path):
    settings = config("generated_once", tmp_path)
    dataset, test = load_train(settings, 0), load_test(settings)
    assert dataset.class_names == ("red", "green", "blue")
    assert dataset.train.images.shape == (30, 4, 6, 3) and test.images.shape == (9, 4, 6, 3)
    for part in (dataset.train, test):
        assert (part.images == np.array(COLOURS)[part.labels][:, None, None]).all()
    assert load_train(settings, 0).fingerprint == dataset.fingerprint
    assert PREPARED.count("generated_once") == 1


def test_a_fraction_reads_the_chosen_images_only_and_stratified(tmp_path):
    settings = config("generated", tmp_path, data_fraction=0.3)
    train = load_train(settings, 0).train
    assert np.bincount(train.labels).tolist() == [3, 3, 3]
    assert (train.images == np.array(COLOURS)[train.labels][:, None, None]).all()


@pytest.mark.parametrize(
    ("name", "train", "test"), [("generated_train_only", 24, 6), ("generated_with_validation", 30, 12)]
)
def test_a_set_without_test_split(tmp_path, name, train, test):
    settings = config(name, tmp_path)
    assert np.bincount(load_train(settings, 0).train.labels).tolist() == [train / 3] * 3
    images = load_test(settings)
    assert np.bincount(images.labels).tolist() == [test / 3] * 3
    assert (images.images == np.array(COLOURS)[images.labels][:, None, None]).all()


def test_images_of_different_sizes_need_image_size(tmp_path):
    assert "image_size" in refusal(load_train, config("generated_of_any_size", tmp_path), 0)
    train = load_train(config("generated_of_any_size", tmp_path, image_size=8), 0).train
    assert train.images.shape == (30, 8, 8, 3)
    assert (train.images == np.array(COLOURS)[train.labels][:, None, None]).all()


@pytest.mark.parametrize("name", ["generated", "generated_of_any_size"])
def test_a_streamed_set_is_the_one_in_memory(tmp_path, name, monkeypatch):
    settings = config(name, tmp_path, image_size=8)
    in_memory = load_train(settings, 0).train
    monkeypatch.setattr(streamed, "LEAST_BYTES", 0)
    other = load_train(settings, 0).train
    assert isinstance(other.frames, Streamed)
    assert (other.digests == in_memory.digests).all() and (other.names == in_memory.names).all()
    chosen = np.random.default_rng(0).permutation(30)
    assert (other.read(chosen) == in_memory.images[chosen]).all()


def test_a_record_that_is_spoilt_later_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed, "LEAST_BYTES", 0)
    settings = config("generated", tmp_path)
    train = load_train(settings, 0).train
    (file,) = tmp_path.glob("generated/1.0.0/*-train.tfrecord*")
    file.write_bytes(bytes(file.stat().st_size))
    assert "can't be read" in refusal(train.read, np.arange(3))


def test_a_test_split_without_labels_is_refused(tmp_path):
    settings = config("generated_unlabelled_test", tmp_path)
    assert len(load_train(settings, 0).train) == 30
    assert "labels of its test split" in refusal(load_test, settings)


def test_a_spoilt_file_is_told_with_its_folder(tmp_path):
    settings = config("generated", tmp_path)
    load_train(settings, 0)
    (file,) = tmp_path.glob("generated/1.0.0/*-train.tfrecord*")
    file.write_bytes(file.read_bytes()[:700])
    text = refusal(load_train, settings, 0)
    assert str(file.parent) in text and "can't be read" in text


def test_spoilt_metadata_is_told(tmp_path):
    settings = config("generated", tmp_path)
    load_train(settings, 0)
    (tmp_path / "generated/1.0.0/dataset_info.json").write_text("{")
    assert "can't be read" in refusal(load_train, settings, 0)


@pytest.fixture
def port():
    """A port of this computer that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_without_the_network_nothing_is_tried(tmp_path, port, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(GeneratedFromAfar, "url_infos", {f"http://127.0.0.1:{port}/images.tar": None})
    text = refusal(load_train, config("generated_from_afar", tmp_path), 0)
    assert f"127.0.0.1:{port} can't be reached" in text and "TFDS_DATA_DIR" in text and str(tmp_path) in text
    assert PREPARED.count("generated_from_afar") == 0
    assert list(tmp_path.iterdir()) == []

    # The same once the host answers, if only to say that it has no such page for a HEAD request.
    with http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(GeneratedFromAfar, "url_infos", {f"http://127.0.0.1:{port}/images.tar": None})
        try:
            assert len(load_train(config("generated_from_afar", tmp_path), 0).train) == 30
        finally:
            server.shutdown()
    assert PREPARED.count("generated_from_afar") == 1


def test_a_set_that_is_not_of_labelled_images_is_refused_before_any_download(tmp_path):
    text = refusal(load_train, config("generated_texts", tmp_path), 0)
    assert "label, text" in text or "text, label" in text
    assert PREPARED.count("generated_texts") == 0
    assert "imdb_reviews doesn't hold images" in refusal(load_train, config("imdb_reviews", tmp_path), 0)
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_get_close_matches(tmp_path):
    assert "did you mean mnist" in refusal(load_train, config("MNITS", tmp_path), 0)
    assert "did you mean digits" in refusal(load_train, config("digit", tmp_path), 0)
    for name in ("zzzzzzzz", "not a name", "huggingface:mnist", "folder/of/mine"):
        text = refusal(load_train, config(name, tmp_path), 0)
        assert name in text and "unknown" in text
    assert "version" in refusal(load_train, config("mnist:9.9.9", tmp_path), 0)


def test_real_mnist(tfds_data_dir):
    # Counts from the table that Y. LeCun's page and many after it print for the test files.
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    test = load_test(config("mnist", tfds_data_dir))
    assert test.images.shape == (10000, 28, 28, 1)
    assert np.bincount(test.labels).tolist() == counts
    source = open_source(config("mnist", tfds_data_dir))
    assert source.class_names == tuple("0123456789")
    assert np.bincount(source.open("train").labels).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]


def test_real_cifar10(tfds_data_dir):
    train = load_train(config("cifar10", tfds_data_dir, data_fraction=0.01), 0)
    assert train.class_names == tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
    assert train.train.images.shape == (500, 32, 32, 3)
    assert np.bincount(train.train.labels).tolist() == [50] * 10
    assert (abs(train.train.images.mean(axis=(0, 1, 2)) / 255 - [0.491, 0.482, 0.447]) < 0.03).all()


def test_real_cifar10_streamed_is_what_it_is_in_memory(tfds_data_dir, monkeypatch):
    settings = config("cifar10", tfds_data_dir, data_fraction=0.01)
    in_memory = load_train(settings, 0)
    monkeypatch.setattr(streamed, "LEAST_BYTES", 0)
    other = load_train(settings, 0)
    assert other.fingerprint != in_memory.fingerprint
    np.testing.assert_array_equal(other.train.digests, in_memory.train.digests)
    np.testing.assert_array_equal(other.train.read(np.arange(500)[::-1]), in_memory.train.images[::-1])
