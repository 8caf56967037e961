"""An export from Python: its files answer as the Keras network does; one line on what can't be exported."""

import contextlib
import doctest
import io
import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.config import VerifyConfig
from vinnas_tf.errors import UserError
from vinnas_tf.export import stage
from vinnas_tf.export.checked_images import images_to_check
from vinnas_tf.export.interface import read_interface
from vinnas_tf.export.predict import predict
from vinnas_tf.export.stage import Exporter, ExportResult
from vinnas_tf.network.build import build_network
from vinnas_tf.train.result import TrainResult
from vinnas_tf.train.stage import Training

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.permutation(np.arange(80) % 2)
IMAGES = (GENERATOR.integers(120, size=(80, 8, 8, 1)) + 130 * LABELS[:, None, None, None]).astype(np.uint8)
TRAIN, PROOF = (IMAGES[:60], LABELS[:60]), (IMAGES[60:], LABELS[60:])
NAMES = ("dark", "bright")


@pytest.fixture(scope="module")
def trained() -> TrainResult:
    genotype = Genotype(1, {"normal": (Edge(2, 1, "sep_conv_3x3"),)})
    network = build_network(genotype, cells="N", channels=4, image_shape=(8, 8, 1), classes=2)
    schedule: dict[str, Any] = {"epochs": 3, "gamma_start_epoch": 0, "gamma_end_epoch": 1}
    return Training(**schedule, batch_size=12, held_out=0.2, learning_rate=0.03).fit(network, *TRAIN, class_names=NAMES)


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory) -> ExportResult:
    """The files of that training; nothing is printed on the way."""
    proof = tf.data.Dataset.from_tensor_slices(PROOF).batch(8)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        files = Exporter(formats=["tflite"]).write(trained, tmp_path_factory.mktemp("files") / "new", proof=proof)
    assert printed.getvalue() == ""
    return files


def answers(path, images) -> np.ndarray:
    """Probabilities of a TFLite file, image by image."""
    interpreter = Interpreter(str(path))
    run = interpreter.get_signature_runner()
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = [run(image=one[None].astype(image["dtype"]))["probabilities"][0] for one in images]
    return np.array(found) * (output["quantization"][0] or 1)


def test_each_file_answers_as_the_network_does(written, trained) -> None:
    logits = trained.network.predict(PROOF[0].astype(np.float32), verbose=0).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    tolerances = {"float32": 1e-5, "float16": 1e-2, "dynamic_int8": 0.1, "full_int8": 0.1}
    assert list(written.paths) == [f"tflite/{precision}.tflite" for precision in tolerances]
    for path, tolerance in zip(written.paths.values(), tolerances.values(), strict=True):
        np.testing.assert_allclose(answers(path, PROOF[0]), expected, atol=tolerance)
    right = np.mean(expected.argmax(axis=1) == PROOF[1])
    assert written.manifest["test"]["accuracy"] == right == trained.evaluate(PROOF).accuracy
    assert "tflite/float32.tflite" not in written.failed


def test_the_manifest_lies_beside_and_tells_what_is_known(written, tmp_path) -> None:
    manifest = json.loads((written.folder / "manifest.json").read_text())
    assert manifest == json.loads(json.dumps(written.manifest))
    assert manifest["class_names"] == list(NAMES)
    assert manifest["test"]["images"] == 20 and manifest["test"]["learnt_from"] == 0
    assert set(manifest["baselines"]) == {"tflite/unpruned"}
    assert not {"run", "genotype", "dataset"} & set(manifest)
    assert {path.name for path in written.folder.iterdir()} == {"tflite", "manifest.json"}
    assert max(len(line) for line in str(written).splitlines()) <= 80
    picture = tmp_path / "bright.png"
    keras.utils.save_img(picture, PROOF[0][PROOF[1] == 1][0], scale=False)
    ((best, _), _) = predict(written.paths["tflite/float32.tflite"], [picture])[0]
    assert best == "bright"


def test_a_check_asks_for_images_and_takes_them(written, tmp_path) -> None:
    """An export from Python has no run folder, which would tell the images."""
    for label, name in enumerate(NAMES):
        (tmp_path / name).mkdir()
        for index in np.flatnonzero(PROOF[1] == label):
            keras.utils.save_img(tmp_path / name / f"{index}.png", PROOF[0][index], scale=False)
    file = written.paths["tflite/float32.tflite"]
    interface = read_interface(file)
    with pytest.raises(UserError, match="names no data set: name images of its classes with --dataset"):
        images_to_check(file, None, VerifyConfig(), interface)
    images, (remark,) = images_to_check(file, None, VerifyConfig(dataset=f"folder:{tmp_path}"), interface)
    assert {(image.tobytes(), label) for image, label in zip(images.images, images.labels, strict=True)} == {
        (image.tobytes(), label) for image, label in zip(*PROOF, strict=True)
    }
    assert "it can't be told whether the network learnt from these images" in remark
    with pytest.raises(UserError, match="digits has the classes .* and the file has dark, bright"):
        images_to_check(file, None, VerifyConfig(dataset="digits"), interface)


def test_a_folder_of_other_content_is_left_alone(trained, tmp_path) -> None:
    (tmp_path / "tflite").mkdir()
    (tmp_path / "tflite" / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="holds tflite, which no export wrote"):
        Exporter(formats=["tflite"]).write(trained, tmp_path, proof=PROOF)
    assert (tmp_path / "tflite" / "mine.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        ("trained", {"proof": (PROOF[0][:, 1:], PROOF[1])}, "must be of 8 x 8 x 1 .* got 7 x 8 x 1"),
        ("trained", {"proof": (PROOF[0], PROOF[1] + 1)}, "must lie below 2"),
        ("trained", {"proof": (PROOF[0] / 255, PROOF[1])}, "images must be uint8"),
        ("trained", {"class_names": ["a"]}, "must name each of the 2 classes once, got a"),
        ("plain", {}, "give calibration=images"),
        ("plain", {"calibration": PROOF[0] / 255}, "images must be uint8"),
        ("softmax", {}, "answers probabilities, and logits are expected"),
        ("unbuilt", {}, "must be a Keras model from images .* got Sequential from None"),
        ("two outputs", {}, "must be a Keras model from images"),
    ],
)
def test_what_can_not_be_exported_is_told_in_one_line(network, arguments, message, trained, tmp_path) -> None:
    images = keras.Input((8, 8, 1))
    logits = keras.layers.Dense(2)(keras.layers.Flatten()(images))
    networks = {
        "trained": trained, "plain": keras.Model(images, logits),
        "softmax": keras.Model(images, keras.layers.Softmax()(logits)),
        "unbuilt": keras.Sequential([keras.layers.Flatten()]), "two outputs": keras.Model(images, [logits, logits]),
    }  # fmt: skip
    with pytest.raises(UserError, match=message) as caught:
        Exporter().write(networks[network], tmp_path / "files", **{"proof": PROOF, **arguments})
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)
    assert not (tmp_path / "files").exists()


def test_an_unknown_format_is_told_in_one_line() -> None:
    with pytest.raises(UserError, match="formats knows saved_model, tflite, onnx; got coreml"):
        Exporter(formats=["coreml"])


def test_the_example_runs() -> None:
    assert doctest.testmod(stage).failed == 0
