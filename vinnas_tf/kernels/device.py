"""The one place that decides which form of a kernel runs."""

import functools

import tensorflow as tf


@functools.cache
def on_cpu() -> bool:
    """Whether this process computes on CPUs alone, so that the CPU forms pay; initialises TensorFlow's devices."""
    return not tf.config.list_logical_devices("GPU")
