"""Variational-inference neural architecture search for Keras 3 and TensorFlow.

The names below are the library; they are loaded when they are first used. Importing the package changes nothing in the
process, and loads neither TensorFlow nor Keras.

Example:
    >>> import vinnas_tf
    >>> vinnas_tf.Genotype(1, {"normal": (vinnas_tf.Edge(2, 0, "skip"), vinnas_tf.Edge(2, 1, "conv_7x1_1x7"))}).space
    'vinnas'
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vinnas_tf.architecture.genotype import Edge, Genotype
    from vinnas_tf.architecture.masks import Masks
    from vinnas_tf.architecture.primitives import register_primitive
    from vinnas_tf.architecture.space import SearchSpace, register_space
    from vinnas_tf.errors import UserError
    from vinnas_tf.export.stage import Exporter, ExportResult
    from vinnas_tf.methods import register_method
    from vinnas_tf.methods.base import Method
    from vinnas_tf.network.build import build_network
    from vinnas_tf.plots.cells import draw_cells
    from vinnas_tf.search.result import ChannelResult, SearchResult
    from vinnas_tf.search.stage import Search, make_supergraph
    from vinnas_tf.train.result import TrainResult
    from vinnas_tf.train.stage import Training

__version__ = "0.2.0.dev0"

_HOMES = {
    "ChannelResult": "search.result",
    "Edge": "architecture.genotype",
    "ExportResult": "export.stage",
    "Exporter": "export.stage",
    "Genotype": "architecture.genotype",
    "Masks": "architecture.masks",
    "Method": "methods.base",
    "Search": "search.stage",
    "SearchResult": "search.result",
    "SearchSpace": "architecture.space",
    "TrainResult": "train.result",
    "Training": "train.stage",
    "UserError": "errors",
    "build_network": "network.build",
    "draw_cells": "plots.cells",
    "make_supergraph": "search.stage",
    "register_method": "methods",
    "register_primitive": "architecture.primitives",
    "register_space": "architecture.space",
}

__all__ = [
    "ChannelResult",
    "Edge",
    "ExportResult",
    "Exporter",
    "Genotype",
    "Masks",
    "Method",
    "Search",
    "SearchResult",
    "SearchSpace",
    "TrainResult",
    "Training",
    "UserError",
    "build_network",
    "draw_cells",
    "make_supergraph",
    "register_method",
    "register_primitive",
    "register_space",
]

# A file system without symbolic links holds a small file in the place of each.
for _link in ("flags", "export"):
    if not (Path(__file__).resolve().parent / _link).is_dir():
        raise ImportError(
            f"vinnas_tf/{_link} must be a symbolic link to ../{_link} and is none here: check out where links are "
            "allowed (git config core.symlinks true), or install the wheel.",
            name=__name__,
        )


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
