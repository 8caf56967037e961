"""What depends on the device at hand: which form of a kernel runs, and how operations share two cores."""

import functools
import os

import tensorflow as tf

from vinnas_tf.errors import require

_KERNELS = "VINNAS_TF_KERNELS"
_compiles = True


@functools.cache
def on_cpu() -> bool:
    """Whether this process computes on CPUs alone, so that the CPU forms pay; initialises TensorFlow's devices."""
    return not tf.config.list_logical_devices("GPU")


@functools.cache
def plain() -> bool:
    """Whether every kernel is to be TensorFlow's plain form, slow as it is; read once from the environment.

    VINNAS_TF_KERNELS=plain asks for it, so that one can tell whether a fault lies in this package's own forms. What is
    computed is the same up to rounding.

    Raises:
        SettingError: VINNAS_TF_KERNELS is set to something else.
    """
    asked = os.environ.get(_KERNELS, "")
    require(asked in ("", "plain"), f"{_KERNELS} must be plain or not set, got {asked!r}.")
    return asked == "plain"


def cpu_forms() -> bool:
    """Whether kernels take the forms that are fast on a CPU."""
    return on_cpu() and not plain()


def compile_kernels(compiles: bool) -> None:
    """Says whether kernels that gain by XLA are compiled by it in this process, as they are by themselves."""
    global _compiles
    _compiles = compiles


def compiles_kernels() -> bool:
    """Whether XLA compiles kernels that gain by it."""
    return _compiles and not plain()


def prepare_machine() -> None:
    """Tells TensorFlow how to use this machine's cores; to be called before it computes, later it has no effect.

    On two cores operations run in pairs, on a thread each, instead of all of them on a pool of two threads. A
    supergraph always has several operations that do not wait for each other; where each takes both cores, its threads
    keep waiting for one another. With more cores nothing was tried, and nothing is changed. A TF_NUM_INTRAOP_THREADS
    in the environment stays.

    XLA, which draws the noise, leaves the upper half of a processor's 512-bit registers unused unless it is told to;
    the convolutions of oneDNN use all of them anyway. Where there are none this changes nothing, nor any value that is
    drawn. An XLA_FLAGS in the environment stays.

    On a GPU TensorFlow takes memory as it needs it, and not all there is at once, unless TF_FORCE_GPU_ALLOW_GROWTH in
    the environment says otherwise.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores == 2:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_prefer_vector_width=512")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
