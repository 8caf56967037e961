"""The designs that are compared, each at work in a process of its own."""

import dataclasses
import functools
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from vinnas_tf.config import (
    FLOAT32,
    LOCAL_REPARAMETRIZATION,
    MIXED_BFLOAT16,
    OFF,
    ON,
    WEIGHT_SAMPLING,
    DeviceConfig,
    SearchConfig,
    TrainConfig,
)
from vinnas_tf.run.child import End, die_with_the_parent

IMAGE_CHANNELS, CLASSES, EXAMPLES = 3, 10, 25_000

Config = SearchConfig | TrainConfig  # A search step, or a training step of the network of `TrainConfig.genotype`.


@dataclass(frozen=True)
class ChannelStep:
    """A step of the network whose channels are searched.

    Attributes:
        batch_size: images of a step.
        backbone: the settings that say which network, by name.
    """

    batch_size: int
    backbone: Mapping[str, Any]


class Step(NamedTuple):
    """What runs an iteration to its end, and what tells the peak memory so far, in bytes."""

    run: Callable[[], object]
    peak: Callable[[], int]


Batches = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _vinnas_tf(
    config: Config, batches: Batches, gpu: bool, *, estimator: str = LOCAL_REPARAMETRIZATION, **device: Any
) -> Step:
    from vinnas_tf.devices import Devices
    from vinnas_tf.kernels.device import prepare_machine
    from vinnas_tf.methods.vinnas import Vinnas, VinnasSettings
    from vinnas_tf.search.stage import make_model

    prepare_machine()
    _see(gpu)
    devices = Devices(DeviceConfig(**device))
    if isinstance(config, SearchConfig):
        method = Vinnas(config, VinnasSettings(estimator=estimator))
        model: Any = make_model(method, batches[0][0].shape[1:], CLASSES, EXAMPLES, devices=devices)
        for name, value in method.schedule(config.epochs - 1).items():
            model.scheduled[name].assign(value)
        data: Any = batches
    else:
        config = dataclasses.replace(config, estimator=estimator)
        model, data = _train_model(config, batches[0][0].shape[1:], devices), batches[0]
    return _iterate(model, data, gpu)


def _see(gpu: bool) -> None:
    """Shows TensorFlow no GPU unless the step is to run on one: the peers, and the floor, are then a CPU's."""
    import tensorflow as tf

    if not gpu:
        tf.config.set_visible_devices([], "GPU")
    elif not tf.config.list_physical_devices("GPU"):
        raise SystemExit("TensorFlow sees no GPU.")


def _train_model(config: TrainConfig, image_shape: tuple[int, ...], devices: Any) -> Any:
    from vinnas_tf.architecture.genotype import Genotype
    from vinnas_tf.network.precision import in_precision
    from vinnas_tf.train.stage import make_model, make_network

    network = make_network(config, Genotype.load(config.genotype), image_shape, CLASSES)
    if devices.precision != FLOAT32:
        network = in_precision(network, devices.precision)
    model = make_model(network, config, EXAMPLES, devices=devices)
    model.gamma.assign(config.gamma_weights)
    return model


def _channels(step: ChannelStep, batches: Batches, gpu: bool, *, masked: bool) -> Step:
    """A step of PGNAS, or an ordinary training step of the same network."""
    from vinnas_tf.kernels.device import prepare_machine
    from vinnas_tf.methods import method_from
    from vinnas_tf.search.stage import make_model as make_search_model
    from vinnas_tf.train.stage import make_model

    prepare_machine()
    _see(gpu)
    method: Any = method_from({"method": "pgnas", "batch_size": step.batch_size, **step.backbone})
    image_shape = batches[0][0].shape[1:]
    if masked:
        model: Any = make_search_model(method, image_shape, CLASSES, EXAMPLES)
        for name, value in method.schedule(0).items():
            model.scheduled[name].assign(value)
        data: Any = (batches[0], batches[0])  # Weights and probabilities learn from the same images.
    else:
        config = TrainConfig(variational=False, batch_size=step.batch_size)
        model, data = make_model(method.backbone(image_shape, CLASSES), config, EXAMPLES), batches[0]
    return _iterate(model, data, gpu)


def _iterate(model: Any, data: Any, gpu: bool) -> Step:
    """What runs a step of a compiled model on the same batch each time."""
    import tensorflow as tf

    iterator = iter(tf.data.Dataset.from_tensors(data).repeat())
    model.make_train_function()  # What `fit` calls for each batch.

    def peak() -> int:
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpu else _peak_of_process()

    # The figure waits for the device.
    return Step(lambda: float(model.train_function(iterator)["cross_entropy"]), peak)


