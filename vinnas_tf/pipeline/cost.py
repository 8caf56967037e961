"""How long the stages of a run take, from the seconds of a step and from how many images there are."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from vinnas_tf.config import Bounds, DataConfig, ExportConfig, TrainConfig
from vinnas_tf.data.image_set import ImageSet
from vinnas_tf.data.images import hold_out, open_source
from vinnas_tf.data.search_images import Split
from vinnas_tf.data.splits import stratified_split
from vinnas_tf.errors import DataError
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.pipeline.plan import Commands
from vinnas_tf.search.callbacks import STATISTICS_IMAGES

# As multiples of the seconds that a command takes to start, for these tell how busy the machine is: starting, reading
# images and drawing pictures; pruning again by a choice; a choice by bytes; and of an export each format, whose files
# are converted in one process and proven and timed in several. Rough, not fitted.
_STAGE, _PRUNED_AGAIN, _CHOSEN, _EXPORT_OF_A_FORMAT = 2.0, 2.5, 5.0, 5.0
# Guesses, not fitted: a forward pass relative to a step, and tracing the step without architecture relative to the one
# with it.
_FORWARD, _TRACED = 0.25, 1.5
_ANY_SIZE = 32
_STATISTICS_OF_TRAINING, _THRESHOLDS, _FILES = 2500, 15, 6


class Counts(NamedTuple):
    """How many images there are for what.

    Attributes:
        weights: that the weights of the search learn from.
        watched: that its epochs are measured on.
        learnt_from: that the training learns from.
        held_out: that it chooses by.
        test: that the files are proven on.
    """

    weights: int
    watched: int
    learnt_from: int
    held_out: int
    test: int


class Shape(NamedTuple):
    """What a stage's network reads and answers.

    Attributes:
        image: [height, width, channels].
        classes: how many.
    """

    image: tuple[int, int, int]
    classes: int


class Speed(NamedTuple):
    """Seconds of a step.

    Attributes:
        first: of the first one, tracing included.
        step: of one more.
    """

    first: float
    step: float


def counts(commands: Commands) -> Counts:
    """The images of a run, drawn as its stages will draw them, but for copies of pictures; no pixel is read.

    Raises:
        DataError: the data set can't be opened.
    """
    method, data = commands.method, _drawn_from(commands.search[DataConfig])
    weights, watched = _searched(data, method.config.seed, method.split)
    test = _open(data.dataset, data.data_dir).test
    if commands.train is None:
        return Counts(weights, watched, 0, 0, test)
    config = commands.train[TrainConfig]
    of_training = _trained(_drawn_from(commands.train[DataConfig]), config.seed, config.held_out)
    return Counts(weights, watched, *of_training, test)


def shape(data: DataConfig) -> Shape:
    """The shape of a data set's images, and its classes.

    Raises:
        DataError: it can't be opened, or its images differ in size and `image_size` is 0.
    """
    known = _open(data.dataset, data.data_dir)
    size = data.image_size
    image = (size, size, known.image[2]) if size else known.image
    if not image[0]:
        open_source(data)  # Says what to do.
    return Shape(image, known.classes)


def smallest_side(data: DataConfig) -> int:
    """Pixels of the shorter side of a data set's images; 0 where they differ in size."""
    return min(_open(data.dataset, data.data_dir).image[:2])


def search_seconds(method: Method, images: Counts, speed: Speed, start: float) -> float:
    """A search of cells or channels with that speed, where a command takes `start` seconds to start."""
    if not method.trains:
        return _STAGE * start
    config = method.config
    steps = images.weights // config.batch_size
    of_image = speed.step / (method.step.descents * config.batch_size)
    warm = config.weight_epochs / method.step.descents if method.step.batches == 1 else config.weight_epochs
    trained = steps * speed.step * (warm + config.epochs - config.weight_epochs)
    watched = _FORWARD * of_image * (images.watched + STATISTICS_IMAGES) * config.epochs
    judged = method.settings.candidates * images.watched if isinstance(method, ChannelMethod) else 0
    between = of_image * (method.images_between + _FORWARD * judged)
    return _STAGE * start + _TRACED * speed.first + trained + watched + between


def train_seconds(config: TrainConfig, images: Counts, speed: Speed, start: float, bounds: Bounds) -> float:
    """A training, pruned and evaluated; and pruned again at the threshold that bounds ask for."""
    steps = images.learnt_from // config.batch_size
    statistics = min(_STATISTICS_OF_TRAINING, images.learnt_from)
    watched = 2 * (images.held_out + statistics) * config.epochs if images.held_out else 0
    pruned = _THRESHOLDS * (images.held_out + statistics) + 4 * (images.held_out + images.test)
    starts, passes = _STAGE, 1
    if bounds.given:
        starts, passes = starts + _PRUNED_AGAIN + (_CHOSEN if bounds.max_bytes else 0.0), 2
    judged = _FORWARD * (watched + passes * pruned) / config.batch_size
    epochs = config.epochs + config.fine_tuning_epochs
    return starts * start + speed.first + speed.step * (steps * epochs + judged)


def export_seconds(config: ExportConfig, images: Counts, of_image: float, start: float) -> float:
    """An export, where a step takes `of_image` seconds an image."""
    proven = _FILES * _FORWARD * of_image * images.test
    return (_STAGE + _EXPORT_OF_A_FORMAT * len(config.formats)) * start + proven


def report_seconds(start: float) -> float:
    """A page of what the run folder holds."""
    return _STAGE * start


class _Opened(NamedTuple):
    """What is known of a data set without its pixels, whatever they are resized to."""

    image: tuple[int, int, int]
    classes: int
    labels: np.ndarray
    names: np.ndarray
    test: int


@functools.cache
def _open(dataset: str, data_dir: str) -> _Opened:
    """Opens a data set; of images that differ in size `image` has no pixels a side."""
    data = DataConfig(dataset=dataset, data_dir=data_dir)
    try:
        source = open_source(data)
        image = source.preparation.shape
    except DataError:  # They differ in size, or another one will say what is wrong.
        source = open_source(dataclasses.replace(data, image_size=_ANY_SIZE))
        image = (0, 0, source.preparation.channels)
    train, test = source.part("train"), source.part("test")
    return _Opened(image, len(source.class_names), train.labels, np.array(train.names), len(test.labels))


@functools.cache
def _searched(data: DataConfig, seed: int, split: Split) -> tuple[int, int]:
    """How many images the weights of a search learn from, and its epochs are watched on."""
    images = split(_labels(data, seed), seed)
    return len(images.weights), len(images.watched)


@functools.cache
def _trained(data: DataConfig, seed: int, held_out: float) -> tuple[int, int]:
    """How many images a training learns from, and chooses by."""
    rest, kept = hold_out(_labels(data, seed), held_out, seed)
    return len(rest), len(kept)


def _labels(data: DataConfig, seed: int) -> ImageSet:
    """The training images in use, one pixel of each."""
    known = _open(data.dataset, data.data_dir)
    chosen = np.arange(len(known.labels))
    if data.data_fraction < 1:
        size = round(data.data_fraction * len(known.labels))
        chosen, _ = stratified_split(known.labels, known.names, size, seed, "fraction")
    frames = np.zeros((len(chosen), 1, 1, 1), np.uint8)
    return ImageSet(frames, known.labels[chosen], known.names[chosen], np.arange(len(chosen), dtype=np.uint64))


def _drawn_from(data: DataConfig) -> DataConfig:
    """What decides which images are in use, and nothing else."""
    return DataConfig(dataset=data.dataset, data_dir=data.data_dir, data_fraction=data.data_fraction)
