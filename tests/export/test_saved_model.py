"""The SavedModel, read back by everything that is meant to read it."""

import ctypes
import importlib.util
import json
import shutil
import subprocess
import sys
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.export.digits_run import command
from vinnas_tf.export.saved_model import SparseWeights


@pytest.fixture(scope="module")
def folder(exported) -> Path:
    return exported.folder / "saved_model" / "1"


@pytest.fixture(scope="module")
def expected(trained) -> np.ndarray:
    """Softmax of the stripped network's logits for the test images, by NumPy."""
    logits = trained.sparse.predict(trained.test.images.astype(np.float32), verbose=0).astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def meta_graph(folder):
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((folder / "saved_model.pb").read_bytes())
    return model.meta_graphs[0]


def test_a_process_with_tensorflow_alone_loads_it(folder, trained, expected, tmp_path):
    np.save(tmp_path / "images.npy", trained.test.images)
    program = f"""
import sys
import numpy as np
import tensorflow as tf
images = np.load("images.npy")
signatures = tf.saved_model.load({str(folder)!r}).signatures
for batch in (1, 7, len(images)):
    whole = signatures["serving_default"](image=tf.constant(images[:batch], tf.float32))
    raw = signatures["serving_uint8"](image=tf.constant(images[:batch]))
    for name in ("probabilities", "label_id"):
        np.testing.assert_array_equal(whole[name], raw[name])
np.savez("answers.npz", **{{name: value.numpy() for name, value in whole.items()}})
assert "vinnas_tf" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, stderr=subprocess.PIPE)
    answers = np.load(tmp_path / "answers.npz")
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(answers["label_id"], expected.argmax(axis=1))
    assert answers["label_id"].dtype == np.int32


def test_the_command_line_of_tensorflow_reads_it(folder, tmp_path):
    cli = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    signature = ["--tag_set", "serve", "--signature_def", "serving_default"]
    shown = subprocess.run([*cli, "show", "--dir", folder, *signature], capture_output=True, text=True, check=True)
    assert "inputs['image'] tensor_info" in shown.stdout
    assert "shape: (-1, 8, 8, 1)" in shown.stdout
    assert "outputs['probabilities'] tensor_info" in shown.stdout


class _Output(ctypes.Structure):
    """TF_Output of TensorFlow's C API."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


def _run_through_c(folder: Path, inputs: str, outputs: str, images: np.ndarray, classes: int) -> np.ndarray:
    """Loads the folder and runs it with the C API alone: the C++ loader, as TensorFlow Serving uses it.

    `inputs` and `outputs` are names of tensors, such as "serving_default_image:0".
    """
    package = Path(importlib.util.find_spec("tensorflow").origin).parent
    library = ctypes.CDLL(str(package / "libtensorflow_cc.so.2"))
    pointers = (
        *("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_LoadSessionFromSavedModel", "TF_Message"),
        *("TF_GraphOperationByName", "TF_AllocateTensor", "TF_TensorData"),
    )
    for name in pointers:
        getattr(library, name).restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    status, graph, options = (
        ctypes.c_void_p(make()) for make in (library.TF_NewStatus, library.TF_NewGraph, library.TF_NewSessionOptions)
    )
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = library.TF_LoadSessionFromSavedModel(options, None, str(folder).encode(), tags, 1, graph, None, status)
    assert library.TF_GetCode(status) == 0, library.TF_Message(status)

    def tensor_of(name: str) -> _Output:
        operation, index = name.split(":")
        found = library.TF_GraphOperationByName(graph, operation.encode())
        assert found, name
        return _Output(found, int(index))

    shape = (ctypes.c_int64 * images.ndim)(*images.shape)
    float32 = 1
    fed = ctypes.c_void_p(library.TF_AllocateTensor(float32, shape, images.ndim, ctypes.c_size_t(images.nbytes)))
    ctypes.memmove(library.TF_TensorData(fed), images.ctypes.data, images.nbytes)
    fetched = (ctypes.c_void_p * 1)()
    library.TF_SessionRun(
        *(ctypes.c_void_p(session), None),
        *((_Output * 1)(tensor_of(inputs)), (ctypes.c_void_p * 1)(fed), 1),
        *((_Output * 1)(tensor_of(outputs)), fetched, 1),
        *(None, 0, None, status),
    )
    assert library.TF_GetCode(status) == 0, library.TF_Message(status)
    data = library.TF_TensorData(ctypes.c_void_p(fetched[0]))
    return np.ctypeslib.as_array((ctypes.c_float * (len(images) * classes)).from_address(data)).reshape(-1, classes)


def test_the_c_plus_plus_loader_runs_it(folder, meta_graph, trained, expected):
    signature = meta_graph.signature_def["serving_default"]
    images = np.ascontiguousarray(trained.test.images, np.float32)
    answers = _run_through_c(
        folder, signature.inputs["image"].name, signature.outputs["probabilities"].name, images, classes=10
    )
    np.testing.assert_allclose(answers, expected, atol=1e-5)


