"""Figures and bars of a proof."""

import gzip
import shutil
import subprocess

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from vinnas_tf.config import ConfigError
from vinnas_tf.data import ImageSet
from vinnas_tf.export.measure import predict, time_calls
from vinnas_tf.export.proof import prove, sha256, size


@pytest.fixture(scope="module")
def test_part(trained) -> ImageSet:
    return trained.test.take(np.arange(100))


@pytest.fixture(scope="module")
def path(exported):
    return exported.folder / "tflite" / "float32.tflite"


@pytest.fixture(scope="module")
def answers(path, test_part) -> np.ndarray:
    """The file's probabilities, from an interpreter in this process."""
    interpreter = Interpreter(str(path))
    run = interpreter.get_signature_runner()
    return np.concatenate([run(image=np.float32(image[None]))["probabilities"] for image in test_part.images])


def test_figures_are_those_of_an_interpreter_run_by_hand(path, test_part, answers):
    reference = answers.copy()
    reference[:, 3] += 0.125
    figures = prove(path, test_part, reference)
    assert figures["accuracy"] == np.mean(answers.argmax(axis=1) == test_part.labels)
    assert figures["agreement"] == np.mean(answers.argmax(axis=1) == reference.argmax(axis=1))
    assert figures["largest_difference"] == pytest.approx(0.125, abs=1e-6)
    assert figures["images"] == 100
    assert figures["bytes"] == path.stat().st_size
    assert figures["gzip_bytes"] == len(gzip.compress(path.read_bytes(), mtime=0))


def test_a_file_equal_to_its_reference_passes(path, test_part, answers):
    assert prove(path, test_part, answers)["failures"] == []


def test_what_is_below_its_bar_is_told(path, test_part, answers):
    reference = answers.copy()
    right = np.flatnonzero(answers.argmax(axis=1) == test_part.labels)[:2]
    wrong = np.flatnonzero(answers.argmax(axis=1) == test_part.labels)[2:3]
    reference[wrong] = np.roll(answers[wrong], 1, axis=1)  # One of 100 answers differs.
    assert prove(path, test_part, reference)["failures"] == ["top-1 agreement 99.00% is below 99.9%"]
    labels = np.array(test_part.labels)
    reference = np.eye(10, dtype=np.float32)[labels]  # A reference that is always right
    labels[right] = (answers[right].argmax(axis=1) + 1) % 10  # and a file that errs twice more.
    reference = np.eye(10, dtype=np.float32)[labels]
    failures = prove(path, ImageSet(test_part.images, labels), reference)["failures"]
    assert len(failures) == 2
    assert "accuracy drops by" in failures[1]


def test_without_a_reference_there_is_nothing_to_fail(path, test_part):
    figures = prove(path, test_part, None)
    assert "agreement" not in figures
    assert figures["failures"] == []


def test_a_folders_hash_is_that_of_its_listing(exported):
    folder = exported.folder / "saved_model" / "1"
    shell = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    printed = subprocess.run(shell, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert sha256(folder) == printed.split()[0]
    assert sha256(folder) == exported.manifest["files"]["saved_model/1"]["sha256"]
    assert size(folder)["bytes"] == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_file_that_is_cut_off_is_told_from_one_that_answers_badly(path, test_part, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(ConfigError, match="broken.tflite can't be read"):
        prove(broken, test_part, None)
    with pytest.raises(ConfigError, match="broken.tflite can't be run"):
        predict(broken, test_part.images)  # In a process of its own: this one goes on.
    with pytest.raises(ConfigError, match="can't be run"):
        time_calls([broken], test_part.images[0])


def test_a_saved_model_that_is_cut_off_is_told(exported, test_part, tmp_path):
    folder = shutil.copytree(exported.folder / "saved_model" / "1", tmp_path / "1")
    graph = folder / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])
    with pytest.raises(ConfigError, match="can't be run"):
        prove(folder, test_part, None)
    graph.unlink()
    with pytest.raises(ConfigError, match="holds no saved_model.pb"):
        prove(folder, test_part, None)