def _peak_of_process() -> int:
    return (1 if sys.platform == "darwin" else 1024) * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _pytorch(config: Config, batches: Batches, gpu: bool, *, frozen: bool = False, compiled: bool = False) -> Step:
    import torch

    from benchmarks.peer_network import PeerTraining
    from benchmarks.peer_search import PeerSearch
    from vinnas_tf.methods.vinnas import Vinnas

    torch.set_num_threads(os.cpu_count() or 1)  # All of them; by itself PyTorch counts physical cores.
    device = "cuda" if gpu else "cpu"
    torch.set_float32_matmul_precision("high" if gpu else "highest")  # TF32, as TensorFlow has it on a GPU.

    weight_batch, alpha_batch = (
        (
            torch.tensor(images.transpose(0, 3, 1, 2)).contiguous().to(device),
            torch.tensor(labels, dtype=torch.long).to(device),
        )
        for images, labels in batches
    )
    image_shape = batches[0][0].shape[1:]

    def peak() -> int:
        return torch.cuda.max_memory_allocated() if gpu else _peak_of_process()

    def waited(run: Callable[[], object]) -> Callable[[], object]:
        return lambda: (run(), torch.cuda.synchronize() if gpu else None)

    if isinstance(config, TrainConfig):
        training = PeerTraining(config, image_shape[-1], CLASSES, EXAMPLES)
        training.network.to(device)  # In place: the optimizer holds the same parameters, and no state yet.
        if compiled:
            training.network.compile()
        return Step(waited(lambda: training.step(*weight_batch)), peak)
    search = PeerSearch(Vinnas(config), image_shape, CLASSES, EXAMPLES, needed_gradients_only=frozen)
    search.network.to(device)
    if compiled:
        search.network.compile()
    return Step(waited(lambda: (search.weight_step(*weight_batch), search.alpha_step(*alpha_batch))), peak)


# In pytorch_frozen, weights take no gradients in an alpha step, and alphas none in a weight step.
DESIGNS: dict[str, Callable[[Config, Batches, bool], Step]] = {
    "vinnas_tf": _vinnas_tf,
    "weight_sampling": functools.partial(_vinnas_tf, estimator=WEIGHT_SAMPLING),
    "pytorch": _pytorch,
    "pytorch_frozen": functools.partial(_pytorch, frozen=True),
}
# Other ways to compute the same step, which a GPU may gain by.
FURTHER_DESIGNS: dict[str, Callable[[Config, Batches, bool], Step]] = {
    "bfloat16": functools.partial(_vinnas_tf, precision=MIXED_BFLOAT16),
    "compiled_step": functools.partial(_vinnas_tf, jit_compile=ON),
    "nothing_compiled": functools.partial(_vinnas_tf, jit_compile=OFF),
    "pytorch_compiled": functools.partial(_pytorch, compiled=True),
}
CHANNEL_DESIGNS: dict[str, Callable[[Any, Batches, bool], Step]] = {
    "unmasked": functools.partial(_channels, masked=False),
    "masked": functools.partial(_channels, masked=True),
}
_ALL: dict[str, Callable[[Any, Batches, bool], Step]] = {**DESIGNS, **FURTHER_DESIGNS, **CHANNEL_DESIGNS}


def synthetic_batches(config: Config | ChannelStep, image_size: int) -> Batches:
    """A batch for the weights and one for the alphas: normalised images [n, h, w, c] float32, and labels int32 [n]."""
    generator = np.random.default_rng(0)
    shape = (config.batch_size, image_size, image_size, IMAGE_CHANNELS)
    weight_batch, alpha_batch = (
        (generator.normal(size=shape).astype(np.float32), generator.integers(CLASSES, size=shape[0], dtype=np.int32))
        for _ in range(2)
    )
    return weight_batch, alpha_batch


def _serve(design: str, config: Config | ChannelStep, image_size: int, gpu: bool, connection: Connection) -> None:
    """A design's process: for each message it runs an iteration, and answers (its seconds, peak memory so far)."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    die_with_the_parent(parent.sentinel)
    step = _ALL[design](config, synthetic_batches(config, image_size), gpu)
    while True:
        try:
            connection.recv()
        except EOFError:  # The parent has what it wants.
            return
        start = time.perf_counter()
        step.run()
        seconds = time.perf_counter() - start
        connection.send((seconds, step.peak()))


class WorkerError(Exception):
    """A design's process ended before its work did; the message is one line that says which and how."""


class Worker:
    """A design at work in a process of its own, until `close`.

    Args:
        design: a key of DESIGNS or FURTHER_DESIGNS, or for a `ChannelStep` of CHANNEL_DESIGNS.
        config: what a step is, its network and its batch size.
        image_size: pixels a side.
        gpu: whether it runs on a GPU.

    Attributes:
        peak: the peak memory so far, in bytes: of the process, or on the GPU.
    """

    def __init__(self, design: str, config: Config | ChannelStep, image_size: int, gpu: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self.design = design
        self.peak = 0
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(design, config, image_size, gpu, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def iterate(self) -> float:
        """Runs one iteration and returns its seconds; raises WorkerError where the process has died."""
        try:
            self._connection.send(None)
            seconds, self.peak = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            assert code is not None  # It has ended.
            reason = "killed, most likely for want of memory" if code == -9 else End(code).how
            raise WorkerError(f"{self.design} ended early: {reason}.") from None
        return seconds

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()
