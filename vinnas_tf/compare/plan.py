"""What a comparison does in which order and with which command lines, checked before anything runs."""

import dataclasses
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vinnas_tf.architecture.space import SPACES
from vinnas_tf.compare.rows import Row, known_rows
from vinnas_tf.config import CompareConfig, DataConfig, DeviceConfig, RunConfig, SearchConfig, TrainConfig
from vinnas_tf.errors import require
from vinnas_tf.flags import Settings, given_flags
from vinnas_tf.methods import METHODS, make_method, method_variants, names, read_by
from vinnas_tf.methods.base import NoSettings
from vinnas_tf.pipeline.commands import (
    preset_flag,
    read_search,
    read_train,
    require_alike,
    require_free,
    require_preset,
)
from vinnas_tf.run.outputs import finished_file, is_finished

# What the comparison itself decides, so that all rows share it and a stage that was killed is resumed.
_OWN_FLAGS = (
    "method", "seed", "dataset", "data_dir", "preset", "genotype", "run_dir", "overwrite", "help", "h", "flagfile",
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """One piece of the work: the "search" or the "train" of a row with a seed."""

    row: str
    seed: int
    name: str

    @property
    def spec(self) -> Row:
        """What the row is."""
        return known_rows()[self.row]

    @property
    def leaves_figures(self) -> bool:
        """Whether it is the last one of its row."""
        return self.name == self.spec.stages[-1]

    def folder(self, path: Path) -> Path:
        """The run folder of this row and seed, in that of the comparison."""
        return path / "compare" / "rows" / f"{self.row}-seed{self.seed}"

    @property
    def needs(self) -> list["Stage"]:
        """Those that must have ended before it."""
        if self.name == "train":
            return [self.search_of(self.row)]
        return [self.search_of(row) for row in self.spec.needs]

    def search_of(self, row: str) -> "Stage":
        """The search of another row with this seed."""
        return Stage(row, self.seed, "search")


def plan(config: CompareConfig) -> list[Stage]:
    """All stages in the order of work: seed by seed, so that the first seeds of all rows are soon there to compare."""
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    stages = (stage for seed in seeds for row in config.methods for stage in _stages_of(row, seed))
    return list(dict.fromkeys(stages))


def _stages_of(row: str, seed: int) -> Iterator[Stage]:
    spec = known_rows()[row]
    for needed in spec.needs:
        yield from (stage for stage in _stages_of(needed, seed) if stage.name == "search")
    yield from (Stage(row, seed, name) for name in spec.stages)


def stage_flags(stage: Stage, config: CompareConfig, path: Path) -> list[str]:
    """The command line of a stage of the comparison in `path`; what a training does not get it has from its search."""
    given = {"dataset": config.dataset, "data_dir": config.data_dir}
    flags = preset_flag(config.preset, stage.name) + [f"--{name}={value}" for name, value in given.items() if value]
    if stage.name == "train":
        flags += shlex.split(config.train)
    else:
        row, of_all = stage.spec, _search_flags(config)
        read = read_by(METHODS[row.method]) | names(DataConfig) | names(DeviceConfig)
        flags += [flag for name, flag in of_all.items() if name in read]
        if row.rate_of and "drop_probability" not in of_all:
            flags += _equal_rate(stage.search_of(row.rate_of).folder(path))
        flags += [*row.flags, f"--method={row.method}", f"--seed={stage.seed}"]
    return [*flags, f"--run_dir={stage.folder(path)}"]


def _equal_rate(folder: Path) -> list[str]:
    """The drop probability that keeps as many weights as what a search of channels found; none before it has ended."""
    if not is_finished(folder, "search"):
        return []
    figures = json.loads(finished_file(folder, "search", "result.json").read_text(encoding="utf-8"))
    return [f"--drop_probability={figures['candidates']['equal_rate']!r}"]


def check(config: CompareConfig, path: Path) -> None:
    """Reads the command lines of all stages as the commands will, so that a mistake is told before hours of work.

    Raises:
        SettingError: one of them is wrong, or searches and trainings would not read the same data set.
    """
    require_preset(config.preset)
    require_free(config, ("search", "train"), _OWN_FLAGS, "the comparison decides that, for all rows alike.")
    of_first_seed = [stage for stage in plan(config) if stage.seed == config.first_seed]
    methods = {stage.spec.method for stage in of_first_seed}
    read = names(DataConfig).union(names(DeviceConfig), *(read_by(METHODS[method]) for method in methods))
    unread = [name for name in _search_flags(config) if name not in read]
    require(not unread, f"--search has --{', --'.join(unread)}, which none of {', '.join(sorted(methods))} reads.")
    trains = any(stage.name == "train" for stage in of_first_seed)
    require(trains or not config.train, "--train is not read: the searches of these rows leave trained networks.")
    for stage in of_first_seed:
        search = _read_search(stage, config, path)
        if stage.name == "search":
            make_method(search[SearchConfig], search.variant)
        else:
            require_alike(search, read_train(stage_flags(stage, config, path), search))


def able_methods(config: CompareConfig, path: Path) -> tuple[str, ...]:
    """The methods that find cells, and can search the space; where a preset is one of channels, those that find these.

    Raises:
        SettingError: the command line of a search is wrong.
    """
    named = read_search(preset_flag(config.preset, "search"))[SearchConfig].method
    of_channels = known_rows()[named].of_channels
    rows = [name for name in METHODS if known_rows()[name].of_channels == of_channels]
    space_of = {name: resolve(Stage(name, config.first_seed, "search"), config, path)[1].space for name in rows}
    return tuple(name for name, space in space_of.items() if METHODS[name].can_search(SPACES[space]))


def resolve(stage: Stage, config: CompareConfig, path: Path) -> tuple[DataConfig, Any, DeviceConfig, Any]:
    """The settings that the command of a stage will have: images, SearchConfig or TrainConfig, device, method's own.

    Raises:
        SettingError: its command line is wrong.
    """
    search = _read_search(stage, config, path)
    if stage.name == "search":
        return search[DataConfig], search[SearchConfig], search[DeviceConfig], search.variant
    train = read_train(stage_flags(stage, config, path), search)
    return train[DataConfig], train[TrainConfig], train[DeviceConfig], NoSettings()


def _read_search(stage: Stage, config: CompareConfig, path: Path) -> Settings:
    """What the command line of the search of a stage's row and seed says."""
    return read_search(stage_flags(dataclasses.replace(stage, name="search"), config, path))


def _search_flags(config: CompareConfig) -> dict[str, str]:
    """What --search gives, by name."""
    kinds = (DataConfig, SearchConfig, DeviceConfig, RunConfig)
    return given_flags(shlex.split(config.search), *kinds, variants=method_variants())
