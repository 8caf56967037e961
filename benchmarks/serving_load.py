"""Asks a served model for a long time, one request in ten malformed, and holds each answer against the true one.

    python -m benchmarks.serving_load --run_dir=runs/m --minutes=10

The exported SavedModel stands behind a gRPC server that speaks TensorFlow Serving's protocol, in a process of its own.
Each client asks for the class of one to 32 random images, again and again; a malformed request has another shape, type,
name, no image, no such signature, or is no request at all. The exit code is 1 where an answer is wrong, a malformed
request is answered, a whole one is not, the server ends, or its memory grows by more than 2 % after the first tenth.
"""

if __name__ == "__main__":
    import vinnas_tf.run.startup  # noqa: F401

# isort: split
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
import numpy as np
import psutil
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.command import make_parser, notes, path_option, require_positive
from vinnas_tf.errors import FileError, UserError, require
from vinnas_tf.flags.define import spelt_as_flags
from vinnas_tf.run.child import die_with_the_parent
from vinnas_tf.run.outputs import finished_file
from vinnas_tf.run.tables import markdown_table

_SIGNATURE = "serving_default"
_METHOD = "/tensorflow.serving.PredictionService/Predict"
_LARGEST, _DIFFERENT, _MALFORMED = 32, 64, 10  # Images a request; requests; one in so many is malformed.
_GROWTH = 0.02


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers Predict with a SavedModel's signatures; what does not fit them is INVALID_ARGUMENT."""

    def __init__(self, folder: Path) -> None:
        self._model = tf.saved_model.load(str(folder))

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """As TensorFlow Serving's."""
        try:
            signature = self._model.signatures[request.model_spec.signature_name]
            given = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
            answers = signature(**given)
        except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:200])
        response = predict_pb2.PredictResponse()
        for name, value in answers.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response


def serve(folder: Path, port: Connection) -> None:
    """The server's process; sends its port, and ends with the process that started it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    die_with_the_parent(parent.sentinel)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(folder), server)
    number = server.add_insecure_port("localhost:0")
    server.start()
    port.send(number)
    server.wait_for_termination()


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        content: its bytes.
        expected: probabilities of the answer; None where it is malformed.
    """

    content: bytes
    expected: np.ndarray | None = None


def request(signature: str = _SIGNATURE, **inputs: np.ndarray) -> bytes:
    """The bytes of a Predict request."""
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name, asked.model_spec.signature_name = "model", signature
    for name, value in inputs.items():
        asked.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return asked.SerializeToString()


