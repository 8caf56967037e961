"""The training of a found network as a library: from a network and images to what is shipped."""

import dataclasses
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.config import DataConfig, DeviceConfig, TrainConfig
from vinnas_tf.data.arrays import array_dataset, require_fit
from vinnas_tf.data.images import Dataset
from vinnas_tf.devices import ONE, Devices
from vinnas_tf.errors import SettingError, did_you_mean, require
from vinnas_tf.layers.drop_path import DropPath
from vinnas_tf.network.build import build_network, gaussian_layers
from vinnas_tf.optimizer import make_weight_optimizer
from vinnas_tf.run.digest import sha256
from vinnas_tf.schedule import falling_rate
from vinnas_tf.train.callbacks import TrainSchedule
from vinnas_tf.train.claim import claim
from vinnas_tf.train.epochs import run_epochs
from vinnas_tf.train.finish import finish, steps_to_finish
from vinnas_tf.train.images import TrainingImages
from vinnas_tf.train.model import TrainModel
from vinnas_tf.train.progress import LOGGED, PRINTED, Progress
from vinnas_tf.train.result import TrainResult

# What shapes a network, and so is given to `build_network`.
_OF_THE_NETWORK = ("genotype", "cells", "channels", "stem", "stem_stride", "estimator")


class Training:
    """Trains a found network from scratch, prunes it and strips it.

    Args:
        config: all settings; what they say of the network's shape is not read. None takes `settings`.
        device: what computes it, beside a `config`; None: the defaults.
        augment: augmentation of training images, any of config.AUGMENTATIONS.
        **settings: fields of `vinnas_tf.config.TrainConfig` and `DeviceConfig`; the others have their defaults.

    Raises:
        SettingError: an unknown setting, or values that do not fit.

    Example:
        >>> import numpy as np
        >>> from vinnas_tf.architecture.genotype import Edge, Genotype
        >>> from vinnas_tf.network.build import build_network
        >>> labels = np.arange(40) % 2
        >>> images = np.random.default_rng(0).integers(100, size=(40, 8, 8)).astype(np.uint8)
        >>> images[labels == 1] += 100
        >>> genotype = Genotype(1, {"normal": (Edge(2, 1, "sep_conv_3x3"),)})
        >>> network = build_network(genotype, cells="N", channels=4, image_shape=(8, 8, 1), classes=2)
        >>> training = Training(epochs=3, batch_size=8, gamma_start_epoch=0, gamma_end_epoch=1, held_out=0.2)
        >>> trained = training.fit(network, images, labels)
        >>> trained.network.output_shape
        (None, 2)
        >>> len(trained.history)
        3
    """

    def __init__(
        self,
        config: TrainConfig | None = None,
        device: DeviceConfig | None = None,
        /,
        *,
        augment: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        require(config is None or not settings, "give a TrainConfig or settings by name, not both.")
        self.device = device or DeviceConfig.taken_from(settings)
        self.config = _config(settings) if config is None else config
        self.augment = DataConfig(augment=tuple(augment)).augment

    def fit(
        self,
        network: keras.Model,
        train: Any,
        labels: Any = None,
        *,
        validation: Any = None,
        class_names: Sequence[str] | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        verbose: int = 0,
        checkpoints: str | os.PathLike[str] | None = None,
    ) -> TrainResult:
        """Trains `network` in place, prunes it, and makes the networks that are shipped of it.

        Args:
            network: what `build_network` made, for logits of as many classes as there are.
            train: uint8 images [n, h, w, c] or [n, h, w], a pair (images, labels), or a finite `tf.data.Dataset` of
                (image, label), single or in batches. All are held in memory.
            labels: whole numbers [n], where `train` is images alone.
            validation: images with labels to make choices on, in place of the share `held_out` of `train`.
            class_names: name of each class, in the order of the labels; None calls them "0", "1" and so on.
            callbacks: of Keras, for the epochs of training; their `model.network` is the network, or on several devices
                the copy of it that lies on them. They find
                "val_loss" and "val_accuracy" of held-out images in the logs.
            verbose: 1 prints the table that the command prints; 0 logs to the logger "vinnas_tf".
            checkpoints: folder that keeps the state after each epoch; the same `fit` goes on from there, with the same
                result. None keeps nothing.

        Raises:
            SettingError: the network does not fit the settings, or `checkpoints` is another training's.
            DataError: the images can't be used, or do not fit the network.
            DivergenceError: the loss stopped being finite.
        """
        self._require_fit(network)
        classes = tf.nest.flatten(network.output)[0].shape[-1]
        dataset = array_dataset(train, labels, validation=validation, class_names=class_names, classes=classes)
        require_fit(dataset.train, tuple(network.input.shape[1:]), classes, "images, for this network,")
        folder = None if checkpoints is None else Path(checkpoints)
        if folder is not None:
            record = {**dataclasses.asdict(self.config), "augment": list(self.augment), "images": dataset.fingerprint}
            claim(folder, {**record, "network": sha256(network.to_json())})
        images = TrainingImages.of(dataset, self.config.held_out, self.config.seed)
        progress = PRINTED if verbose else LOGGED
        for note in (*dataset.notes, images.note):
            if note:
                progress.tell(textwrap.fill(note, 80) if verbose else note)
        return train_network(
            network,
            images,
            dataset,
            self.augment,
            self.config,
            folder,
            device=self.device,
            callbacks=callbacks,
            progress=progress,
        )

    def _require_fit(self, network: keras.Model) -> None:
        """Raises SettingError unless the network has what the settings speak of, and nothing else."""
        names = {layer.name for layer in network.layers}
        require(
            "classifier" in names, "the network must be one that build_network made: training needs its named layers."
        )
        for name, wanted, present in (
            ("variational", self.config.variational, any(True for _ in gaussian_layers(network))),
            ("drop_path", self.config.drop_path > 0, any(isinstance(layer, DropPath) for layer in network.layers)),
            ("auxiliary_weight", self.config.auxiliary_weight > 0, isinstance(network.output, list)),
        ):
            value = getattr(self.config, name)
            built = "auxiliary" if name == "auxiliary_weight" else name
            require(
                wanted == present,
                f"Training has {name}={value} and the network was built {'with' if present else 'without'} {built}: "
                "make both alike.",
            )


def make_network(config: TrainConfig, genotype: Genotype, image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """The untrained network of `genotype` that `config` asks for, for images [height, width, channels]."""
    return build_network(
        genotype,
        cells=config.cells,
        channels=config.channels,
        image_shape=image_shape,
        classes=classes,
        stem=config.stem,
        stem_stride=config.stem_stride,
        drop_path=config.drop_path,
        auxiliary=config.auxiliary_weight > 0,
        variational=config.variational,
        estimator=config.estimator,
        seed=config.seed,
    )


def make_model(
    network: keras.Model,
    config: TrainConfig,
    examples: int,
    class_weights: np.ndarray | None = None,
    *,
    keep_zeros: bool = False,
    devices: Devices = ONE,
) -> TrainModel:
    """A compiled model that trains `network` in place on `examples` images, those of each class weighted.

    With `keep_zeros`, weights of kernels that are zero stay zero. The network is one that `devices` have placed.
    """
    steps = max(examples // config.batch_size, 1)
    rate = falling_rate(
        config.schedule,
        config.learning_rate,
        config.final_learning_rate,
        config.epochs * steps,
        warm_up_steps=config.warm_up_epochs * steps,
        marks=[epoch * steps for epoch in config.schedule_epochs],
    )
    with devices.scope():
        model = TrainModel(
            network,
            examples=examples,
            label_smoothing=config.label_smoothing,
            auxiliary_weight=config.auxiliary_weight,
            class_weights=class_weights,
            keep_zeros=keep_zeros,
        )
        optimizer = make_weight_optimizer(
            config.optimizer,
            rate,
            log_variance_rate=config.log_variance_rate,
            weight_decay=config.weight_decay,
            clip_norm=config.clip_norm,
        )
        model.compile(optimizer, jit_compile=devices.compiles_steps)
    return model


def train_network(
    network: keras.Model,
    images: TrainingImages,
    dataset: Dataset,
    augment: tuple[str, ...],
    config: TrainConfig,
    folder: Path | None,
    *,
    device: DeviceConfig | None = None,
    test_images: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: Progress = LOGGED,
) -> TrainResult:
    """Trains, prunes and measures, or goes on doing so.

    Args:
        network: what `make_network` made; it is trained in place, and pruned.
        images: those to train on, and those to choose by.
        dataset: what they are of.
        augment: how the former are augmented, any of config.AUGMENTATIONS.
        config: how the network is trained.
        folder: where metrics, TensorBoard logs and checkpoints are kept; None keeps nothing.
        device: what computes it; None: the defaults.
        test_images: how many will be evaluated afterwards, for the estimate of the time.
        callbacks: of Keras, for the epochs of training.
        progress: where the training's words go.

    Raises:
        SettingError: the machine lacks the devices, or the batch does not fit them.
        DataError: the images do not fill a batch.
        DivergenceError: the loss stopped being finite.
    """
    devices = Devices(device or DeviceConfig())
    devices.require_batch(config.batch_size)
    class_weights = images.class_weights(config, len(dataset.class_names))
    with devices.placed(network) as trained:
        model = make_model(trained, config, len(images.learnt_from), class_weights, devices=devices)
        history = run_epochs(
            model,
            images,
            augment,
            config,
            epochs=config.epochs,
            seed=config.seed,
            folder=folder,
            steps_after=steps_to_finish(images, config, test_images),
            callbacks=[TrainSchedule(config), *callbacks],
            progress=progress,
            devices=devices,
        )
    return finish(network, images, dataset, augment, config, history, folder, progress, devices)


def _config(settings: dict[str, Any]) -> TrainConfig:
    """The settings as a TrainConfig."""
    known = [field.name for field in dataclasses.fields(TrainConfig) if field.name not in _OF_THE_NETWORK]
    for name, value in settings.items():
        require(name not in _OF_THE_NETWORK, f"{name}={value!r} shapes the network: give it to build_network.")
        if name not in known:
            hint = did_you_mean(name, known, f"it knows {', '.join(known)}.")
            raise SettingError(f"Training knows no setting {name}: {hint}")
    return TrainConfig(**settings)
