"""Runs an exported file in a process of its own, which holds the file's runtime and nothing else.

`main` and what is below it run in that process; `predict` and `time_calls` start it and return what it found. A file
that crashes its interpreter thus takes nobody else along. The process may write into its scratch folder alone, and is
ended when it takes far too long: a model is a program, and may be a stranger's.
"""

import contextlib
import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vinnas_tf.data.picture import at_once
from vinnas_tf.errors import FileError, require
from vinnas_tf.export.runtime import Runner, load
from vinnas_tf.flags import run_cli
from vinnas_tf.run.child import run_to_end
from vinnas_tf.run.confined import forbid_writing

THREADS = (1, 2)

_SECONDS, _SECONDS_A_CALL = 600.0, 5.0  # More than a slow machine needs.
_BATCH = 256  # Images a call of a SavedModel at most, when all test images are run.
_WARM_UP = 10
_NOT_RUN = "{} can't be run ({}): it may be cut off or no export; export it anew."
_ROUNDS = 100


def predict(path: Path, images: np.ndarray) -> np.ndarray:
    """Probabilities, float32 [n, classes], that a file gives for uint8 images [n, h, w, c], run by a fresh process.

    Raises:
        FileError: the file can't be loaded or run, or takes images of another shape.
    """
    with _scratch(images) as folder:
        _fresh_process(["predict", folder, path], len(images))
        return np.load(f"{folder}/probabilities.npy")


def time_calls(paths: Sequence[Path], image: np.ndarray) -> list[dict[str, dict[str, float]]]:
    """Latency of a call with one image, for each file: {threads: {"median_ms": ..., "p95_ms": ...}}.

    A fresh process for each number of threads calls the files in turn, so that what else the machine does meets all of
    them alike.

    Args:
        paths: files of one runtime.
        image: uint8 [h, w, c].

    Raises:
        FileError: one of them can't be loaded or run, or takes images of another shape.
    """
    latencies: list[dict[str, dict[str, float]]] = [{} for _ in paths]
    with _scratch(image[None]) as folder:
        for threads in THREADS:
            _fresh_process(["time", folder, *paths, threads], len(paths) * (_WARM_UP + _ROUNDS))
            record = json.loads(Path(folder, "milliseconds.json").read_text())
            for latency, milliseconds in zip(latencies, record, strict=True):
                median, p95 = np.percentile(milliseconds, [50, 95])
                latency[str(threads)] = {"median_ms": round(median, 4), "p95_ms": round(p95, 4)}
    return latencies


@contextlib.contextmanager
def _scratch(images: np.ndarray) -> Iterator[str]:
    """A temporary folder with the images.

    Raises:
        FileError: there is no temporary folder.
        OSError: there is no room for the images; that is no fault of the file that is run.
    """
    try:
        folder = tempfile.TemporaryDirectory()
    except OSError as error:
        raise FileError(f"there is no temporary folder ({error.strerror}): name one with TMPDIR.") from error
    with folder:
        try:
            np.save(f"{folder.name}/images.npy", images)
        except OSError as error:  # NumPy tells of a short write without its reason.
            reason = f"{os.strerror(errno.ENOSPC)} for {images.nbytes:,} bytes of images (TMPDIR names the folder)"
            raise OSError(errno.ENOSPC, reason, tempfile.gettempdir()) from error
        yield folder.name


def _fresh_process(arguments: Sequence[Any], calls: int) -> None:
    """Runs this module; `arguments` are those of `main`, `calls` how often a file is called at most."""
    task, folder, path, *_ = arguments
    seconds = _SECONDS + _SECONDS_A_CALL * calls
    end = run_to_end(__name__, [*map(str, arguments)], Path(folder, "log"), seconds)
    reason = end.lines[-1][:200] if end.lines and end.code > 0 else end.how
    reason = f"it took longer than {seconds:.0f} s" if end.late else reason
    require(end.code == 0, end.error or _NOT_RUN.format(path, reason), FileError)


def main(argv: list[str]) -> None:
    """The fresh process: `predict FOLDER FILE` or `time FOLDER FILE... THREADS`; FOLDER holds images.npy."""
    task, folder, *rest = argv
    forbid_writing(Path(folder))
    images = np.load(f"{folder}/images.npy")
    if task == "predict":
        runner = _load_for(images, rest[0], max(THREADS))
        size = at_once(_BATCH, images.shape[1:])
        batches = (images[start : start + size] for start in range(0, len(images), size))
        try:
            answers = [runner.run(batch) for batch in batches]
        except Exception as error:  # Each runtime raises its own; one may be for what the file may not do.
            raise FileError(_NOT_RUN.format(rest[0], " ".join(str(error).split())[:200])) from error
        np.save(f"{folder}/probabilities.npy", np.concatenate(answers))
        return
    *paths, threads = rest
    runners = [_load_for(images, path, int(threads)) for path in paths]
    milliseconds: list[list[float]] = [[] for _ in runners]
    for turn in range(_WARM_UP + _ROUNDS):
        for runner, record in zip(runners, milliseconds, strict=True):
            start = time.perf_counter()
            runner.run(images)
            if turn >= _WARM_UP:
                record.append(1e3 * (time.perf_counter() - start))
    Path(folder, "milliseconds.json").write_text(json.dumps(milliseconds))


def _load_for(images: np.ndarray, path: str, threads: int) -> Runner:
    """Loads a file; raises FileError where it takes images of another shape."""
    runner = load(Path(path), threads)
    taken, given = (" x ".join(map(str, shape)) for shape in (runner.image_shape, images.shape[1:]))
    require(
        taken == given,
        f"{path} takes images of {taken} (height x width x channels), and these are {given}: give the --dataset and "
        "--image_size that its network was trained with.",
        FileError,
    )
    return runner


if __name__ == "__main__":
    run_cli(main)