def make_requests(folder: Path) -> tuple[list[Asked], list[Asked]]:
    """Whole requests with their answers, from the signature called in this process; and malformed ones."""
    generator = np.random.default_rng(0)
    signature = tf.saved_model.load(str(folder)).signatures[_SIGNATURE]
    side = signature.structured_input_signature[1]["image"].shape[1:].as_list()
    images = [
        generator.integers(0, 256, (generator.integers(1, _LARGEST + 1), *side)).astype(np.float32)
        for _ in range(_DIFFERENT)
    ]
    whole = [Asked(request(image=one), signature(image=tf.constant(one))["probabilities"].numpy()) for one in images]
    image = images[0]
    malformed = [
        request(image=image[:, 1:]),
        request(image=image[0]),
        request(image=np.repeat(image, 2, axis=-1)),
        request(image=image.astype(np.int64)),
        request(image=np.array(["image"])),
        request(picture=image),
        request(image=image, more=image),
        request(),
        request("no_such_signature", image=image),
        whole[0].content[: len(whole[0].content) // 2],
        generator.bytes(1000),
    ]
    return whole, [Asked(one) for one in malformed]


@dataclass
class Client:
    """Asks until it is told to stop.

    Attributes:
        number: seed of its choices.
        seconds: of each whole request that was answered.
        refused: malformed requests that were refused.
        faults: what went wrong.
    """

    number: int
    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    faults: list[str] = field(default_factory=list)

    def ask(self, port: int, whole: list[Asked], malformed: list[Asked], stop: threading.Event) -> None:
        """One request after the other, on a channel of its own."""
        generator = np.random.default_rng(self.number)
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            call = channel.unary_unary(_METHOD)  # Bytes go out as they are.
            while not stop.is_set() and len(self.faults) < _MALFORMED:
                choices = malformed if generator.integers(_MALFORMED) == 0 else whole
                self._ask(call, choices[generator.integers(len(choices))])

    def _ask(self, call: Callable[..., bytes], asked: Asked) -> None:
        started = time.perf_counter()
        try:
            answer = call(asked.content, timeout=60)
        except grpc.RpcError as error:
            if asked.expected is not None or error.code() in (
                grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED,
            ):  # fmt: skip
                self.faults.append(f"{error.code().name}: {error.details()}")
            else:
                self.refused += 1
            return
        if asked.expected is None:
            self.faults.append("a malformed request was answered")
            return
        self.seconds.append(time.perf_counter() - started)
        response = predict_pb2.PredictResponse.FromString(answer)
        found = tf.make_ndarray(response.outputs["probabilities"])
        if not np.allclose(found, asked.expected, rtol=0, atol=1e-5):
            self.faults.append("an answer differs from that of the signature")


def load(folder: Path, clients: int, minutes: float) -> int:
    """Serves and asks; prints what came of it, and returns the exit code."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, there), daemon=True)
    server.start()
    port = here.recv()
    whole, malformed = make_requests(folder)
    asking, stop = [Client(number) for number in range(clients)], threading.Event()
    threads = [threading.Thread(target=client.ask, args=(port, whole, malformed, stop)) for client in asking]
    for thread in threads:
        thread.start()
    seen = psutil.Process(server.pid)
    samples = []
    started = time.monotonic()
    while server.is_alive() and time.monotonic() < started + 60 * minutes:
        stop.wait(60 * minutes / 100)
        samples.append((seen.memory_info().rss / 1e6, seen.num_fds()) if server.is_alive() else (0.0, 0))
    stop.set()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - started
    faults = [fault for client in asking for fault in client.faults]
    if not server.is_alive():
        faults.append(f"the server ended with exit code {server.exitcode}")
    server.kill()
    seconds = np.sort(np.concatenate([client.seconds for client in asking]))
    (first, files), (last, open_files) = samples[len(samples) // 10], samples[-1]
    if last > (1 + _GROWTH) * first or open_files > files:
        faults.append(f"the server grew: {first:.0f} to {last:.0f} MB, {files} to {open_files} open files")
    header = ("clients", "seconds", "answered", "a second", "median, ms", "p99, ms", "refused", "MB", "files", "faults")
    p50, p99 = 1e3 * np.percentile(seconds, (50, 99))
    refused = sum(client.refused for client in asking)
    row = (
        str(clients), f"{elapsed:.0f}", f"{len(seconds):,}", f"{len(seconds) / elapsed:.1f}", f"{p50:.1f}",
        f"{p99:.1f}", f"{refused:,}", f"{first:.0f}, {last:.0f}", f"{files}, {open_files}", str(len(faults)),
    )  # fmt: skip
    print(markdown_table(header, [row]))
    print()
    print(notes("MB and files: resident set and open descriptors of the server after a tenth of the time, at the end."))
    print("\n".join(faults))
    return 1 if faults else 0


def main(argv: list[str]) -> int:
    """The command."""
    parser = make_parser("benchmarks.serving_load", __doc__)
    parser.add_argument("--run_dir", type=path_option, required=True, help="run folder of a finished export")
    parser.add_argument("--clients", type=int, default=4, help="(%(default)s)")
    parser.add_argument("--minutes", type=float, default=10.0, help="(%(default)s)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "clients")
    if arguments.minutes <= 0:
        parser.error(f"--minutes must be above 0, got {arguments.minutes}.")
    try:
        model = finished_file(arguments.run_dir, "export", "saved_model/1/saved_model.pb")
        require(model.exists(), f"there is no {model}: run python -m vinnas_tf.export first.", FileError)
    except UserError as error:
        parser.exit(2, f"error: {spelt_as_flags(str(error))}\n")
    return load(model.parent, arguments.clients, arguments.minutes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
