"""The images that a network is surest and wrong about, against a plain loop."""

import base64
import io

import numpy as np
from PIL import Image

from vinnas_tf.config import DataConfig
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.report.network import at_hand, surest_mistakes


def test_mistakes_are_in_the_order_of_their_probability_with_their_own_pictures():
    generator = np.random.default_rng(0)
    images = ImageSet(generator.integers(256, size=(60, 8, 8, 1)).astype(np.uint8), np.arange(60) % 3)
    logits = generator.normal(size=(60, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = surest_mistakes(images, probabilities, ("x", "y", "z"))
    wrong = [(max(p), n) for n, p in enumerate(probabilities) if int(np.argmax(p)) != n % 3]
    assert (found.wrong, found.images, len(found.shown)) == (len(wrong), 60, 20)
    for (probability, number), one in zip(sorted(wrong, reverse=True)[:20], found.shown, strict=True):
        assert (one.true, one.taken_for) == ("xyz"[number % 3], "xyz"[int(np.argmax(probabilities[number]))])
        assert one.probability == (f"{probability:.1%}", f"{probabilities[number][number % 3]:.1%}")
        picture = Image.open(io.BytesIO(base64.b64decode(one.picture.removeprefix("data:image/png;base64,"))))
        np.testing.assert_array_equal(np.asarray(picture), images.images[number, :, :, 0])


def test_a_large_picture_is_shrunk():
    images = ImageSet(np.zeros((1, 300, 200, 3), np.uint8), np.zeros(1, int))
    (one,) = surest_mistakes(images, np.array([[0.1, 0.9]]), ("x", "y")).shown
    picture = Image.open(io.BytesIO(base64.b64decode(one.picture.split(",")[1])))
    assert (picture.size, picture.mode) == ((64, 96), "RGB")


def test_a_set_that_would_have_to_be_downloaded_is_not_at_hand(tmp_path):
    assert at_hand(DataConfig(dataset="digits"))
    assert not at_hand(DataConfig(dataset="mnist", data_dir=str(tmp_path)))