def test_it_answers_requests_in_tensorflow_servings_own_protos(folder, meta_graph, trained, expected):
    """A server of TensorFlow Serving's gRPC interface answers from the session that the signature describes."""
    signature = meta_graph.signature_def["serving_default"]

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            with tf.compat.v1.Session(graph=tf.Graph()) as session:
                tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
                fed = {signature.inputs[name].name: tf.make_ndarray(value) for name, value in request.inputs.items()}
                answers = session.run({name: info.name for name, info in signature.outputs.items()}, fed)
            response = predict_pb2.PredictResponse()
            response.model_spec.CopyFrom(request.model_spec)
            for name, value in answers.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

        def GetModelMetadata(self, request, context):
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=dict(meta_graph.signature_def))
            response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=request.model_spec)
            response.metadata["signature_def"].Pack(signatures)
            return response

    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
            described = get_model_metadata_pb2.SignatureDefMap()
            stub.GetModelMetadata(asked).metadata["signature_def"].Unpack(described)
            image = described.signature_def["serving_default"].inputs["image"]
            assert [side.size for side in image.tensor_shape.dim] == [-1, 8, 8, 1]
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "digits"
            request.model_spec.signature_name = "serving_default"
            request.inputs["image"].CopyFrom(tf.make_tensor_proto(trained.test.images[:5], image.dtype))
            response = stub.Predict(request)
    finally:
        server.stop(None)
    np.testing.assert_allclose(tf.make_ndarray(response.outputs["probabilities"]), expected[:5], atol=1e-5)
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["label_id"]), expected[:5].argmax(axis=1))


@pytest.mark.parametrize("signature", ["serving_default", "serving_uint8"])
def test_images_of_another_shape_are_refused_and_not_answered(folder, trained, signature):
    """The network pools over all places, so that it could answer; a loader does not compare what it is fed."""
    loaded = tf.saved_model.load(str(folder)).signatures[signature]
    images = trained.test.images[:2].astype(np.uint8 if signature == "serving_uint8" else np.float32)
    assert loaded(image=tf.constant(images))["label_id"].shape == (2,)
    for wrong in (images[:, 1:], images[0], np.repeat(images, 2, axis=-1)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected"):
            loaded(image=tf.constant(wrong))


def test_its_assets_are_the_class_names_and_the_manifest(folder, exported):
    assert (folder / "assets" / "class_names.txt").read_text().split() == [str(digit) for digit in range(10)]
    inside = json.loads((folder / "assets" / "manifest.json").read_text())
    outside = exported.manifest
    assert inside == {name: outside[name] for name in inside}
    assert inside["genotype"]["cells"]["normal"]


def test_its_weights_take_a_fifth_of_the_dense_bytes_or_less(exported, meta_graph, trained):
    """Counted in the file: every constant of a float or of bits, wherever in the graph."""
    nodes = [*meta_graph.graph_def.node, *(n for f in meta_graph.graph_def.library.function for n in f.node_def)]
    constants = [tf.make_ndarray(node.attr["value"].tensor) for node in nodes if node.op == "Const"]
    stored = sum(array.nbytes for array in constants if array.dtype in (np.float32, np.uint8))
    weights = np.concatenate([weight.numpy().ravel() for weight in trained.dense.weights])
    left = sum(np.count_nonzero(weight.numpy()) for weight in trained.sparse.weights)
    assert left <= 0.1 * weights.size
    entry = exported.manifest["files"]["saved_model/1"]
    assert entry["weight_bytes"] <= 0.2 * weights.nbytes
    assert entry["weight_bytes_of"]["saved_model/unpruned"] == weights.nbytes
    # The graph has some constants of its own: means of the pixels, shifts of bits.
    assert entry["weight_bytes"] <= stored <= entry["weight_bytes"] + 1024


def test_converters_take_one_that_is_stored_dense(exported, trained, expected, tmp_path):
    run_dir = shutil.copytree(exported.run_dir, tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    done = command("vinnas_tf.export", f"--run_dir={run_dir}", "--formats=saved_model", "--nosparse", "--overwrite")
    assert done.returncode == 0, done.stdout + done.stderr
    path = str(run_dir / "export" / "saved_model" / "1")
    content = tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=["serving_default"]).convert()
    run = Interpreter(model_content=content).get_signature_runner("serving_default")
    images = trained.test.images[:50].astype(np.float32)
    answers = np.concatenate([run(image=image[None])["probabilities"] for image in images])
    np.testing.assert_allclose(answers, expected[:50], atol=1e-3)


@pytest.mark.parametrize(
    "weights",
    [
        [np.zeros((3, 3, 2, 2))],
        [np.arange(1, 12)],
        [np.where(np.arange(7 * 5 * 3).reshape(7, 5, 3) % 9 == 4, 1.5, 0), np.eye(3), np.zeros(2)],
    ],
    ids=["all zeros", "no zeros", "several, not a multiple of eight together"],
)
def test_sparse_weights_are_rebuilt_exactly(weights, tmp_path):
    weights = [np.float32(weight) for weight in weights]
    save_weights(weights, tmp_path)
    rebuilt = tf.saved_model.load(str(tmp_path)).read()
    for weight, value in zip(weights, rebuilt, strict=True):
        np.testing.assert_array_equal(value, weight)


def save_weights(weights: list[np.ndarray], folder: Path) -> None:
    module = tf.Module()
    module.weights = SparseWeights(weights)
    module.read = tf.function(module.weights.read, input_signature=[])
    tf.saved_model.save(module, str(folder))


def test_two_models_in_one_process_keep_their_own_weights(tmp_path):
    weights = [np.array([[0, value], [0, 0]], np.float32) for value in (1, 2)]
    for number, weight in enumerate(weights):
        save_weights([weight], tmp_path / str(number))
    loaded = [tf.saved_model.load(str(tmp_path / str(number))) for number in range(2)]
    for model, weight in zip(loaded, weights, strict=True):
        np.testing.assert_array_equal(model.read()[0], weight)
