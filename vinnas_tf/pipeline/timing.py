"""Times steps of a search and of a training, on random images of the run's shape."""

import statistics
import time

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.architecture.genotype import Edge, Genotype
from vinnas_tf.architecture.skeleton import cell_groups
from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import SearchConfig, TrainConfig
from vinnas_tf.methods.base import Method
from vinnas_tf.pipeline.cost import Shape, Speed
from vinnas_tf.search.stage import make_model as make_search_model
from vinnas_tf.train.stage import make_model, make_network

_STEPS = 5  # Of which the first holds the tracing.


class _Clock(keras.callbacks.Callback):
    """Notes when each step has ended."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Starts the clock."""
        self.times = [time.perf_counter()]

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Notes the end of a step."""
        self.times.append(time.perf_counter())

    @property
    def speed(self) -> Speed:
        """What the steps took: the median of those after the first."""
        first, *others = np.diff(self.times).tolist()
        return Speed(first, statistics.median(others))


def time_search(method: Method, shape: Shape) -> Speed:
    """Seconds of an iteration of a search in which weights and architecture move."""
    size = method.config.batch_size
    model = make_search_model(method, shape.image, shape.classes, size * _STEPS)
    return _time(model, _batches(shape, size).map(lambda *batch: (batch, batch)))


def time_train(config: TrainConfig, search: SearchConfig, shape: Shape) -> Speed:
    """Seconds of a step of the training of what a search finds, if that is as heavy as its space allows on average."""
    network = make_network(config, typical_genotype(search), shape.image, shape.classes)
    return _time(make_model(network, config, config.batch_size * _STEPS), _batches(shape, config.batch_size))


def typical_genotype(config: SearchConfig) -> Genotype:
    """Cells of as many edges as a search keeps, with each of the space's operations that learn something in turn."""
    space = SPACES[config.space]
    learn = [name for name in space.primitives if name != "zero" and space.learns(name, 1)]
    groups = cell_groups(config.cells, space, config.states)
    cells = {}
    for group in groups:
        edges: list[Edge] = []
        for target in range(space.inputs, space.inputs + config.states):
            for source in range(target)[-(space.choice.edges_per_state or target) :]:
                edges.append(Edge(target, source, learn[len(edges) % len(learn)]))
        cells[group] = tuple(edges)
    return Genotype(config.states, cells, space.name)


def _batches(shape: Shape, size: int) -> tf.data.Dataset:
    images = tf.random.stateless_normal((size, *shape.image), (0, 1))
    labels = tf.range(size) % shape.classes
    return tf.data.Dataset.from_tensors((images, labels)).repeat(_STEPS)


def _time(model: keras.Model, batches: tf.data.Dataset) -> Speed:
    clock = _Clock()
    model.fit(batches, steps_per_epoch=_STEPS, epochs=1, verbose=0, shuffle=False, callbacks=[clock])
    return clock.speed
