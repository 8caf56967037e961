"""The devices that compute a run: one, or several that share the images of each step."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from vinnas_tf.config import ALL, FLOAT32, HIGHEST, OFF, ON, DeviceConfig
from vinnas_tf.errors import require
from vinnas_tf.kernels.device import compile_kernels, on_cpu
from vinnas_tf.network.precision import in_precision

_LEAST = 2  # Images of a device's part of a batch: of one, batch statistics say next to nothing.


class Devices:
    """What a run computes on.

    With several devices each holds all variables, computes its part of every batch by itself, batch statistics
    included, and moves by the sum of the gradients (synchronous data parallelism, `tf.distribute.MirroredStrategy`).
    With one device TensorFlow works as it does by itself. The precision of float32 products, deterministic kernels
    and whether XLA compiles any are switches of the whole process, which stay as they are set.

    Args:
        config: which devices, and how they compute.

    Attributes:
        count: how many devices.
        precision: of the images inside a network, one of config.PRECISIONS.
        compiles_steps: whether XLA compiles each step as one program.

    Raises:
        SettingError: the machine has fewer, or has no GPU for what needs one.
    """

    def __init__(self, config: DeviceConfig) -> None:
        if config.float32_precision == HIGHEST:
            tf.config.experimental.enable_tensor_float_32_execution(False)
        if config.deterministic:
            tf.config.experimental.enable_op_determinism()
        require(
            config.jit_compile != ON or not on_cpu(),
            f"jit_compile={ON} needs a GPU: on a CPU XLA compiles every step anew, which takes minutes. Leave it out.",
        )
        compile_kernels(config.jit_compile != OFF)
        self.compiles_steps = config.jit_compile == ON
        self.precision = config.precision
        names = _names(config.devices)
        self.count = len(names)
        self._strategy = _mirrored(names) if self.count > 1 else None

    @contextlib.contextmanager
    def placed(self, network: keras.Model) -> Iterator[keras.Model]:
        """The network to train in its context.

        It is the float32 network itself; or where there are several devices, or another precision, a copy on these
        devices and of this precision, whose weights the network gets in the end.
        """
        if self._strategy is None and self.precision == FLOAT32:
            yield network
            return
        with self.scope():
            copy = in_precision(network, self.precision)
        yield copy
        network.set_weights(copy.get_weights())

    def require_batch(self, batch_size: int) -> None:
        """Raises SettingError where a batch has too few images for all devices."""
        require(
            self.count == 1 or batch_size // self.count >= _LEAST,
            f"batch_size={batch_size} has fewer than {_LEAST} images for each of devices={self.count}: use "
            f"batch_size={_LEAST * self.count} or more, or fewer devices.",
        )

    def scope(self) -> AbstractContextManager[Any]:
        """In its context what is made is made for these devices: networks, models and optimizers."""
        return contextlib.nullcontext() if self._strategy is None else self._strategy.scope()

    def shared(self, batches: tf.data.Dataset) -> tf.data.Dataset | tf.distribute.DistributedDataset:
        """The batches as `fit` and `evaluate` take them: each cut into a part for each device.

        The parts of a batch differ by one image at most, and are empty only where it has fewer images than there are
        devices.

        Args:
            batches: any structure of tensors [n, ...], of one n in each batch.
        """
        if self._strategy is None:
            return batches
        parts = batches.flat_map(self._cut).prefetch(2 * self.count)
        return self._strategy.distribute_datasets_from_function(lambda _: parts)

    def steps(self, batches: tf.data.Dataset) -> int | None:
        """How many batches of what `shared` gives make a round, where Keras would take each part for a batch."""
        return None if self._strategy is None else int(batches.cardinality())

    def _cut(self, *batch: Any) -> tf.data.Dataset:
        count, size = self.count, tf.nest.flatten(batch)[0].shape[0]
        part_size = size // count if size is not None and size % count == 0 else None

        def part(place: tf.Tensor) -> Any:
            def cut(x: tf.Tensor) -> tf.Tensor:
                images = tf.shape(x, tf.int64)[0]
                own = x[place * images // count : (place + 1) * images // count]
                return tf.ensure_shape(own, [part_size, *x.shape[1:]])

            return tf.nest.map_structure(cut, batch)

        return tf.data.Dataset.range(count).map(tf.autograph.experimental.do_not_convert(part))


def _names(asked: str) -> list[str]:
    """The devices that were asked for, as TensorFlow calls them."""
    if asked == "1":
        return [""]  # Whichever TensorFlow takes; nothing has to be looked for.
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    present = [device.name for device in tf.config.list_logical_devices(kind)]
    count = len(present) if asked == ALL else int(asked)
    require(
        count <= len(present),
        f"devices={count} is more than the {len(present)} {kind}{'s' if len(present) > 1 else ''} that TensorFlow sees "
        f"here: use devices={len(present)}, or {ALL}.",
    )
    return present[:count]


def _mirrored(names: list[str]) -> tf.distribute.MirroredStrategy:
    # TensorFlow chooses the fastest way between GPUs, and would warn that there is none between CPUs.
    between = None if "GPU" in names[0] else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(names, cross_device_ops=between)


ONE = Devices(DeviceConfig())  # One device, as TensorFlow chooses it.
