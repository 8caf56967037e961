"""What the benchmark commands share: their options, how they turn down a mistake, and how they print."""

import argparse
import textwrap
from pathlib import Path

from benchmarks.designs import Config
from vinnas_tf.architecture.genotype import Genotype
from vinnas_tf.architecture.skeleton import CELL_TYPE_OF
from vinnas_tf.config import SearchConfig, TrainConfig
from vinnas_tf.errors import UserError, require
from vinnas_tf.flags.define import spelt_as_flags
from vinnas_tf.run.files import user_path

WIDTH = 100  # of the notes below a table, about its own

# Default and help of each option that describes a step.
STEP_OPTIONS: dict[str, tuple[int | str, str]] = {
    "cells": ("NNRNNRNN", "skeleton"),
    "batch": (16, "batch size"),
    "genotype": ("", "times training steps of the network of this genotype file"),
    "stem_stride": (1, "of that network"),
    "states": (4, "states per cell"),
    "channels": (16, "channels of the first cell"),
    "image_size": (32, "pixels a side"),
}


def make_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for the command that is run as `python -m module`; options are never abbreviated."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        usage="%(prog)s [--option=value ...]",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def path_option(text: str) -> Path:
    """The type of an option that names a path."""
    try:
        return user_path(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def integers_option(text: str) -> list[int]:
    """The type of an option of integers, separated by commas."""
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected integers separated by commas, got {text!r}.") from None


def add_step_options(parser: argparse.ArgumentParser, *names: str, remark: str = "") -> None:
    """Adds those of STEP_OPTIONS that are named; `remark` follows on their help."""
    for name in names:
        default, text = STEP_OPTIONS[name]
        shown = "" if default == "" else " (%(default)s)"
        parser.add_argument(f"--{name}", type=type(default), default=default, help=text + remark + shown)


def require_positive(parser: argparse.ArgumentParser, arguments: argparse.Namespace, *names: str) -> None:
    """Ends the command where one of these options is below 1."""
    for name in names:
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(arguments, name)}.")


def step_config(parser: argparse.ArgumentParser, arguments: argparse.Namespace, cells: str, batch: int) -> Config:
    """What one iteration is, from the step's options; ends the command where there is no such thing."""
    try:
        return _step_config(arguments, cells, batch)
    except UserError as error:
        parser.error(spelt_as_flags(str(error)))


def _step_config(arguments: argparse.Namespace, cells: str, batch: int) -> Config:
    given = vars(arguments).get("genotype")  # Not every command knows of training steps.
    if not given:
        return SearchConfig(cells=cells, states=arguments.states, channels=arguments.channels, batch_size=batch)
    path = user_path(given)
    genotype = Genotype.load(path)
    missing = {CELL_TYPE_OF[letter] for letter in cells} - genotype.cells.keys()
    require(not missing, f"--cells={cells}: {path} has no {' and no '.join(sorted(missing))} cell.")
    return TrainConfig(
        genotype=str(path),
        cells=cells,
        channels=arguments.channels,
        stem_stride=arguments.stem_stride,
        batch_size=batch,
    )


def notes(*texts: str) -> str:
    """A Markdown list of what must be known to read a table."""
    return "\n".join(textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  ") for text in texts)
