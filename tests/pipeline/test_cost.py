"""What an estimate knows of a run: its images, held to those that the stages draw."""

import pytest

from vinnas_tf.config import Bounds, DataConfig, PipelineConfig, TrainConfig
from vinnas_tf.data.images import load_test, load_train
from vinnas_tf.pipeline.cost import Speed, counts, search_seconds, shape, train_seconds
from vinnas_tf.pipeline.plan import commands
from vinnas_tf.train.images import TrainingImages


@pytest.mark.parametrize(
    ("method", "search"), [("vinnas", ""), ("vinnas", "--data_fraction=0.3"), ("bayesnas", ""), ("random", "")]
)
def test_the_images_are_those_that_the_stages_will_draw(method, search, tmp_path):
    found = commands(PipelineConfig(method=method, search=search, seed=3), tmp_path)
    seen = counts(found)
    dataset = load_train(found.search[DataConfig], 3)
    split = found.method.split(dataset.train, 3)
    assert (seen.weights, seen.watched) == (len(split.weights), len(split.watched))
    trained = load_train(found.train[DataConfig], 3)
    images = TrainingImages.of(trained, found.train[TrainConfig].held_out, 3)
    assert (seen.learnt_from, seen.held_out) == (len(images.learnt_from), len(images.held_out))
    assert seen.test == len(load_test(found.search[DataConfig]))
    assert shape(found.search[DataConfig]) == (dataset.train.image_shape, 10)


def test_seconds_are_linear_in_the_epochs_and_hold_all_steps(tmp_path):
    def at(epochs):
        found = commands(
            PipelineConfig(search=f"--epochs={epochs}", train=f"--epochs={epochs} --gamma_end_epoch=5"), tmp_path
        )
        images, speed = counts(found), Speed(3.0, 0.5)
        search = search_seconds(found.method, images, speed, 4.0)
        return search, train_seconds(found.train[TrainConfig], images, speed, 4.0, Bounds())

    ten, twenty, thirty = at(10), at(20), at(30)
    for low, middle, high in zip(ten, twenty, thirty, strict=True):
        assert high - middle == pytest.approx(middle - low)
    # 719 images in each half by batches of 64; 1,157 of 1,438 by batches of 32, but for chance.
    assert twenty[0] - ten[0] >= 10 * (719 // 64) * 0.5
    assert twenty[1] - ten[1] >= 10 * 35 * 0.5
