"""ResNet of two branches (Gastaldi 2017, whose shaking is left out): PGNAS's SupNet-M and SupNet-MI."""

from collections.abc import Sequence

import keras

from vinnas_tf.network.backbones.parts import Parts, require_multiple, stages

_STEM = 16


def multi_branch_resnet(
    image_shape: tuple[int, ...], classes: int, seed: int, *, width: int, blocks: Sequence[int]
) -> keras.Model:
    """Stages of residual blocks, whose two paths of ReLU, 3x3, BN, ReLU, 3x3, BN are added to the skip.

    A 3x3 convolution to 16 channels comes first. Where a block widens, its skip is ReLU and two normalised 1x1
    convolutions of half the channels, one of the image moved by a pixel. At width 96 and four blocks in each of three
    stages it has 26,192,922 parameters for ten classes (SupNet-M; printed: 26.2 M). PGNAS calls SupNet-MI "channels
    doubled" and prints 72 M: that is width 160, with 72,695,194; width 192 has 104,658,522.

    Args:
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        seed: of the initial weights.
        width: channels of the first stage, an even number; each further stage doubles them.
        blocks: of each stage.

    Raises:
        SettingError: the width is odd, or the images are too small.
    """
    require_multiple(width, 2, "multi_branch_resnet")
    parts = Parts(image_shape, seed)
    x = parts.normalized_convolution(parts.images, _STEM, 3, "stem")
    for stage, block, stride in stages(blocks):
        x = _block(parts, x, width * 2**stage, stride, f"stage_{stage}_block_{block}")
    return parts.network(parts.activated(x, "last"), classes)


def _block(parts: Parts, x: keras.KerasTensor, channels: int, stride: int, name: str) -> keras.KerasTensor:
    active = parts.activated(x, name)
    paths = []
    for path in (f"{name}_path_0", f"{name}_path_1"):
        y = parts.normalized_convolution(active, channels, 3, f"{path}_0", stride=stride)
        paths.append(parts.normalized_convolution(parts.activated(y, path), channels, 3, f"{path}_1"))
    widens = stride > 1 or x.shape[-1] != channels
    skip = parts.halves(active, channels, f"{name}_skip", stride=stride) if widens else x
    return keras.layers.Add(name=f"{name}_output")([skip, *paths])
