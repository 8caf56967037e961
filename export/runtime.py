"""Runs an exported file with its own runtime, LiteRT, TensorFlow or onnxruntime, each imported where it is needed."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vinnas_tf.errors import FileError

INSTALL_ONNX = "pip install tf2onnx onnx onnxruntime (the extra `onnx` of this package)"


@dataclass(frozen=True)
class Runner:
    """A file that is loaded.

    Attributes:
        image_shape: [height, width, channels] of the images that it takes.
        run: from uint8 images [n, h, w, c] to probabilities, float32 [n, classes].
    """

    image_shape: tuple[int, ...]
    run: Callable[[np.ndarray], np.ndarray]


def load(path: Path, threads: int) -> Runner:
    """Loads a file with its runtime.

    Args:
        path: a TFLite or ONNX file, or the folder of a SavedModel.
        threads: threads that its operations may use; for SavedModels the process's first call decides.
    """
    if path.is_dir():
        return _load_saved_model(path, threads)
    return (_load_onnx if path.suffix == ".onnx" else _load_tflite)(path, threads)


def _load_saved_model(folder: Path, threads: int) -> Runner:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    # A session, as TensorFlow Serving has it: the threads are its own, and a call costs no Python.
    v1 = tf.compat.v1
    config = v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    session = v1.Session(graph=tf.Graph(), config=config)
    signature = v1.saved_model.load(session, ["serve"], str(folder)).signature_def["serving_default"]
    image = signature.inputs["image"]
    call = session.make_callable(signature.outputs["probabilities"].name, [image.name])
    shape = tuple(side.size for side in image.tensor_shape.dim[1:])
    return Runner(shape, lambda images: call(images.astype(np.float32)))


def _load_tflite(path: Path, threads: int) -> Runner:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (image,), (probabilities,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: np.ndarray) -> np.ndarray:
        rows = []
        for one in images:
            interpreter.set_tensor(image["index"], one[None].astype(image["dtype"]))
            interpreter.invoke()
            rows.append(interpreter.get_tensor(probabilities["index"])[0])
        scale, zero = probabilities["quantization"]
        answers = np.asarray(rows, np.float32)
        return answers if scale == 0 else (answers - zero) * np.float32(scale)

    return Runner(tuple(map(int, image["shape"][1:])), run)


def _load_onnx(path: Path, threads: int) -> Runner:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise FileError(f"{path} needs onnxruntime to run: {INSTALL_ONNX}.") from error

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    return Runner(
        tuple(image.shape[1:]),
        lambda images: session.run(["probabilities"], {image.name: images.astype(np.float32)})[0],
    )
