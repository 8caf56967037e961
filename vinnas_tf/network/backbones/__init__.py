"""Whole networks to make smaller: those of PGNAS's paper, LeNets, a genotype's, and one's own.

`BACKBONES` maps the name that `backbone` takes to what makes it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras

from vinnas_tf.architecture.stem import PLAIN
from vinnas_tf.config import STEM_HELP, setting
from vinnas_tf.errors import did_you_mean, require
from vinnas_tf.kernels.device import prepare_machine
from vinnas_tf.network.backbones.densenet import densenet121
from vinnas_tf.network.backbones.enas import enas
from vinnas_tf.network.backbones.from_genotype import from_genotype
from vinnas_tf.network.backbones.from_keras import from_keras
from vinnas_tf.network.backbones.lenet import lenet_5, lenet_300_100
from vinnas_tf.network.backbones.multi_branch import multi_branch_resnet
from vinnas_tf.network.backbones.resnet import INFLATED, resnet50
from vinnas_tf.run.files import user_path


@dataclass(frozen=True)
class Backbone:
    """A kind of backbone.

    Attributes:
        build: makes one of image shape, classes and seed, and of the arguments below, as `make_backbone` returns it.
        reads: the settings that it reads, `backbone_` left out, which are arguments of `build`.
        blocks: the published number of blocks of each stage; none where it has no such stages.
        file: whether its name is followed by a colon and a file, the argument `file` of `build`.
    """

    build: Callable[..., keras.Model]
    reads: tuple[str, ...] = ()
    blocks: tuple[int, ...] = ()
    file: bool = False


BACKBONES: dict[str, Backbone] = {
    "multi_branch_resnet": Backbone(multi_branch_resnet, ("width", "blocks"), (4, 4, 4)),
    "enas": Backbone(enas, ("width", "cells")),
    "resnet50": Backbone(resnet50, ("width", "blocks"), (3, 4, 6, 3)),
    "multi_branch_resnet50": Backbone(
        functools.partial(resnet50, branches=INFLATED), ("width", "blocks"), (3, 4, 6, 3)
    ),
    "densenet121": Backbone(densenet121, ("width", "blocks"), (6, 12, 24, 16)),
    "lenet_300_100": Backbone(lenet_300_100),
    "lenet_5": Backbone(lenet_5),
    "genotype": Backbone(from_genotype, ("width", "cells", "stem"), file=True),
    "keras": Backbone(from_keras, file=True),
}


@dataclass(frozen=True, kw_only=True)
class BackboneSettings:
    """Which backbone is searched; a method's own settings may be derived from it."""

    backbone: str = setting(
        "multi_branch_resnet",
        "Network whose channels are searched: multi_branch_resnet, enas, resnet50, multi_branch_resnet50, densenet121, "
        "lenet_300_100, lenet_5, genotype:FILE (the network of a genotype) or keras:FILE (a Functional or Sequential "
        "model of Keras's own layers, from normalised images to logits, which starts with its weights).",
    )
    backbone_width: int = setting(
        8,
        "Channels of the first stage or cell; each further stage, or R, doubles them. Of densenet121 the growth. "
        "Published: multi_branch_resnet 96 or 160, enas 36 or 72, resnet50 64, densenet121 32.",
    )
    backbone_blocks: tuple[int, ...] = setting(
        (), "Blocks of each stage of a resnet or densenet, such as 2,2,2; empty: as published."
    )
    backbone_cells: str = setting(
        "NRN", "Skeleton of enas or genotype, one letter a cell; enas's published one is NNNNNRNNNNNRNNNNN."
    )
    backbone_stem: str = setting(PLAIN.name, f"Of genotype. {STEM_HELP}")

    def __post_init__(self) -> None:
        name, colon, file = self.backbone.partition(":")
        hint = did_you_mean(name, BACKBONES, f"there are {', '.join(BACKBONES)}.")
        require(name in BACKBONES, f"unknown backbone={self.backbone}: {hint}")
        kind = BACKBONES[name]
        require(
            bool(file) == bool(colon) == kind.file,
            f"backbone={name}:FILE needs a file, got {self.backbone!r}."
            if kind.file
            else f"backbone={name} takes no file, got {self.backbone!r}.",
        )
        for field in fields(BackboneSettings):
            setting_name = field.name.removeprefix("backbone_")
            read = setting_name == field.name or setting_name in kind.reads
            require(
                read or getattr(self, field.name) == field.default,
                f"{field.name} is not read by backbone={name}: leave it out, or where a preset has it, set it to its "
                f"default, {field.default or 'which is empty'}.",
            )
        require(self.backbone_width >= 1, f"backbone_width must be at least 1, got {self.backbone_width}.")
        require(
            all(count >= 1 for count in self.backbone_blocks),
            f"backbone_blocks must be at least 1 in each stage, got {','.join(map(str, self.backbone_blocks))}.",
        )

    @property
    def file(self) -> Path | None:
        """The file that the backbone is made of; None where it is made of settings alone."""
        _, colon, file = self.backbone.partition(":")
        return user_path(file) if colon else None


def make_backbone(settings: BackboneSettings, image_shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    """The network that the settings ask for: normalised images [n, h, w, c] to logits [n, classes].

    It is a Functional model of Keras's own layers, but for batch normalisation, which may be this project's faster one
    of the same arithmetic. Each is called once, so that every channel can be followed (`network/layer_kinds.py`). The
    same seed gives the same weights.

    Raises:
        SettingError: a setting does not fit the images, or the other settings.
        FileError: a file can't be read, or holds a network that can't be a backbone.
        ArchitectureError: a file holds no genotype.

    Example:
        >>> settings = BackboneSettings(backbone_width=4, backbone_blocks=(1, 1))
        >>> make_backbone(settings, (8, 8, 1), 10, seed=0).output_shape
        (None, 10)
    """
    prepare_machine()
    kind = BACKBONES[settings.backbone.partition(":")[0]]
    arguments: dict[str, Any] = {of: getattr(settings, f"backbone_{of}") for of in kind.reads}
    if kind.blocks:
        arguments["blocks"] = settings.backbone_blocks or kind.blocks
    if kind.file:
        arguments["file"] = settings.file
    return kind.build(image_shape, classes, seed, **arguments)
