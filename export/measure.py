"""Runs an exported file in a process of its own, which holds the file's runtime and nothing else.

The functions above `main` run in that process; `predict` and `time_calls` start it and return what it found. A file
that crashes its interpreter thus takes nobody else along.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vinnas_tf.child import environment
from vinnas_tf.config import ConfigError

THREADS = (1, 2)
Runner = Callable[[np.ndarray], np.ndarray]

_BATCH = 256  # Images a call of a SavedModel, when all test images are run.
_WARM_UP = 10
_ROUNDS = 100


def load(path: Path, threads: int) -> Runner:
    """A function from uint8 images [n, h, w, c] to probabilities, float32 [n, classes], that runs a file.

    Args:
        path: a TFLite file, or the folder of a SavedModel.
        threads: threads that its operations may use; for SavedModels the process's first call decides.
    """
    return _load_saved_model(path, threads) if path.is_dir() else _load_tflite(path, threads)


def _load_saved_model(folder: Path, threads: int) -> Runner:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    # A session, as TensorFlow Serving has it: the threads are its own, and a call costs no Python.
    v1 = tf.compat.v1
    config = v1.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads)
    session = v1.Session(graph=tf.Graph(), config=config)
    signature = v1.saved_model.load(session, ["serve"], str(folder)).signature_def["serving_default"]
    call = session.make_callable(signature.outputs["probabilities"].name, [signature.inputs["image"].name])
    return lambda images: call(images.astype(np.float32))


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

    return run


def predict(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities, float32 [n, classes], that a file gives for uint8 images [n, h, w, c], run by a fresh process.

    Raises:
        ConfigError: the file can't be loaded or run.
    """
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/images.npy", images)
        _fresh_process(["predict", folder, path], path)
        return np.load(f"{folder}/probabilities.npy")


def time_calls(paths: Sequence[Path], image: np.ndarray) -> list[dict[str, dict[str, float]]]:
    """Latency of a call with one image, for each file: {threads: {"median_ms": ..., "p95_ms": ...}}.

    A fresh process for each number of threads calls the files in turn, so that what else the machine does meets all of
    them alike.

    Args:
        paths: TFLite files or SavedModels, not both.
        image: uint8 [h, w, c].

    Raises:
        ConfigError: one of them can't be loaded or run.
    """
    latencies: list[dict[str, dict[str, float]]] = [{} for _ in paths]
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/images.npy", image[None])
        for threads in THREADS:
            printed = _fresh_process(["time", folder, threads, *paths], paths[0])
            for latency, milliseconds in zip(latencies, json.loads(printed), strict=True):
                median, p95 = np.percentile(milliseconds, [50, 95])
                latency[str(threads)] = {"median_ms": round(median, 4), "p95_ms": round(p95, 4)}
    return latencies


def _fresh_process(arguments: Sequence[Any], path: Path) -> str:
    """Runs this module; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        reason = f"signal {-done.returncode}" if done.returncode < 0 else (lines or ["no message"])[-1][:200]
        raise ConfigError(f"{path} can't be run ({reason}): it may be cut off or no export; export it anew.")
    return done.stdout


def main(argv: list[str]) -> None:
    """The fresh process: `predict FOLDER FILE` or `time FOLDER THREADS FILE...`; FOLDER holds images.npy."""
    task, folder, *rest = argv
    images = np.load(f"{folder}/images.npy")
    if task == "predict":
        run = load(Path(rest[0]), max(THREADS))
        batches = (images[start : start + _BATCH] for start in range(0, len(images), _BATCH))
        np.save(f"{folder}/probabilities.npy", np.concatenate([run(batch) for batch in batches]))
        return
    runners = [load(Path(path), int(rest[0])) for path in rest[1:]]
    milliseconds: list[list[float]] = [[] for _ in runners]
    for turn in range(_WARM_UP + _ROUNDS):
        for run, record in zip(runners, milliseconds, strict=True):
            start = time.perf_counter()
            run(images)
            if turn >= _WARM_UP:
                record.append(1e3 * (time.perf_counter() - start))
    print(json.dumps(milliseconds))


if __name__ == "__main__":
    main(sys.argv[1:])
