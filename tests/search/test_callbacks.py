"""What a search measures the statistics of its normalisations on, and what they are, against NumPy."""

import numpy as np
import pytest

from vinnas_tf.config import SearchConfig
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.methods import make_method
from vinnas_tf.search.callbacks import MeasureStatistics
from vinnas_tf.search.stage import make_model


def numbered_images(count: int, classes: int = 10) -> ImageSet:
    """Images that come sorted by class; the two pixels of each spell its number."""
    numbers = np.arange(count)
    pixels = np.stack([numbers // 256, numbers % 256], axis=-1).astype(np.uint8).reshape(count, 1, 2, 1)
    return ImageSet(pixels, (numbers * classes // count).astype(np.int32))


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(7, [7]), (127, [127]), (128, [64] * 2), (200, [64] * 3), (1024, [64] * 16), (5000, [64] * 16)],
)
def test_statistics_are_measured_on_equal_batches_spread_over_the_images(count: int, sizes: list[int]) -> None:
    raw = Normalization((0.0,), (1 / 255,))  # Leaves pixels as they are.
    batches = list(MeasureStatistics(numbered_images(count), raw).batches.as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == sizes
    numbers = np.sort(np.concatenate([np.rint(x[:, 0, :, 0]) @ [256, 1] for x, _ in batches]))
    assert (numbers[0], np.diff(numbers).min()) == (0, pytest.approx(count // sum(sizes)))
    assert np.diff([*numbers, count]).max() <= -(-count // sum(sizes))
    if count > 10:
        for _, labels in batches:
            shares = np.bincount(labels, minlength=10) / len(labels)
            np.testing.assert_allclose(shares, 0.1, atol=1 / len(labels))


def test_the_statistics_of_the_stem_are_those_of_its_outputs_in_numpy() -> None:
    config = SearchConfig(space="nasbench201", method="darts", cells="N", states=3, channels=4)
    model = make_model(make_method(config), (6, 7, 2), 3, 100)
    pixels = np.random.default_rng(0).integers(0, 256, (130, 6, 7, 2)).astype(np.uint8)
    normalization = Normalization((0.4, 0.6), (0.2, 0.3))
    callback = MeasureStatistics(ImageSet(pixels, np.zeros(130, np.int32)), normalization)
    callback.set_model(model)
    callback.on_test_begin()
    measured = pixels[np.arange(128) * 130 // 128]
    padded = np.pad((measured / 255 - [0.4, 0.6]) / [0.2, 0.3], [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    outputs = np.einsum("nhwcij,ijco->nhwo", windows, model.supergraph.stem.convolutions[0].mean.numpy())
    mean, variance = model.statistics.numpy()[:, :4]
    np.testing.assert_allclose(mean, outputs.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, outputs.var((0, 1, 2)), rtol=1e-4)
