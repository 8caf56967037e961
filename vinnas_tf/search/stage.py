"""The search as a library: from images and settings to what was found."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from vinnas_tf.config import FLOAT32, DeviceConfig, SearchConfig
from vinnas_tf.data.arrays import array_dataset
from vinnas_tf.data.batches import Normalization, evaluation_batches
from vinnas_tf.data.search_images import SearchImages
from vinnas_tf.devices import ONE, Devices
from vinnas_tf.errors import require
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.methods import make_method, method_from
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.network.precision import in_precision
from vinnas_tf.run.checkpoint import EpochCheckpoint, Restored, warn_of_lost_epochs
from vinnas_tf.search.backbone import MaskedBackbone
from vinnas_tf.search.batches import iteration_batches
from vinnas_tf.search.callbacks import AfterEpoch, MeasureStatistics, Recorder, Schedule
from vinnas_tf.search.channels import choose_channels, require_held_out
from vinnas_tf.search.model import SearchModel
from vinnas_tf.search.progress import Progress, epoch_table
from vinnas_tf.search.record import SearchRecord
from vinnas_tf.search.result import ChannelResult, SearchResult
from vinnas_tf.search.searched import Searched
from vinnas_tf.search.supergraph import Supergraph
from vinnas_tf.train import progress as words_of


class Search:
    """A search of an architecture.

    Args:
        config: the settings that all methods share; None: `settings` hold them.
        own: the method's own settings, beside a `config`; None: their defaults.
        device: what computes it, beside a `config`; None: the defaults.
        **settings: any settings by name, shared ones, those of the method and of `config.DeviceConfig`.

    Raises:
        SettingError: a setting is unknown, isn't read by the method, or has a value that is refused.

    Example:
        >>> import numpy as np
        >>> generator = np.random.default_rng(0)
        >>> images = generator.integers(256, size=(16, 8, 8, 1)).astype(np.uint8)
        >>> labels = np.arange(16) % 2
        >>> search = Search(method="darts", cells="N", states=1, channels=4, epochs=1, weight_epochs=0, batch_size=4)
        >>> found = search.fit(images, labels)
        >>> sorted({edge.target for edge in found.genotype.cells["normal"]})
        [2]
        >>> len(found.history)
        1
    """

    def __init__(
        self,
        config: SearchConfig | None = None,
        own: Any = None,
        device: DeviceConfig | None = None,
        /,
        **settings: Any,
    ) -> None:
        require(config is None or not settings, "give a SearchConfig or settings by name, not both.")
        prepare_machine()
        self.device = device or DeviceConfig.taken_from(settings)
        self.method = method_from(settings) if config is None else make_method(config, own)

    def fit(
        self,
        images: Any,
        labels: Any = None,
        *,
        validation: Any = None,
        augment: Sequence[str] = (),
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: int = 0,
    ) -> Any:
        """Searches.

        Args:
            images: uint8 [n, h, w, c] or [n, h, w], or a finite `tf.data.Dataset` of (image, label).
            labels: whole numbers [n]; None where `images` brings them along.
            validation: a pair (images, labels) or a `tf.data.Dataset`, that the architecture learns from and is watched
                on; None: a part of the images, as the method says.
            augment: augmentations of the images, any of config.AUGMENTATIONS.
            callbacks: further Keras callbacks.
            verbose: 1 prints a line an epoch; 0 tells the logger "vinnas_tf" alone.

        Returns:
            A `SearchResult`, or of a method that searches the channels of a network a `ChannelResult`.

        Raises:
            DataError: the images can't be used.
            SettingError: the images do not fit the skeleton or the batch.
            ArchitectureError: no candidate of a search of channels is whole.
            DivergenceError: a loss stopped being a finite number.
        """
        dataset = array_dataset(images, labels, validation=validation)
        if not self.method.trains:
            return SearchResult(self.method, self.method.derive(None))
        config = self.method.config
        split = self.method.split(dataset.train, config.seed)
        if dataset.validation is not None:
            split = self.method.split.beside(dataset.train, dataset.validation)

        def callbacks_of(progress: Progress) -> Sequence[keras.callbacks.Callback]:
            return [*callbacks, *([epoch_table(progress)] if verbose else [])]

        return train_and_choose(
            self.method,
            split,
            Normalization.of(dataset.train),
            len(dataset.class_names),
            augment=tuple(augment),
            device=self.device,
            words=words_of.PRINTED if verbose else words_of.LOGGED,
            begin=callbacks_of,
        )


def train_and_choose(
    method: Method,
    images: SearchImages,
    normalization: Normalization,
    classes: int,
    *,
    augment: tuple[str, ...] = (),
    device: DeviceConfig | None = None,
    folder: Path | None = None,
    words: words_of.Progress = words_of.LOGGED,
    begin: Callable[[Progress], Sequence[keras.callbacks.Callback]] = lambda _: (),
) -> SearchResult | ChannelResult:
    """Trains the network that is searched, or goes on training it, and chooses an architecture.

    Args:
        method: the search method.
        images: those of the search.
        normalization: statistics of the training images.
        classes: how many.
        augment: augmentations of the images.
        device: what computes it; None: the defaults.
        folder: where epochs are recorded, and resumed from; None: nowhere.
        words: where words go of what is done between epochs, or after them.
        begin: called before the first epoch, where there is one left to do; returns further callbacks.

    Raises:
        SettingError: the images do not fit the skeleton or the batch, or the batch the devices.
        ArchitectureError: no candidate of a search of channels is whole.
        DivergenceError: a loss stopped being a finite number.
    """
    config = method.config
    devices = Devices(device or DeviceConfig())
    devices.require_batch(config.batch_size)
    require(
        devices.precision == FLOAT32 or not method.step.takes_differences,
        f"precision={devices.precision} rounds away the differences that the gradients of this method={config.method} "
        f"are made of: use precision={FLOAT32}, or darts_order=1.",
    )
    keras.utils.set_random_seed(config.seed)
    examples = len(images.weights)
    parts = (images.weights, images.architecture)
    of_each = [len(part) // config.batch_size for part in parts]
    steps = of_each[0]
    require(
        min(of_each) >= 1,
        f"batch_size={config.batch_size} is more than the {min(map(len, parts))} images in each half of the data: "
        "use a smaller one, or a larger data_fraction.",
    )
    if isinstance(method, ChannelMethod):
        require_held_out(images)
    counted_as = method.augmented_as if augment else 1
    model = make_model(method, images.weights.image_shape, classes, examples, counted_as, devices)
    checkpoint, restored = None, Restored()
    if folder is not None:
        optimizers = [model.weight_optimizer, model.architecture_optimizer]
        checkpoint = EpochCheckpoint(model, optimizers, folder / "checkpoints")
        restored = checkpoint.restore()
        warn_of_lost_epochs(folder / "metrics.csv", restored)
    record, done = SearchRecord(folder, restored), restored.epochs
    progress = Progress(model, record, steps, done)
    if done < config.epochs:
        further = begin(progress)
        batches = iteration_batches(
            parts,
            method,
            normalization=normalization,
            augment=augment,
            steps=steps,
            done=done,
        )
        watched = evaluation_batches(images.watched, batch_size=config.batch_size, normalization=normalization)
        model.fit(
            devices.shared(batches),
            validation_data=devices.shared(watched),
            validation_steps=devices.steps(watched),
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=config.epochs,
            shuffle=False,  # The data sets shuffle themselves.
            verbose=0,
            callbacks=[
                Schedule(),
                MeasureStatistics(images.weights, normalization),
                AfterEpoch(images, words.go_through),
                Recorder(record, checkpoint),
                *further,
            ],
        )
    if isinstance(model.supergraph, MaskedBackbone):
        return choose_channels(model, model.supergraph, images, normalization, augment, devices, record, folder, words)
    epoch = record.best_epoch(config.weight_epochs) if method.keeps_best_epoch else config.epochs - 1
    found = progress.found(epoch)
    return SearchResult(method, method.derive(found), found, epoch + 1, record.rows, record.trajectory)


def make_model(
    method: Method,
    image_shape: tuple[int, ...],
    classes: int,
    examples: int,
    counted_as: int = 1,
    devices: Devices = ONE,
) -> SearchModel:
    """A compiled search model.

    Args:
        method: its skeleton, objective and optimizers.
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        examples: number of images that an iteration's first batch is drawn from.
        counted_as: as how many images one counts in N.
        devices: what it computes on.
    """
    learnt_from = method.step.batches * examples * counted_as
    iterations = method.config.epochs * (examples // method.config.batch_size)
    with devices.scope():
        model = SearchModel(_make_searched(method, image_shape, classes, devices.precision), method, learnt_from)
        model.build((None, *image_shape))
        optimizers = method.optimizers(method.step.batches * iterations)
        model.compile(*optimizers, jit_compile=devices.compiles_steps)
    return model


def _make_searched(method: Method, image_shape: tuple[int, ...], classes: int, precision: str) -> Searched:
    """The network that a method searches."""
    if isinstance(method, ChannelMethod):
        backbone = method.backbone(image_shape, classes)
        return MaskedBackbone(method, backbone if precision == FLOAT32 else in_precision(backbone, precision))
    return Supergraph(method, classes, dtype=precision)


def make_supergraph(*, image_shape: tuple[int, int, int], classes: int, **settings: Any) -> Supergraph:
    """An untrained supergraph with its architecture parameters, for a training loop of one's own.

    Args:
        image_shape: [height, width, channels] of the images.
        classes: number of classes.
        **settings: those of `Search`.

    Returns:
        A layer that is called with normalised images [n, h, w, c] and `supergraph.method.draw(seed)`.

    Raises:
        SettingError: a setting is refused, or the skeleton does not fit the images.

    Example:
        >>> import tensorflow as tf
        >>> small = {"cells": "N", "states": 1, "channels": 4}
        >>> supergraph = make_supergraph(image_shape=(8, 8, 1), classes=3, method="darts", **small)
        >>> draw = supergraph.method.draw(tf.constant([1, 2]))
        >>> draw.mixing["normal"].shape, supergraph(tf.zeros([2, 8, 8, 1]), draw).shape
        (TensorShape([2, 10]), TensorShape([2, 3]))
    """
    prepare_machine()
    method = method_from(settings)
    require(
        not isinstance(method, ChannelMethod),
        f"method={method.config.method} searches the channels of a network, and has no supergraph: use Search.",
    )
    supergraph = Supergraph(method, classes)
    supergraph.build((None, *image_shape))
    return supergraph
