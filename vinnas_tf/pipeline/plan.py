"""What the stages of a run are started with: their command lines, read and held to each other before any runs."""

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path

from vinnas_tf.config import Bounds, DataConfig, ExportConfig, PipelineConfig, RunConfig, SearchConfig, TrainConfig
from vinnas_tf.data.images import with_full_path
from vinnas_tf.errors import require
from vinnas_tf.flags import Settings, read_flags
from vinnas_tf.methods import make_method
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.channels import ChannelMethod
from vinnas_tf.pipeline.commands import (
    preset_flag,
    read_search,
    read_train,
    require_alike,
    require_free,
    require_preset,
)

_TAKEN = ("dataset", "data_dir", "preset", "seed", "method", "genotype", "run_dir", "overwrite", "help", "h")
# Of a folder's pictures, which may have any size.
_FOLDER_PRESET, _FOLDER_SIZE = "own_images", 32


@dataclass(frozen=True)
class Commands:
    """The stages of a run.

    Attributes:
        flags: command line of each stage, by its name, in their order; a method that leaves a trained network has no
            "train".
        search: what that of the search says.
        export: what that of the export says.
        train: what that of the training says; None where there is none.
        bounds: what the network may cost.
    """

    flags: dict[str, list[str]]
    search: Settings
    export: Settings
    train: Settings | None
    bounds: Bounds

    @property
    def method(self) -> Method:
        """The search method."""
        return make_method(self.search[SearchConfig], self.search.variant)

    @property
    def threshold(self) -> float:
        """Where the training prunes, if nothing else is asked for."""
        assert self.train is not None
        return self.train[TrainConfig].log_noise_ratio_threshold


def with_defaults(config: PipelineConfig) -> PipelineConfig:
    """The same with a folder by its full path, and the preset and size of pictures that it has where none is given."""
    data = with_full_path(DataConfig(dataset=config.dataset))
    config = dataclasses.replace(config, dataset=data.dataset)
    if not data.dataset.startswith("folder:"):
        return config
    size = 0 if config.preset or config.budget_minutes else _FOLDER_SIZE
    return dataclasses.replace(config, preset=config.preset or _FOLDER_PRESET, image_size=config.image_size or size)


def commands(config: PipelineConfig, path: Path) -> Commands:
    """The command lines of all stages of the run folder `path`, read.

    Raises:
        SettingError: one of them is wrong, they don't fit each other, or bounds have nothing to choose.
    """
    require_preset(config.preset)
    require_free(config, ("search", "train", "export"), _TAKEN, "it is given without them, for all stages alike.")
    where = f"--run_dir={path}"
    images = {"dataset": config.dataset, "data_dir": config.data_dir, "image_size": config.image_size}
    shared = [f"--{name}={value}" for name, value in images.items() if value]
    search_flags = [
        *preset_flag(config.preset, "search"), *shared, f"--method={config.method}", f"--seed={config.seed}",
        *shlex.split(config.search), where,
    ]  # fmt: skip
    search = read_search(search_flags)
    method = make_method(search[SearchConfig], search.variant)
    export_flags = [*shlex.split(config.export), where]
    export = read_flags(export_flags, ExportConfig, RunConfig, command="export", usage="")
    if isinstance(method, ChannelMethod):
        require(
            not config.train and not config.bounds.given,
            f"method={config.method} leaves a trained network, which no threshold prunes: leave "
            f"{', '.join(['train'] * bool(config.train) + list(config.bounds.given))} out.",
        )
        flags = {"search": search_flags, "export": export_flags, "report": [where]}
        return Commands(flags, search, export, None, config.bounds)
    train_flags = [*preset_flag(config.preset, "train"), *shared, *shlex.split(config.train), where]
    train = read_train(train_flags, search)
    require_alike(search, train)
    flags = {"search": search_flags, "train": train_flags, "export": export_flags, "report": [where]}
    found = Commands(flags, search, export, train, config.bounds)
    _require_choosable(config, found)
    return found


def _require_choosable(config: PipelineConfig, found: Commands) -> None:
    """Raises SettingError where bounds are given, and a threshold can't be chosen by them."""
    if not config.bounds.given:
        return
    assert found.train is not None
    train, bounds = found.train[TrainConfig], config.bounds
    require(
        train.variational,
        f"{bounds} chooses a threshold of pruning, and weights without a variance are never pruned: train variational.",
    )
    require(
        train.held_out > 0,
        f"{bounds} chooses by held-out images, and held_out=0 keeps none: give --train='--held_out=0.1'.",
    )
    require(
        not bounds.max_bytes or "tflite" in found.export[ExportConfig].formats,
        f"max_bytes={bounds.max_bytes} is of TFLite files, and the export writes none: name tflite in its formats.",
    )
