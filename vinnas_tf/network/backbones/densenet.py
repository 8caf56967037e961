"""DenseNet-121 (Huang et al. 2017): PGNAS's SupNet-D-121."""

from collections.abc import Sequence

import keras

from vinnas_tf.network.backbones.parts import Parts

_BOTTLENECK = 4


def densenet121(
    image_shape: tuple[int, ...], classes: int, seed: int, *, width: int, blocks: Sequence[int]
) -> keras.Model:
    """Stages in which each layer reads what all layers before it made, with halving 1x1 convolutions between them.

    A layer is BN, ReLU, 1x1 to four times the growth, BN, ReLU, 3x3 to the growth; its output is concatenated with all
    that it read. A 7x7 convolution to twice the growth and a 3x3 max pool, of stride 2 each, come first. DenseNet-121
    is growth 32 and 6, 12, 24, 16 layers: 7,978,856 parameters for 1,000 classes.

    Args:
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        seed: of the initial weights.
        width: the growth, the channels that a layer adds.
        blocks: layers of each stage.

    Raises:
        SettingError: the images are too small.
    """
    parts = Parts(image_shape, seed)
    x = parts.activated(parts.normalized_convolution(parts.images, 2 * width, 7, "stem", stride=2), "stem")
    x = parts.pooled(x, "max", 3, "stem", stride=2)
    for stage, layers in enumerate(blocks):
        if stage:
            x = _transition(parts, x, f"transition_{stage}")
        sources = [x]
        for layer in range(layers):
            name = f"stage_{stage}_layer_{layer}"
            y = parts.activated(parts.normalized(x, f"{name}_0"), f"{name}_0")
            y = parts.normalized_convolution(y, _BOTTLENECK * width, 1, f"{name}_1")
            sources.append(parts.convolution(parts.activated(y, f"{name}_1"), width, 3, f"{name}_2_conv"))
            x = keras.layers.Concatenate(name=f"{name}_output")(sources)
    return parts.network(parts.activated(parts.normalized(x, "last"), "last"), classes)


def _transition(parts: Parts, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    x = parts.activated(parts.normalized(x, name), name)
    x = parts.convolution(x, x.shape[-1] // 2, 1, f"{name}_conv")
    return parts.pooled(x, "average", 2, name, stride=2)
