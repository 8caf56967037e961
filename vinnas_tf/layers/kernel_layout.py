"""How the kernels of several edges lie end to end in one flat vector, and how they are cut out of it."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from vinnas_tf import kernels
from vinnas_tf.architecture.primitives import Block, Convolution
from vinnas_tf.architecture.space import SearchSpace


def rounds(space: SearchSpace, stride: int) -> list[dict[str, Block]]:
    """The blocks of the primitives, by name: the first of each, then the second of those that have two, and so on."""
    blocks = {name: space.blocks(name, stride) for name in space.primitives}
    depth = max(map(len, blocks.values()))
    return [{name: each[place] for name, each in blocks.items() if place < len(each)} for place in range(depth)]


def links(space: SearchSpace, stride: int) -> list[Convolution]:
    """All convolutions of the primitives, in the order of their kernels: round by round."""
    return [link for blocks in rounds(space, stride) for link in links_of(blocks)]


def links_of(blocks: Mapping[str, Block]) -> list[Convolution]:
    """The convolutions of one round, in the order of their kernels."""
    return [convolution for block in blocks.values() for convolution, _ in block]


def kernel_shapes(
    convolutions: Sequence[Convolution], channels: int, edges: int = 1
) -> list[tuple[int, int, int, int]]:
    """Shapes of the kernels of `edges` edges side by side, in the order in which they lie in the flat vectors."""
    together = channels * edges
    return [
        (*link.kernel_size, together, 1) if link.depthwise else (*link.kernel_size, channels, together)
        for link in convolutions
    ]


def edge_axis(convolution: Convolution) -> int:
    """The axis of a kernel along which those of several edges lie side by side."""
    return 2 if convolution.depthwise else 3


def cutting(
    convolutions: Sequence[Convolution], channels: kernels.Size, edges: kernels.Size
) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """How a flat vector of means or variances is cut into kernels, the numbers of channels and edges known or not."""
    # Sizes are linear in the channels and in those of all edges: their sums are fewer operations than a shape for each.
    none, of_channels, of_all = (np.array(kernel_shapes(convolutions, *size)) for size in ((0, 0), (1, 0), (1, 1)))
    shapes = none + (of_channels - none) * channels + (of_all - of_channels) * (channels * edges)
    sizes = tf.reduce_prod(shapes, axis=1)

    def cut(flat: tf.Tensor) -> list[tf.Tensor]:
        cut_out = [
            tf.reshape(part, shape)
            for part, shape in zip(tf.split(flat, sizes, num=len(none)), tf.unstack(shapes), strict=True)
        ]
        for kernel, (height, width, *_) in zip(cut_out, none, strict=True):
            kernel.set_shape((height, width, None, None))
        return cut_out

    return cut
