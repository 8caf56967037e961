"""Parts of the training images, and weights of classes against scikit-learn."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from vinnas_tf.config import TrainConfig
from vinnas_tf.data.batches import Normalization
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.images import Dataset
from vinnas_tf.data.picture import Preparation
from vinnas_tf.train.images import TrainingImages


def of_labels(labels: np.ndarray, held_out: int = 0) -> TrainingImages:
    """Images of one grey each, so that each is known by its pixels."""
    images = ImageSet(np.tile(np.arange(len(labels))[:, None, None, None] % 256, (1, 2, 2, 1)).astype(np.uint8), labels)
    learnt_from, kept = images.take(np.arange(held_out, len(labels))), images.take(np.arange(held_out))
    return TrainingImages(learnt_from, kept, Normalization((0.0,), (1.0,)))


def test_balanced_weights_are_scikit_learns() -> None:
    labels = np.random.default_rng(0).choice(4, p=[0.7, 0.2, 0.07, 0.03], size=500).astype(np.int32)
    weights = of_labels(labels).class_weights(TrainConfig(class_weights="balanced"), 4)
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(4), y=labels))
    np.testing.assert_array_equal(of_labels(labels).class_weights(TrainConfig(), 4), np.ones(4))


def test_a_class_without_training_images_weighs_nothing() -> None:
    labels = np.array([0, 0, 0, 2], np.int32)
    weights = of_labels(labels).class_weights(TrainConfig(class_weights="balanced"), 3)
    np.testing.assert_allclose(weights, [4 / (2 * 3), 0, 4 / (2 * 1)])


@pytest.mark.parametrize(("count", "used"), [(3, 3), (700, 700), (1201, 1200), (5300, 2500)])
def test_statistics_are_of_images_drawn_from_all_in_batches_of_one_size(count: int, used: int) -> None:
    labels = np.sort(np.random.default_rng(0).integers(2, size=count)).astype(np.int32)  # As a folder has them.
    (candidate,) = of_labels(labels).for_statistics((), seed=1)
    batches = list(candidate)
    sizes = {len(images) for images, _ in batches}
    assert len(sizes) == 1
    assert max(sizes) <= 500
    assert sum(len(images) for images, _ in batches) == used
    for _, drawn in batches:
        assert count < 100 or abs(np.mean(drawn) - labels.mean()) < 0.1  # None is of one class alone.


def test_choices_are_made_on_held_out_images_or_on_evenly_spread_ones() -> None:
    labels = np.arange(6000, dtype=np.int32)
    np.testing.assert_array_equal(of_labels(labels, held_out=7).to_choose_by.labels, range(7))
    spread = of_labels(labels).to_choose_by.labels
    assert len(spread) == 5000
    assert (spread[0], spread[-1]) == (0, 5999)
    assert set(np.diff(spread)) == {1, 2}


def test_with_augmentation_there_are_statistics_of_images_as_they_are_and_as_trained_on() -> None:
    images = of_labels(np.zeros(200, np.int32))
    plain, augmented = (np.concatenate([x for x, _ in batches]) for batches in images.for_statistics(("crop",), seed=1))
    raw = images.learnt_from.images / np.float32(255)
    np.testing.assert_allclose(np.sort(plain.mean(axis=(1, 2, 3))), np.sort(raw.mean(axis=(1, 2, 3))), atol=1e-6)
    assert not np.allclose(np.sort(plain.ravel()), np.sort(augmented.ravel()))


def test_the_sets_own_validation_images_are_held_out() -> None:
    images = of_labels(np.zeros(40, np.int32)).learnt_from
    train, validation = images.take(np.arange(30)), images.take(np.arange(30, 40))
    dataset = Dataset("folder:x", ("cat", "dog"), train, validation, Preparation(2, 2, 1), "", ())
    parts = TrainingImages.of(dataset, held_out=0.5, seed=0)
    assert parts.learnt_from is train and parts.held_out is validation
    assert "the 10 validation images" in parts.note


def test_copies_that_are_not_held_out_are_told() -> None:
    once = of_labels(np.zeros(60, np.int32)).learnt_from
    twice = ImageSet(np.concatenate([once.images] * 2), np.concatenate([once.labels] * 2))
    dataset = Dataset("folder:x", ("cat", "dog"), twice, None, Preparation(2, 2, 1), "", ())
    parts = TrainingImages.of(dataset, held_out=0.3, seed=0)
    left = 120 - len(parts.learnt_from) - len(parts.held_out)
    assert left > 0 and parts.note.startswith(f"{left} images to hold out are training images too")
    assert not set(parts.learnt_from.digests) & set(parts.held_out.digests)
