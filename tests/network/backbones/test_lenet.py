"""LeNets: their parameters, and the images that they need."""

import numpy as np
import pytest

from vinnas_tf.errors import SettingError
from vinnas_tf.network.backbones import BackboneSettings, make_backbone


@pytest.mark.parametrize(("name", "expected"), [("lenet_300_100", 266_610), ("lenet_5", 431_080)])
def test_parameters_at_published_sizes(name: str, expected: int) -> None:
    network = make_backbone(BackboneSettings(backbone=name), (28, 28, 1), 10, 0)
    assert sum(int(np.prod(variable.shape)) for variable in network.trainable_weights) == expected
    images = np.random.default_rng(0).normal(size=(50, 28, 28, 1)).astype("float32")
    assert 0.2 < np.std(network(images)) < 5, "Activations keep their size."


def test_small_images_are_refused_where_nothing_would_be_left_of_them() -> None:
    assert make_backbone(BackboneSettings(backbone="lenet_300_100"), (8, 8, 1), 3, 0).output_shape == (None, 3)
    with pytest.raises(SettingError, match="lenet_5 needs images of at least 16 pixels a side, got 15: use image_size"):
        make_backbone(BackboneSettings(backbone="lenet_5"), (20, 15, 1), 10, 0)
    assert make_backbone(BackboneSettings(backbone="lenet_5"), (16, 20, 1), 10, 0).output_shape == (None, 10)
