"""Search methods: METHODS maps the name that `method` takes to the class that a search asks."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vinnas_tf.config import SearchConfig, Variants, restored
from vinnas_tf.errors import did_you_mean, require
from vinnas_tf.methods.base import Method
from vinnas_tf.methods.bayesnas import BayesNas
from vinnas_tf.methods.darts import Darts
from vinnas_tf.methods.pgnas import Pgnas
from vinnas_tf.methods.pgnas_random import PgnasRandom
from vinnas_tf.methods.random_search import RandomSearch
from vinnas_tf.methods.si_vdnas import SiVdnas
from vinnas_tf.methods.vdnas import HVdnas, VVdnas
from vinnas_tf.methods.vinnas import Vinnas
from vinnas_tf.methods.vinnas_joint import VinnasJoint

METHODS: dict[str, type[Method]] = {
    "vinnas": Vinnas,
    "vinnas_joint": VinnasJoint,
    "darts": Darts,
    "si_vdnas": SiVdnas,
    "h_vdnas": HVdnas,
    "v_vdnas": VVdnas,
    "bayesnas": BayesNas,
    "pgnas": Pgnas,
    "pgnas_random": PgnasRandom,
    "random": RandomSearch,
}


def register_method(name: str, method: type[Method]) -> None:
    """Makes a search method known to `method=NAME`.

    Raises:
        SettingError: the name is taken.

    Example:
        >>> class Cold(Darts):
        ...     def mixing_weights(self, alpha):
        ...         return super().mixing_weights(2.0 * alpha)
        >>> register_method("cold", Cold)
        >>> METHODS.pop("cold").__name__
        'Cold'
    """
    require(name not in METHODS, f"the method {name} is registered already: choose another name.")
    METHODS[name] = method


def method_class(name: str) -> type[Method]:
    """The class of a method; raises SettingError for an unknown name."""
    require(name in METHODS, f"method must be one of {', '.join(METHODS)}, got {name!r}.")
    return METHODS[name]


def make_method(config: SearchConfig, settings: Any = None) -> Method:
    """The method that `config.method` names, with its own `settings` or their defaults.

    Raises:
        SettingError: its name is unknown.
    """
    return method_class(config.method)(config, settings)


def recorded_method(settings: Mapping[str, Any]) -> Method:
    """The method of a search, from the settings that its run folder's record holds.

    Raises:
        SettingError: the method is unknown, or the record is of an earlier version and lacks a setting.
    """
    config = restored(SearchConfig, settings)
    own: Any = restored(method_class(config.method).Settings, settings)
    return make_method(config, own)


def method_from(values: dict[str, Any]) -> Method:
    """The method that these settings ask for, the shared ones and its own.

    Raises:
        SettingError: a setting is unknown, is not read by the method, or has a value that is refused.

    Example:
        >>> method_from({"method": "darts", "cells": "NR", "darts_order": 2}).settings
        DartsSettings(darts_order=2)
    """
    method = values.get("method", SearchConfig.method)
    kind = method_class(method)
    shared, own = names(SearchConfig), names(kind.Settings)
    known = sorted(shared | own)
    for name in values:
        require_read(name, method)
        hint = did_you_mean(name, known, f"there are {', '.join(known)}.")
        require(name in known, f"unknown setting {name}: {hint}")
    config = SearchConfig(**{name: value for name, value in values.items() if name in shared})
    return kind(config, kind.Settings(**{name: value for name, value in values.items() if name in own}))


def method_variants() -> Variants:
    """The settings of the search methods, of which `method` chooses."""
    return Variants("method", {name: method.Settings for name, method in METHODS.items()}, require_read)


def require_read(name: str, method: str) -> None:
    """Raises SettingError where a method is unknown, or does not read a setting that others have."""
    method_class(method)
    readers = [other for other, kind in METHODS.items() if name in read_by(kind)]
    require(
        not readers or method in readers,
        f"{name} is not read by method={method}, only by {', '.join(readers)}: leave it out.",
    )


def read_by(method: type[Method]) -> set[str]:
    """Names of the settings that a method reads."""
    return (names(SearchConfig) - method.ignores) | names(method.Settings)


def names(settings: type) -> set[str]:
    """The fields of a settings dataclass."""
    return {field.name for field in dataclasses.fields(settings)}
