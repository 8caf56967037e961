"""The channels that are counted before and after, of layers of all kinds, one of which is gone."""

import keras
import numpy as np

from vinnas_tf.compress.report import units_table
from vinnas_tf.compress.units import Units, count_units
from vinnas_tf.network.stripping import strip


def test_what_is_left_is_what_the_stripped_kernels_have() -> None:
    images = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(6, 3, name="first")(images)
    x = keras.layers.ReLU()(keras.layers.DepthwiseConv2D(3, name="depthwise")(x))
    y = keras.layers.Conv2D(5, 1, name="second")(x)
    z = keras.layers.Conv2D(5, 1, name="gone")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([y, z]))
    network = keras.Model(images, keras.layers.Dense(3, name="linear")(x))
    for name, zeros in (("second", np.s_[:, :, :2]), ("gone", np.s_[:]), ("linear", np.s_[4:])):
        kernel = network.get_layer(name).kernel
        values = np.array(kernel)
        values[zeros] = 0
        kernel.assign(values)
    found = count_units(network, strip(network))
    assert found == (
        Units("first", 2, 2, 6, 4),
        Units("depthwise", 6, 4, 6, 4),
        Units("second", 6, 4, 5, 4),
        Units("gone", 6, 0, 5, 0),
        Units("linear", 5, 4, 3, 3),
    )
    text = units_table(found)
    assert [line.split() for line in text.splitlines()][4] == ["gone", *"0 of 6 0 of 5".split()]
    assert {len(line) for line in text.splitlines()} == {78}
