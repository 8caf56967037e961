"""What depends on the device at hand: which form of a kernel runs, and how operations share a processor's cores."""

import functools
import os

import tensorflow as tf


@functools.cache
def on_cpu() -> bool:
    """Whether this process computes on CPUs alone, so that the CPU forms pay; initialises TensorFlow's devices."""
    return not tf.config.list_logical_devices("GPU")


def share_cores() -> None:
    """Has operations run side by side on half of the cores each, instead of each on all of them.

    A supergraph always has several operations that don't wait for each other, and a pair of them on two cores is done
    earlier than one after the other, whose threads wait for each other a hundred times as often. An environment that
    has TF_NUM_INTRAOP_THREADS stays as it is, and so does a process in which TensorFlow has computed before.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, cores // 2)))
