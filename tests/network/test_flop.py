"""Operations of a network counted by hand."""

import numpy as np

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.network.build import build_network
from vinnas_tf.network.flop import count_flops
from vinnas_tf.network.stripping import strip

GENOTYPE = Genotype(1, {"reduction": (Edge(2, 0, "sep_conv_5x5"), Edge(2, 1, "skip"))})


def test_operations_by_hand_and_after_stripping() -> None:
    model = build_network(GENOTYPE, cells="R", channels=3, image_shape=(10, 8, 1), classes=7, variational=False)
    by_layer = {
        "stem": 10 * 8 * 9 * 3,
        "preprocessing": 2 * 10 * 8 * 3 * 6,
        "depthwise, stride 2": 5 * 4 * 25 * 6,
        "pointwise": 5 * 4 * 6 * 6,
        "strided skip": 5 * 4 * 6 * 6,
        "classifier": 6 * 7,
    }
    assert count_flops(model).dense == count_flops(model).nonzero == 2 * sum(by_layer.values())
    # Without one output channel of the strided skip, five sixths of its operations are left.
    kernel = model.get_layer("cell_0_1to2_skip_conv_0").mean
    kernel.assign(kernel.numpy() * (np.arange(6) != 2))
    assert count_flops(model).dense - count_flops(model).nonzero == 2 * 5 * 4 * 6
    # Without the whole operation, its input's preprocessing goes too.
    kernel.assign(np.zeros(kernel.shape))
    left = sum(by_layer.values()) - by_layer["strided skip"] - by_layer["preprocessing"] / 2
    assert count_flops(strip(model)).dense == 2 * left
