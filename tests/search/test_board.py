"""TensorBoard's files of a search, read back by TensorBoard's own reader."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vinnas_tf.search.board import Histograms, write_pictures


@pytest.fixture
def read(tmp_path):
    """What TensorBoard finds: reads the folder anew."""

    def reload():
        events = EventAccumulator(str(tmp_path / "architecture"), size_guidance={"tensors": 0})
        return events.Reload()

    return reload


def test_each_epoch_has_a_histogram_of_each_parameter(tmp_path, read):
    epochs = [{"normal/mean": np.full((5, 10), 0.25 * epoch)} for epoch in range(3)]
    callback = Histograms(tmp_path, lambda: epochs[epoch])
    for epoch in range(3):
        callback.on_epoch_end(epoch)
    events = read().Tensors("normal/mean")
    assert [event.step for event in events] == [0, 1, 2]
    for epoch, event in enumerate(events):
        buckets = tf.make_ndarray(event.tensor_proto)  # [n, (left, right, count)]
        assert buckets[:, 2].sum() == 50
        (filled,) = buckets[buckets[:, 2] > 0]
        assert filled[0] <= 0.25 * epoch <= filled[1]


def test_the_pictures_are_those_that_were_drawn(tmp_path, read):
    pixels = np.random.default_rng(0).integers(256, size=(6, 4, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cells.png")
    write_pictures([tmp_path / "cells.png", tmp_path / "posterior.png"], tmp_path, 7)
    events = read()
    assert events.Tags()["tensors"] == ["cells"]
    (event,) = events.Tensors("cells")
    width, height, encoded = event.tensor_proto.string_val
    assert (event.step, int(width), int(height)) == (7, 4, 6)
    np.testing.assert_array_equal(tf.io.decode_png(encoded), pixels)
