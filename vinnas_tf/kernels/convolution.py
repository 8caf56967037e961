"""Convolutions with "same" padding, as TensorFlow pads, in the forms that are fast on a CPU.

Every function takes images [batch, height, width, channels] with static height and width, and a kernel in TensorFlow's
layout, and equals the plain `tf.nn` convolution in value and gradients. On a GPU it is the plain convolution.
"""

import functools
import platform
from collections.abc import Callable

import tensorflow as tf

from vinnas_tf.kernels.device import on_cpu

# oneDNN has a fast filter gradient of a depthwise convolution for kernels of up to this many columns.
_FAST_COLUMNS = 3


def same_padding(size: int, kernel_size: int, stride: int) -> list[int]:
    """Zeros before and after an axis of `size` under TensorFlow's "SAME" padding."""
    total = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
    return [total // 2, total - total // 2]


def conv(x: tf.Tensor, kernel: tf.Tensor, stride: int | tuple[int, int] = 1) -> tf.Tensor:
    """Convolves with a kernel [height, width, input channels, output channels].

    Where `x` has several times the kernel's input channels, that many groups of them lie side by side, and so do their
    outputs: each group is convolved on its own.
    """
    groups = x.shape[-1] // kernel.shape[2]
    if groups > 1 and on_cpu() and not _convolves_groups(x.dtype):
        pairs = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
        return tf.concat([tf.nn.conv2d(part, own, stride, "SAME") for part, own in pairs], -1)
    return tf.nn.conv2d(x, kernel, stride, "SAME")


@functools.cache
def _convolves_groups(dtype: tf.DType) -> bool:
    """Whether TensorFlow has the gradients of groups on this CPU: by oneDNN, of some types, and tried on x86 only."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    with tf.init_scope():
        x = tf.ones([1, 1, 1, 2], dtype)
        try:
            tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=[1, 1, 1, 2], out_backprop=x, strides=[1, 1, 1, 1], padding="SAME"
            )
        except tf.errors.InvalidArgumentError:
            return False
    return True


def pointwise_conv(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolves with a kernel [1, 1, input channels, output channels], or groups of channels as `conv` does.

    Without groups it is a matrix product over pixels.
    """
    _, height, width, channels = x.shape
    if not on_cpu() or kernel.shape[2] < channels:
        return conv(x, kernel)
    matrix = tf.reshape(kernel, kernel.shape[2:])  # Its gradient is a reshape too; a slice's is a copy into zeros.
    return tf.reshape(tf.reshape(x, [-1, channels]) @ matrix, [-1, height, width, kernel.shape[3]])


def depthwise_conv(
    x: tf.Tensor, kernel: tf.Tensor, stride: int = 1, dilation: int = 1, padding: str = "SAME"
) -> tf.Tensor:
    """Convolves each channel on its own, with a kernel [height, width, channels, 1] of odd height and width.

    Args:
        x: images.
        kernel: its weights.
        stride: of both axes; 1 with dilation (`one_phase` is for equal stride and dilation).
        dilation: of both axes; a dilated kernel is padded for its full extent.
        padding: "SAME", or "VALID" for what is padded already; then without dilation.
    """
    if dilation == 1:
        return _depthwise(x, kernel, stride, padding)
    if not on_cpu():
        return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME", dilations=[dilation, dilation])
    return from_phases(_depthwise(to_phases(x, dilation), kernel, 1, "SAME"), dilation, x.shape)


def one_phase(x: tf.Tensor, kernel_size: tuple[int, int], stride: int) -> tf.Tensor:
    """What a "same" convolution of equal stride and dilation reads, padded for one without stride, dilation or padding.

    It reads every `stride`-th row and column only. A 1x1 convolution has any dilation, so every strided one is such a
    case. Otherwise it is one that TensorFlow's own operation refuses.
    """
    before = [same_padding(x.shape[i + 1], (kernel_size[i] - 1) * stride + 1, stride)[0] for i in range(2)]
    phase = subsample(x, stride, (-before[0] % stride, -before[1] % stride))
    padding = []
    for i in range(2):
        seen = -(-x.shape[i + 1] // stride) + kernel_size[i] - 1
        zeros_before = -(-before[i] // stride)
        padding.append([zeros_before, seen - zeros_before - phase.shape[i + 1]])
    return tf.pad(phase, [[0, 0], *padding, [0, 0]]) if kernel_size != (1, 1) else phase


def to_phases(x: tf.Tensor, period: int) -> tf.Tensor:
    """Splits images into those of every `period`-th row and column, stacked along the batch: where dilation is plain.

    Returns [period^2 * batch, ceil(height / period), ceil(width / period), channels]; missing pixels are zero.
    """
    _, height, width, channels = x.shape
    rows, columns = -(-height // period), -(-width // period)
    if height % period or width % period:
        x = tf.pad(x, [[0, 0], [0, rows * period - height], [0, columns * period - width], [0, 0]])
    x = tf.reshape(x, [-1, rows, period, columns, period, channels])
    return tf.reshape(tf.transpose(x, [2, 4, 0, 1, 3, 5]), [-1, rows, columns, channels])


def from_phases(x: tf.Tensor, period: int, shape: tf.TensorShape) -> tf.Tensor:
    """Undoes `to_phases` of an image batch of `shape`."""
    _, rows, columns, channels = x.shape
    x = tf.transpose(tf.reshape(x, [period, period, -1, rows, columns, channels]), [2, 3, 0, 4, 1, 5])
    return _corner(tf.reshape(x, [-1, rows * period, columns * period, channels]), shape[1], shape[2])


def subsample(x: tf.Tensor, period: int, first: tuple[int, int] = (0, 0)) -> tf.Tensor:
    """Every `period`-th row and column from `first` on: x[:, first[0]::period, first[1]::period].

    Written with slices of contiguous pixels; TensorFlow's strided slice, and its gradient, go value by value.
    """
    if period == 1:
        return x
    _, height, width, channels = x.shape
    rows, columns = -(-height // period), -(-width // period)
    if height % period or width % period:
        x = tf.pad(x, [[0, 0], [0, rows * period - height], [0, columns * period - width], [0, 0]])
    x = tf.reshape(x, [-1, rows, period, columns, period * channels])
    x = tf.slice(x, [0, 0, first[0], 0, first[1] * channels], [-1, rows, 1, columns, channels])
    x = tf.reshape(x, [-1, rows, columns, channels])
    return _corner(x, -(-(height - first[0]) // period), -(-(width - first[1]) // period))


def _corner(x: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """The upper left pixels."""
    return x if x.shape[1:3] == (height, width) else tf.slice(x, [0, 0, 0, 0], [-1, height, width, -1])


def _depthwise(x: tf.Tensor, kernel: tf.Tensor, stride: int, padding: str) -> tf.Tensor:
    strides = [1, stride, stride, 1]
    if not on_cpu() or kernel.shape[1] <= _FAST_COLUMNS:
        return tf.nn.depthwise_conv2d(x, kernel, strides, padding)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return (
            tf.nn.depthwise_conv2d_backprop_input(tf.shape(x), kernel, upstream, strides, padding),
            _filter_gradient(_padded(x, kernel, stride) if padding == "SAME" else x, kernel.shape, upstream, stride),
        )

    @tf.custom_gradient
    def depthwise(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple]]:
        return tf.nn.depthwise_conv2d(x, kernel, strides, padding), gradient

    return depthwise(x, kernel)


def _padded(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    return tf.pad(x, [[0, 0], *(same_padding(x.shape[i + 1], kernel.shape[i], stride) for i in range(2)), [0, 0]])


def _filter_gradient(padded: tf.Tensor, kernel_shape: tf.TensorShape, upstream: tf.Tensor, stride: int) -> tf.Tensor:
    """The gradient of a "valid" depthwise convolution with respect to its kernel, a few columns at a time."""
    height, width, channels, _ = kernel_shape
    extent = (upstream.shape[2] - 1) * stride
    pieces = []
    for first in range(0, width, _FAST_COLUMNS):
        columns = min(_FAST_COLUMNS, width - first)
        seen = tf.slice(padded, [0, 0, first, 0], [-1, -1, extent + columns, -1])
        shape = [height, columns, channels, 1]
        pieces.append(tf.nn.depthwise_conv2d_backprop_filter(seen, shape, upstream, [1, stride, stride, 1], "VALID"))
    return tf.concat(pieces, 1)
