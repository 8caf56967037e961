"""The network of ENAS's cells (Pham et al. 2018): PGNAS's SupNet-E and SupNet-EI."""

from typing import NamedTuple

import keras

from vinnas_tf.architecture.skeleton import cell_places, require_fit
from vinnas_tf.config import require_skeleton
from vinnas_tf.network.backbones.parts import Parts, naming_backbone_settings, require_multiple


class _Operation(NamedTuple):
    """One of the two operations whose sum is a node: which node it reads, and what it does."""

    source: int
    code: int


# As ENAS's program writes cells: for each node the source and the code of both operations. Nodes 0 and 1 are the
# outputs of the two cells before. Codes 0 and 1 are separable convolutions, of 3x3 and 5x5; 2 and 3 are 3x3 pools,
# average and maximum; 4 is the identity.
_SIZES, _POOLS = {0: 3, 1: 5}, {2: "average", 3: "max"}
_CELLS = {
    "normal": ("0200", "0401", "0411", "1001", "0211"),
    "reduction": ("1010", "0302", "1131", "1004", "0311"),
}
_INPUTS = 2
_STEM = 3  # Channels of the stem, as a multiple of a cell's.


def enas(image_shape: tuple[int, ...], classes: int, seed: int, *, width: int, cells: str) -> keras.Model:
    """The cells that ENAS found, one after the other as the letters of `cells`, without its auxiliary tower.

    A cell brings its two inputs to its width by ReLU, 1x1, BN (a larger first input by two 1x1 convolutions of half, as
    the identity is at stride 2), and the second by another of these. Each of five nodes is the sum of two operations;
    the nodes that no other reads are concatenated. A separable convolution is ReLU, depthwise, pointwise, BN, all
    twice. A 3x3 convolution to three times the width comes first.

    At 15 normal and 2 reduction cells and ten classes it has 3,894,382 parameters with 36 channels (SupNet-E) and
    14,784,562 with 72 (SupNet-EI, "doubled"). With ENAS's tower of 448,778 and 494,858, which serves training alone,
    these are 4,343,160 and 15,279,420. PGNAS prints 15.3 M for the latter; the 4.6 M that it prints for the former is
    what ENAS's paper prints, and isn't made by the cells of ENAS's program.

    Args:
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        seed: of the initial weights.
        width: channels of a node before the first reduction, an even number; each reduction doubles them.
        cells: a word of N, a normal cell, and R, a reduction cell.

    Raises:
        SettingError: the skeleton is none, the width is odd, or the images are too small.
    """
    require_multiple(width, 2, "enas")
    with naming_backbone_settings():
        require_skeleton(cells)
        require_fit(cells, min(image_shape[:2]))
    parts = Parts(image_shape, seed)
    first = second = parts.normalized_convolution(parts.images, _STEM * width, 3, "stem")
    for place in cell_places(cells, width):
        name = f"cell_{place.position}"
        older = _preprocessed(parts, first, place.channels, place.stride_first, f"{name}_first")
        newer = _preprocessed(parts, second, place.channels, 1, f"{name}_second")
        newer = _preprocessed(parts, newer, place.channels, 1, f"{name}_base")
        first, second = second, _cell(parts, [older, newer], place.group, name)
    return parts.network(parts.activated(second, "last"), classes)


def _preprocessed(parts: Parts, x: keras.KerasTensor, channels: int, stride: int, name: str) -> keras.KerasTensor:
    x = parts.activated(x, name)
    if stride > 1:
        return parts.halves(x, channels, name, stride=stride)
    return parts.normalized_convolution(x, channels, 1, name)


def _cell(parts: Parts, inputs: list[keras.KerasTensor], group: str, name: str) -> keras.KerasTensor:
    nodes, read = list(inputs), set()
    for text in _CELLS[group]:
        node = f"{name}_node_{len(nodes)}"
        pair = [_Operation(*map(int, text[start : start + 2])) for start in (0, 2)]
        terms = []
        for place, operation in enumerate(pair):
            stride = 2 if group == "reduction" and operation.source < _INPUTS else 1
            terms.append(_operation(parts, nodes[operation.source], operation.code, stride, f"{node}_{place}"))
            read.add(operation.source)
        nodes.append(keras.layers.Add(name=node)(terms))
    loose = [node for number, node in enumerate(nodes) if number not in read]
    return keras.layers.Concatenate(name=f"{name}_output")(loose)


def _operation(parts: Parts, x: keras.KerasTensor, code: int, stride: int, name: str) -> keras.KerasTensor:
    channels = x.shape[-1]
    if code in _SIZES:
        for place, of_place in enumerate((stride, 1)):
            part = f"{name}_{place}"
            x = parts.activated(x, part)
            x = parts.depthwise(x, _SIZES[code], f"{part}_depthwise", stride=of_place)
            x = parts.normalized_convolution(x, channels, 1, part)
        return x
    if code in _POOLS:
        return parts.pooled(x, _POOLS[code], 3, name, stride=stride)
    return parts.halves(x, channels, name, stride=stride) if stride > 1 else x
