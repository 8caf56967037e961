"""From a budget of minutes to the size of a run: which rung of a ladder, and how many epochs."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from vinnas_tf.architecture.skeleton import cell_places
from vinnas_tf.config import DataConfig, PipelineConfig, SearchConfig, TrainConfig
from vinnas_tf.flags import preset_names
from vinnas_tf.methods import METHODS, names, read_by
from vinnas_tf.pipeline.plan import Commands

# Of the time that start-ups, evaluations and the export leave: what the search gets, and the training the rest.
SEARCH_SHARE = 0.45


@dataclass(frozen=True)
class Rung:
    """A size of networks.

    Attributes:
        side: pixels of the images.
        cells: the skeleton of search and training.
        search_channels: of the supergraph.
        train_channels: of the trained network.
    """

    side: int
    cells: str
    search_channels: int
    train_channels: int


# By their cost. Channels of 8 and 16 in the search, as in the presets for laptops.
LADDER = (
    Rung(8, "NR", 8, 8),
    Rung(8, "NR", 16, 16),
    Rung(16, "RN", 8, 16),
    Rung(16, "NRN", 8, 16),
    Rung(32, "RRN", 8, 16),
    Rung(32, "RNR", 8, 16),
    Rung(32, "RNR", 16, 32),
    Rung(32, "NRNRN", 16, 32),
    Rung(64, "RRNRN", 16, 32),
    Rung(64, "RNRNRN", 16, 48),
)
_LEAST_SIDE = 16  # Below which pictures are not made smaller.
_LEAST_FRACTION = 0.01


class Range(NamedTuple):
    """How much a stage learns.

    Attributes:
        least: steps below which nothing sensible comes out.
        wished: steps that a rung must allow to be taken before the one below it.
        least_epochs: with fewer, fewer images are used.
        most_epochs: more bring nothing.
    """

    least: int
    wished: int
    least_epochs: int
    most_epochs: int

    def grade(self, epochs: int, steps: int) -> int:
        """2 for as long as wished for, 1 for what is sensible, else 0; more epochs than the most are never asked for.

        Args:
            epochs: of the stage.
            steps: of an epoch.
        """
        if epochs >= self.most_epochs or epochs * steps >= self.wished:
            return 2
        return int(epochs * steps >= self.least)


SEARCH = Range(80, 400, 6, 40)
TRAIN = Range(240, 1200, 10, 120)


class Extent(NamedTuple):
    """How long a stage learns, and from which share of the images.

    Attributes:
        epochs: how many.
        fraction: of the training images.
    """

    epochs: int
    fraction: float = 1.0


def longest(seconds: float, cost: Callable[[Extent], float], bounds: Range) -> Extent:
    """The most epochs that fit into so many seconds; where the least don't, of as many images as do, 1 % or more.

    Args:
        seconds: that there are.
        cost: seconds of a stage, linear in epochs and in the share.
        bounds: what is allowed.
    """
    least = bounds.least_epochs
    one, two = cost(Extent(least)), cost(Extent(least + 1))
    if one <= seconds:
        return Extent(min(least + int((seconds - one) / (two - one)), bounds.most_epochs))
    smallest = cost(Extent(least, _LEAST_FRACTION))
    share = _LEAST_FRACTION + (1 - _LEAST_FRACTION) * (seconds - smallest) / (one - smallest)
    return Extent(least, max(_LEAST_FRACTION, math.floor(100 * share) / 100))


def rungs(side: int) -> list[Rung]:
    """The rungs for pictures of so many pixels a side, by their cost; none makes pictures larger."""
    floor = min(side, _LEAST_SIDE)
    fit = [rung for rung in LADDER if rung.side >= floor and rung.side < 2 * side]
    return [dataclasses.replace(rung, side=min(rung.side, side)) for rung in fit]


def only(side: int) -> list[Rung]:
    """The rungs for a size of images that is given."""
    below = max(rung.side for rung in LADDER if rung.side < 2 * side)
    return [dataclasses.replace(rung, side=side) for rung in LADDER if rung.side == below]


def volume(rung: Rung, channels: int) -> float:
    """Numbers in the states of all cells for an image, on which the seconds of a step depend linearly."""
    numbers, side = 0.0, rung.side
    for place in cell_places(rung.cells, channels):
        side = max(1, side // 2) if place.reduction else side
        numbers += place.channels * side**2
    return numbers


def base(config: PipelineConfig) -> PipelineConfig:
    """The same with the preset whose rates a budget starts from: what was asked for, or the data set's smaller one."""
    known = {*preset_names("search"), *preset_names("train")}
    wanted = [config.preset] if config.preset else [f"{config.dataset}_laptop", config.dataset]
    return dataclasses.replace(config, preset=next((name for name in wanted if name in known), "own_images"))


def at_rung(config: PipelineConfig, commands: Commands, rung: Rung, search: Extent, train: Extent) -> PipelineConfig:
    """The same with flags of a rung's size, and with schedules in proportion to the epochs.

    Args:
        config: what `base` made of what was asked for.
        commands: of that.
        rung: the size of the networks.
        search: how long the search learns.
        train: how long the training learns.
    """
    of_search, own = commands.search[SearchConfig], commands.search.variant
    flags: dict[str, object] = {"data_fraction": search.fraction, "cells": rung.cells}
    flags |= {"channels": rung.search_channels, "epochs": search.epochs}
    flags["weight_epochs"] = _scaled(of_search.weight_epochs, of_search.epochs, search.epochs)
    if hasattr(own, "gamma_start_epoch"):
        flags["gamma_start_epoch"] = _scaled(own.gamma_start_epoch, of_search.epochs, search.epochs)
    read = read_by(METHODS[config.method]) | names(DataConfig)
    words = [f"--{name}={value}" for name, value in flags.items() if name in read]
    further: list[str] = []
    if commands.train is not None:
        of_train = commands.train[TrainConfig]
        flags = {"data_fraction": train.fraction, "cells": rung.cells, "channels": rung.train_channels}
        flags["epochs"] = train.epochs
        if of_train.stem_stride != 1:
            flags["stem_stride"] = 1
        for name in ("warm_up_epochs", "gamma_start_epoch", "gamma_end_epoch", "fine_tuning_epochs"):
            if before := getattr(of_train, name):
                flags[name] = _scaled(before, of_train.epochs, train.epochs)
        further = [f"--{name}={value}" for name, value in flags.items()]
    sized = dataclasses.replace(config, image_size=rung.side)
    return sized.with_flags(" ".join(words), " ".join(further))


def _scaled(value: int, before: int, after: int) -> int:
    """An epoch of a schedule, at the same share of other epochs."""
    return min(round(value * after / before), after - 1)
