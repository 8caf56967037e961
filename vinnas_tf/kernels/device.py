"""What depends on the device at hand: which form of a kernel runs, and how operations share two cores."""

import functools
import os

import tensorflow as tf


@functools.cache
def on_cpu() -> bool:
    """Whether this process computes on CPUs alone, so that the CPU forms pay; initialises TensorFlow's devices."""
    return not tf.config.list_logical_devices("GPU")


def share_two_cores() -> None:
    """On two cores, has operations run in pairs, on a thread each, instead of all of them on a pool of two threads.

    A supergraph always has several operations that do not wait for each other. Where each takes both cores, its threads
    keep waiting for one another. With more cores nothing was tried, and nothing is changed. A TF_NUM_INTRAOP_THREADS
    in the environment stays. To be called before TensorFlow computes; later it has no effect.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores == 2:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
