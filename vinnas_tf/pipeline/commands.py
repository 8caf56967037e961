"""The command lines of a search and of the training of what it finds, read before either runs."""

import dataclasses
import re
import shlex
from collections.abc import Sequence
from typing import Any

from vinnas_tf.architecture.space import SPACES
from vinnas_tf.config import DataConfig, DeviceConfig, RunConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import require
from vinnas_tf.flags import Settings, preset_names, read_flags
from vinnas_tf.methods import method_variants
from vinnas_tf.train.__main__ import handed_on


def read_search(flags: Sequence[str]) -> Settings:
    """The settings of a search with these flags: DataConfig, SearchConfig, DeviceConfig, the method's own as `variant`.

    Raises:
        SettingError: the command line is wrong.
    """
    kinds = (DataConfig, SearchConfig, DeviceConfig, RunConfig)
    return read_flags(flags, *kinds, command="search", usage="", variants=method_variants())


def read_train(flags: Sequence[str], search: Settings) -> Settings:
    """The settings of the training, with these flags, of what a search with those settings finds.

    Raises:
        SettingError: the command line is wrong.
    """
    found = handed_on(dataclasses.asdict(search[DataConfig]) | dataclasses.asdict(search[SearchConfig]), search.preset)
    kinds = (DataConfig, TrainConfig, DeviceConfig, RunConfig)
    return read_flags(flags, *kinds, command="train", usage="", inherit=lambda _: found)


def preset_flag(preset: str, command: str) -> list[str]:
    """The flag of a preset for a command that has one of its name; a preset may be of search or training alone."""
    return [f"--preset={preset}"] if preset in preset_names(command) else []


def require_preset(preset: str) -> None:
    """Raises SettingError for a preset that neither search nor training has."""
    require(
        not preset or preset in {*preset_names("search"), *preset_names("train")},
        f"unknown preset {preset!r}: choose from {', '.join(preset_names('search'))}.",
    )


def require_free(config: Any, names: Sequence[str], taken: Sequence[str], decided: str) -> None:
    """Raises SettingError where a setting that holds further flags has one that the command decides itself.

    Args:
        config: has the settings.
        names: of them, such as "search".
        taken: flags that are not free.
        decided: says by whom, and for what.
    """
    for name in names:
        words = shlex.split(getattr(config, name))
        own = [flag for flag in taken if any(re.match(rf"--?(no)?{flag}(=|$)", word) for word in words)]
        require(not own, f"--{name} can't have --{', --'.join(own)}: {decided}")


def require_alike(search: Settings, train: Settings) -> None:
    """Raises SettingError unless search and training read one data set, and the search finds all cells to train."""
    read, trained = search[DataConfig].dataset, train[DataConfig].dataset
    require(
        read == trained,
        f"the search would read {read} and the training {trained}: name the data set with --dataset.",
    )
    cells, searched = train[TrainConfig].cells, search[SearchConfig].cells
    space = SPACES[search[SearchConfig].space]
    require(
        not space.pyramid or len(cells) == len(searched),
        f"the training's --cells={cells} has {len(cells)} cells and the search's --cells={searched} {len(searched)}, "
        "each with an architecture of its own: give both the same.",
    )
    missing = sorted(set(cells) - set(searched)) if space.reduces else []
    require(
        not missing,
        f"the training's --cells={cells} has {' and '.join(missing)}, which the search's --cells={searched} has not: "
        "give both the same letters.",
    )
