"""Figures and bars of a proof."""

import gzip
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.errors import UserError
from vinnas_tf.export.measure import predict, time_calls
from vinnas_tf.export.proof import prove, size
from vinnas_tf.run.digest import sha256_of


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


def test_what_to_try_depends_on_whether_the_network_is_sure(path, test_part, answers):
    sure = np.roll(answers, 1, axis=1)
    assert "--nosparse" in prove(path, test_part, sure)["advice"]
    undecided = sure.copy()
    second = np.argsort(answers, axis=1)[:, -1]
    undecided[np.arange(100), second] = sure.max(axis=1) - 0.001  # The file's answer is nearly as likely.
    figures = prove(path, test_part, undecided)
    differ = (answers.argmax(axis=1) != undecided.argmax(axis=1)).sum()
    assert f"undecided on {differ} of the {differ} images" in figures["advice"]
    assert "advice" not in prove(path, test_part, answers)


@pytest.mark.parametrize("name", ["saved_model/1", "tflite/full_int8.tflite"])
@pytest.mark.parametrize("shape", [(16, 16, 1), (8, 8, 3)])
def test_images_of_another_shape_are_told_beside_the_files_own(name, shape, exported):
    images = ImageSet(np.zeros((2, *shape), np.uint8), np.zeros(2, np.int32))
    with pytest.raises(UserError) as caught:
        prove(exported.folder / name, images, None)
    assert f"{name} takes images of 8 x 8 x 1 " in str(caught.value)
    assert f"these are {' x '.join(map(str, shape))}:" in str(caught.value)


def test_a_file_of_other_classes_is_told(path, test_part, answers):
    with pytest.raises(UserError, match="float32.tflite knows 10 classes, and there are 12 here"):
        prove(path, test_part, np.pad(answers, [(0, 0), (0, 2)]))
    with pytest.raises(UserError, match="float32.tflite knows 10 classes, and there are 12 here"):
        prove(path, ImageSet(test_part.images, test_part.labels + 2), None)


def test_a_full_int8_file_that_takes_no_raw_pixels_fails(exported, test_part, tmp_path):
    content = bytearray((exported.folder / "tflite" / "full_int8.tflite").read_bytes())
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    graph.Tensors(graph.Inputs(0)).Quantization().ScaleAsNumpy()[0] = 0.5  # As of images in 0..127.
    (tmp_path / "dark.tflite").write_bytes(content)
    failures = prove(tmp_path / "dark.tflite", test_part, None)["failures"]
    assert failures == ["its input has scale (0.5,) and zero point (0,) instead of (1.0,) and (0,)"]


def test_a_measurement_dies_with_its_parent(path, tmp_path):
    """The child holds a named pipe open from its first moment; what it would have measured is never written."""
    os.mkfifo(tmp_path / "alive")
    np.save(tmp_path / "images.npy", np.zeros((1000, 8, 8, 1), np.uint8))
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nif 'predict' in sys.orig_argv:\n    pipe = open({str(tmp_path / 'alive')!r}, 'w')\n"
    )
    program = "import sys, pathlib, numpy\nfrom vinnas_tf.export.measure import predict\n"
    program += f"predict(pathlib.Path({str(path)!r}), numpy.load({str(tmp_path / 'images.npy')!r}))\n"
    folder = tmp_path / "temporary"
    folder.mkdir()
    places = os.pathsep.join([str(tmp_path), *sys.path])
    env = {**os.environ, "PYTHONPATH": places, "TMPDIR": str(folder)}
    parent = subprocess.Popen([sys.executable, "-c", program], env=env)
    with open(tmp_path / "alive") as pipe:  # Waits until the child has opened it.
        parent.kill()
        assert pipe.read() == ""  # Waits until the child is gone.
    parent.wait()
    assert list(folder.rglob("images.npy"))
    assert not list(folder.rglob("probabilities.npy"))


def test_without_a_reference_there_is_nothing_to_fail(path, test_part):
    figures = prove(path, test_part, None)
    assert "agreement" not in figures
    assert figures["failures"] == []


def test_a_folders_hash_is_that_of_its_listing(exported):
    folder = exported.folder / "saved_model" / "1"
    shell = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    printed = subprocess.run(shell, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert sha256_of(folder) == printed.split()[0]
    assert sha256_of(folder) == exported.manifest["files"]["saved_model/1"]["sha256"]
    assert size(folder)["bytes"] == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_file_that_is_cut_off_is_told_from_one_that_answers_badly(path, test_part, tmp_path):
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(UserError, match="broken.tflite can't be read"):
        prove(broken, test_part, None)
    with pytest.raises(UserError, match="broken.tflite can't be run"):
        predict(broken, test_part.images)  # In a process of its own: this one goes on.
    with pytest.raises(UserError, match="can't be run"):
        time_calls([broken], test_part.images[0])


def test_a_saved_model_that_is_cut_off_is_told(exported, test_part, tmp_path):
    folder = shutil.copytree(exported.folder / "saved_model" / "1", tmp_path / "1")
    graph = folder / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])
    with pytest.raises(UserError, match="can't be run"):
        prove(folder, test_part, None)
    graph.unlink()
    with pytest.raises(UserError, match="holds no saved_model.pb"):
        prove(folder, test_part, None)
