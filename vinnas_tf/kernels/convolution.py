"""Convolutions with "same" padding, as TensorFlow pads, in the forms that are fast on a CPU.

Every function takes images [batch, height, width, channels] and a kernel in TensorFlow's layout, and equals the plain
`tf.nn` convolution in value and gradients. On a GPU it is the plain convolution, but for strides and dilation. In a
graph the sizes of images, and the channels of a kernel, may be unknown; those of groups only if `convolves_groups`.
"""

import functools
import itertools
import platform
from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from vinnas_tf.kernels.device import cpu_forms, on_cpu, plain
from vinnas_tf.kernels.sizes import Size, known, sizes

Map: TypeAlias = Callable[[tf.Tensor], tf.Tensor]

# oneDNN has a fast filter gradient of a depthwise convolution for kernels of up to this many columns.
_FAST_COLUMNS = 3


def same_padding(size: Size, kernel_size: int, stride: int, dilation: int = 1) -> list[Size]:
    """Zeros before and after an axis of `size` under TensorFlow's "SAME" padding."""
    extent = (kernel_size - 1) * dilation + 1
    if stride == 1:  # Whatever the size: no arithmetic in a graph.
        return [(extent - 1) // 2, extent // 2]
    total = extent - 1 - (size - 1) % stride
    if extent < stride:  # Then pixels can be left over; such a kernel takes known sizes only.
        total = max(total, 0)
    return [total // 2, total - total // 2]


def conv(x: tf.Tensor, kernel: tf.Tensor, stride: int | tuple[int, int] = 1) -> tf.Tensor:
    """Convolves with a kernel [height, width, input channels, output channels].

    Where `x` has several times the kernel's input channels, that many groups of them lie side by side, and so do their
    outputs: each group is convolved on its own.
    """
    if convolves_groups(x.dtype) or x.shape[-1] == kernel.shape[2]:
        return tf.nn.conv2d(x, kernel, stride, "SAME")
    groups = x.shape[-1] // kernel.shape[2]
    pairs = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([tf.nn.conv2d(part, own, stride, "SAME") for part, own in pairs], -1)


def convolves_groups(dtype: tf.DType) -> bool:
    """Whether TensorFlow has the gradients of groups of channels; without them `conv` has to know how many there are.

    On a CPU it has them by oneDNN, of some types, and tried on x86 only.
    """
    return not plain() and (not on_cpu() or _has_grouped_gradients(dtype))


@functools.cache
def _has_grouped_gradients(dtype: tf.DType) -> bool:
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

    Without groups, as far as the shapes tell, it is a matrix product over pixels.
    """
    all_known = x.shape[1:].is_fully_defined() and kernel.shape.is_fully_defined()
    if not cpu_forms() or not all_known or kernel.shape[2] < x.shape[-1]:
        return conv(x, kernel)
    _, height, width, channels = x.shape
    matrix = tf.reshape(kernel, kernel.shape[2:])  # Its gradient is a reshape too; a slice's is a copy into zeros.
    return tf.reshape(tf.reshape(x, [-1, channels]) @ matrix, [-1, height, width, kernel.shape[3]])


def depthwise_conv(x: tf.Tensor, kernel: tf.Tensor, stride: int = 1, padding: str = "SAME") -> tf.Tensor:
    """Convolves each channel on its own, with a kernel [height, width, channels, 1].

    `stride` is that of both axes; `padding` is "SAME", or "VALID" for what is padded already. `phases` is for dilation,
    and `one_phase` for equal stride and dilation.
    """
    strides = [1, stride, stride, 1]
    if not cpu_forms():
        return _plain_depthwise_conv(x, kernel, strides, padding)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Padded alike on both sides, it is a convolution with the kernel turned round; oneDNN is faster at those.
        if stride == 1 and padding == "SAME" and all(size % 2 for size in kernel.shape[:2]):
            of_x = _plain_depthwise_conv(upstream, tf.reverse(kernel, [0, 1]), strides, padding)
        else:
            of_x = tf.nn.depthwise_conv2d_backprop_input(tf.shape(x), kernel, upstream, strides, padding)
        return of_x, _filter_gradient(x, kernel, upstream, stride, padding)

    @tf.custom_gradient
    def depthwise(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tuple]]:
        return _plain_depthwise_conv(x, kernel, strides, padding), gradient

    return depthwise(x, kernel)


def _plain_depthwise_conv(x: tf.Tensor, kernel: tf.Tensor, strides: list[int], padding: str) -> tf.Tensor:
    # `tf.nn.depthwise_conv2d` leaves operations in the graph that nobody reads.
    return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=kernel, strides=strides, padding=padding)


def one_phase(x: tf.Tensor, kernel_size: tuple[int, int], stride: int) -> tf.Tensor:
    """What a "same" convolution of equal stride and dilation reads, padded for one without stride, dilation or padding.

    It reads every `stride`-th row and column only. A 1x1 convolution has any dilation, so every strided one is such a
    case. Otherwise it is one that TensorFlow's own operation refuses.
    """
    if kernel_size == (1, 1):
        return subsample(x, stride)
    shape = sizes(x)[1:3]
    before = [same_padding(shape[i], kernel_size[i], stride, stride)[0] for i in range(2)]
    phase = subsample(x, stride, (-before[0] % stride, -before[1] % stride))
    read = sizes(phase)[1:3]
    padding = []
    for i in range(2):
        seen = _ceil(shape[i], stride) + kernel_size[i] - 1
        zeros_before = _ceil(before[i], stride)
        padding.append([zeros_before, seen - zeros_before - read[i]])
    return tf.pad(phase, [[0, 0], *padding, [0, 0]])


def phases(x: tf.Tensor, period: int) -> tuple[tf.Tensor, Map]:
    """Splits images into those of every `period`-th row and column; also returns the map that joins such again.

    In the split images, [period^2 * batch, ceil(height / period), ceil(width / period), channels], a convolution
    dilated by `period` is a plain one; missing pixels are zero. Splitting and joining are each other's gradient:
    TensorFlow's own would ask for the shape of what a convolution returned, and so have it computed again.
    """
    _, height, width, channels = sizes(x)
    rows, columns = _ceil(height, period), _ceil(width, period)
    if plain():
        block, edge = [period, period], [[0, rows * period - height], [0, columns * period - width]]
        return tf.space_to_batch(x, block, edge), lambda y: tf.batch_to_space(y, block, edge)
    # Made once for all that is split and joined, and for the gradients.
    missing = tf.convert_to_tensor([[0, 0], [0, rows * period - height], [0, columns * period - width], [0, 0]])
    of_split = tf.convert_to_tensor([-1, rows, columns, channels])
    before_split = tf.convert_to_tensor([-1, rows, period, columns, period, channels])
    before_join = tf.convert_to_tensor([period, period, -1, rows, columns, channels])
    of_joined = tf.convert_to_tensor([-1, rows * period, columns * period, channels])
    corner = tf.convert_to_tensor([-1, height, width, -1])

    def split(x: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(tf.pad(x, missing), before_split)
        return tf.reshape(tf.transpose(x, [2, 4, 0, 1, 3, 5]), of_split)

    def join(x: tf.Tensor) -> tf.Tensor:
        x = tf.transpose(tf.reshape(x, before_join), [2, 3, 0, 4, 1, 5])
        return tf.slice(tf.reshape(x, of_joined), [0, 0, 0, 0], corner)

    @tf.custom_gradient
    def splitting(x: tf.Tensor) -> tuple[tf.Tensor, Map]:
        return split(x), join

    @tf.custom_gradient
    def joining(x: tf.Tensor) -> tuple[tf.Tensor, Map]:
        return join(x), split

    return splitting(x), joining


def subsample(x: tf.Tensor, period: int, first: tuple[Size, Size] = (0, 0)) -> tf.Tensor:
    """Every `period`-th row and column from `first` on: x[:, first[0]::period, first[1]::period].

    Written with slices of contiguous pixels; TensorFlow's strided slice, and its gradient, go value by value.
    """
    if period == 1:
        return x
    if plain():
        return x[:, first[0] :: period, first[1] :: period]
    _, height, width, channels = sizes(x)
    rows, columns = _ceil(height, period), _ceil(width, period)
    if not known(height, width) or height % period or width % period:
        x = tf.pad(x, [[0, 0], [0, rows * period - height], [0, columns * period - width], [0, 0]])
    x = tf.reshape(x, [-1, rows, period, columns, period * channels])
    x = tf.slice(x, [0, 0, first[0], 0, first[1] * channels], [-1, rows, 1, columns, channels])
    x = tf.reshape(x, [-1, rows, columns, channels])
    return _corner(x, _ceil(height - first[0], period), _ceil(width - first[1], period))


def _ceil(size: Size, period: int) -> Size:
    return (size + (period - 1)) // period


def _corner(x: tf.Tensor, height: Size, width: Size) -> tf.Tensor:
    """The upper left pixels; TensorFlow copies nothing where they are all."""
    if known(height, width) and x.shape[1:3] == (height, width):
        return x
    return tf.slice(x, [0, 0, 0, 0], [-1, height, width, -1])


def _padded(x: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    shape = sizes(x)
    return tf.pad(x, [[0, 0], *(same_padding(shape[i + 1], kernel.shape[i], stride) for i in range(2)), [0, 0]])


def _filter_gradient(x: tf.Tensor, kernel: tf.Tensor, upstream: tf.Tensor, stride: int, padding: str) -> tf.Tensor:
    """The gradient of a depthwise convolution with respect to `kernel`, a few columns at a time where it is wide."""
    height, width, channels, _ = sizes(kernel)
    strides = [1, stride, stride, 1]
    if width <= _FAST_COLUMNS:
        shape = [height, width, channels, 1]
        return tf.nn.depthwise_conv2d_backprop_filter(x, shape, upstream, strides, padding)
    padded = _padded(x, kernel, stride) if padding == "SAME" else x
    count = _ceil(width, _FAST_COLUMNS)
    # Pieces of much the same width: a single column with a stride is slow.
    bounds = [_ceil(width * piece, count) for piece in range(count + 1)]
    pieces = []
    for first, after in itertools.pairwise(bounds):
        seen = padded[:, :, first : after - width or None]
        shape = [height, after - first, channels, 1]
        pieces.append(tf.nn.depthwise_conv2d_backprop_filter(seen, shape, upstream, strides, "VALID"))
    return tf.concat(pieces, 1)
