"""ResNet-50 (He et al. 2016), plain and with branches: PGNAS's SupNet-R-50."""

from collections.abc import Sequence
from typing import NamedTuple

import keras

from vinnas_tf.network.backbones.parts import Parts, require_multiple, stages


class Branch(NamedTuple):
    """One of the convolutions that stand side by side; they share the output channels out equally."""

    size: int
    dilation: int = 1


PLAIN = (Branch(3),)
INFLATED = (Branch(1), Branch(3), Branch(3), Branch(5, dilation=2))
_EXPANSION = 4


def resnet50(
    image_shape: tuple[int, ...],
    classes: int,
    seed: int,
    *,
    width: int,
    blocks: Sequence[int],
    branches: Sequence[Branch] = PLAIN,
) -> keras.Model:
    """A ResNet of bottlenecks: 1x1 to `width`, the `branches`, 1x1 to four times as many, each with BN.

    A 7x7 convolution and a 3x3 max pool, of stride 2 each, come first. The stride of a stage is that of its first
    block's branches. ResNet-50 is width 64 and 3, 4, 6, 3 blocks: 25,557,032 parameters for 1,000 classes. With the
    branches of PGNAS's SupNet-R-50 (each 3x3 convolution becomes 1x1, 3x3, 3x3 and 5x5 dilated by 2, a quarter of the
    outputs each) it is 28,071,976; PGNAS prints 44.0 M, which this recipe, as its supplement gives it, does not make.

    Args:
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        seed: of the initial weights.
        width: channels of the first stage's bottlenecks; each further stage doubles them.
        blocks: of each stage.
        branches: what stands in the middle of a bottleneck.

    Raises:
        SettingError: the branches can't share the width, or the images are too small.
    """
    require_multiple(width, len(branches), "resnet50" if len(branches) == 1 else "multi_branch_resnet50")
    parts = Parts(image_shape, seed)
    x = parts.activated(parts.normalized_convolution(parts.images, width, 7, "stem", stride=2), "stem")
    x = parts.pooled(x, "max", 3, "stem", stride=2)
    for stage, block, stride in stages(blocks):
        x = _bottleneck(parts, x, width * 2**stage, stride, branches, f"stage_{stage}_block_{block}")
    return parts.network(x, classes)


def _bottleneck(
    parts: Parts, x: keras.KerasTensor, width: int, stride: int, branches: Sequence[Branch], name: str
) -> keras.KerasTensor:
    narrow = parts.activated(parts.normalized_convolution(x, width, 1, f"{name}_first"), f"{name}_first")
    channels = width // len(branches)
    joined = [
        _branch(parts, narrow, channels, branch, stride, f"{name}_path_{place}")
        for place, branch in enumerate(branches)
    ]
    y = keras.layers.Concatenate(name=f"{name}_paths")(joined) if len(joined) > 1 else joined[0]
    y = parts.normalized_convolution(parts.activated(y, f"{name}_paths"), width * _EXPANSION, 1, f"{name}_last")
    if y.shape != x.shape:
        x = parts.normalized_convolution(x, width * _EXPANSION, 1, f"{name}_skip", stride=stride)
    return parts.activated(keras.layers.Add(name=f"{name}_sum")([x, y]), f"{name}_output")


def _branch(
    parts: Parts, x: keras.KerasTensor, channels: int, branch: Branch, stride: int, name: str
) -> keras.KerasTensor:
    if branch.dilation == 1:
        return parts.normalized_convolution(x, channels, branch.size, name, stride=stride)
    if stride == branch.dilation:  # Which Keras refuses. The convolution sees every so many-th pixel of x alone.
        x = keras.layers.MaxPooling2D(1, strides=stride, name=f"{name}_subsampling")(x)
        return parts.normalized_convolution(x, channels, branch.size, name)
    return parts.normalized_convolution(x, channels, branch.size, name, dilation=branch.dilation)
