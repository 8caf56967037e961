"""Settings dataclasses to absl flags and back, for every command-line module.

A field declared with `vinnas_tf.config.setting` becomes one flag: its name, type, default and help stand nowhere else.
Each call builds a flag set of its own, so command-line modules never meet in absl's global one.
"""

import contextlib
import dataclasses
import functools
import importlib.resources
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast, get_type_hints

from absl import flags as absl_flags

from vinnas_tf import config
from vinnas_tf.config import PathText, Variants
from vinnas_tf.errors import SettingError, UserError, did_you_mean, require
from vinnas_tf.flags import flag_file
from vinnas_tf.flags.help import help_text, spell
from vinnas_tf.run.files import user_path

Config = TypeVar("Config")

_PRESETS = importlib.resources.files(__package__) / "presets"
_PRESET_HELP = (
    "Settings file to start from; flags given beside it win. Empty: the one that an earlier stage in the run "
    "folder used, else the one named after --dataset, if there is one."
)
_parsed: set[str] = set()  # Names of all settings that a command line of this process could have.


class Settings:
    """What a command line asked for.

    `settings[DataConfig]` is the resolved DataConfig, `variant` the instance that `Variants` chose, if any, and
    `preset` the preset's name, empty where none was used.
    """

    def __init__(self, configs: Sequence[Any], preset: str, variant: Any = None) -> None:
        self._configs = {type(config): config for config in configs}
        self.preset = preset
        self.variant = variant

    def __getitem__(self, kind: type[Config]) -> Config:
        """Returns the resolved instance of one of the dataclasses that `read_flags` was given."""
        return cast(Config, self._configs[kind])


@dataclass(frozen=True)
class Inherited:
    """What a command takes over from an earlier stage.

    Attributes:
        values: for its own fields of the same name.
        preset: name of the preset that the stage used.
        firm: names of the values that only the user replaces, not a preset that comes without having been named.
    """

    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    preset: str = ""
    firm: tuple[str, ...] = ()


def preset_names(command: str) -> list[str]:
    """Returns the names that `--preset` takes in `command`, such as "search", sorted; none: it has no such flag."""
    files = (_PRESETS / command).iterdir() if (_PRESETS / command).is_dir() else ()
    return sorted(file.name.removesuffix(".flags") for file in files if file.name.endswith(".flags"))


def read_flags(
    argv: Sequence[str],
    *kinds: type,
    command: str,
    usage: str,
    inherit: Callable[[str], Inherited] = lambda _: Inherited(),
    positional: str = "",
    variants: Variants | None = None,
) -> Settings:
    """Reads a command line into instances of `kinds`, frozen dataclasses whose fields were declared with `setting`.

    Values come from the dataclass, then an earlier stage, then the preset, then the command line; the last wins. A
    preset is an absl flagfile in `presets/COMMAND/`.

    Args:
        argv: the arguments, without the program's name.
        *kinds: the dataclasses; no two share a field name.
        command: the command's name, which has presets of its own.
        usage: text that `--help` opens with, such as the `docstring` of the command-line module.
        inherit: what the run folder of the given name, empty for none, hands on.
        positional: the field that an argument without a flag's name is for, if any.
        variants: further settings that depend on one of these.

    Raises:
        SettingError: unknown flag or preset, a flag file that can't be read, a value of the wrong type, or one that a
            dataclass refuses.
        SystemExit: after `--help` was printed.
    """
    argv = list(flag_file.expand(argv))
    presets = preset_names(command)
    shown = (*kinds, *(variants.kinds.values() if variants else ()))
    parse = functools.partial(_parse, kinds=shown, with_preset=bool(presets), positional=positional)
    given = parse(argv)
    named = [name for name in given if given[name].present]
    inherited = inherit(given["run_dir"].value) if "run_dir" in given else Inherited()
    before = [f"--{name}={spell(value)}" for name, value in inherited.values.items() if name in given]
    given = parse([*before, *argv])
    preset = given["preset"].value if presets else ""
    firm = [] if preset else [f"--{name}={spell(inherited.values[name])}" for name in inherited.firm]
    if not preset:
        wanted = [inherited.preset, given["dataset"].value if "dataset" in given else ""]
        preset = next((name for name in wanted if name in presets), "")
    require(not preset or preset in presets, f"unknown preset {preset!r}: choose from {', '.join(presets)}.")
    if preset:
        with importlib.resources.as_file(_PRESETS / command / f"{preset}.flags") as path:
            given = parse([*before, *flag_file.lines(path), *firm, *argv])
    if given["help"].value:
        print(help_text(given, shown, usage, preset, {name: _first_comment(command, name) for name in presets}))
        raise SystemExit(0)

    def build(kind: type) -> Any:
        return kind(**{field.name: given[field.name].value for field in _fields(kind)})

    source = f" Flags that were not given come from preset {preset}." if preset else ""
    with _with_note(source):
        configs = [build(kind) for kind in kinds]
    if variants is None:
        return Settings(configs, preset)
    chosen = given[variants.field]
    # That a given flag is not read has to do with the preset only where this is what chose.
    with _with_note(source if chosen.present and variants.field not in named else ""):
        for name in named:
            variants.require_read(name, chosen.value)
    with _with_note(source):
        kind = variants.kinds.get(chosen.value)
        return Settings(configs, preset, kind and build(kind))


def given_flags(argv: Sequence[str], *kinds: type, variants: Variants) -> dict[str, str]:
    """The flags that a command line gives, by name, each as one word `--name=value`.

    Raises:
        SettingError: as `read_flags`.
    """
    parsed = _parse([*flag_file.expand(argv)], (*kinds, *variants.kinds.values()), with_preset=True, positional="")
    return {name: f"--{name}={spell(parsed[name].value)}" for name in parsed if parsed[name].present}


def spelt_as_flags(message: str) -> str:
    """A library's message with the settings that it names spelt as flags: "epochs=3 ..." becomes "--epochs=3 ...".

    A name that is an ordinary word too is taken for a setting where = follows it, or where the message starts with it
    and goes on with what it must be.
    """
    kinds = [kind for kind in vars(config).values() if dataclasses.is_dataclass(kind)]
    names = _parsed.union(field.name for kind in kinds for field in _fields(cast(type, kind)))
    plain, compound = ("|".join(sorted(name for name in names if ("_" in name) == both)) for both in (False, True))
    named = rf"(?:{compound})\b(?!/|\.\w)|(?:{plain})(?==)|^(?:{plain})(?= must| knows| is empty| names)"
    return re.sub(rf"(?<![\w.\-/])(?:{named})", r"--\g<0>", message)


class _Parser(absl_flags.ArgumentParser):
    """Turns a flag's text into a value of the field's type; defaults have that type already."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self._convert, self._expected = _CONVERSIONS[kind]

    def parse(self, argument: Any) -> Any:
        if not isinstance(argument, str):
            return argument
        try:
            return self._convert(argument)
        except UserError:
            raise
        except (ValueError, KeyError):
            raise ValueError(f"expected {self._expected}") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


_CONVERSIONS: dict[Any, tuple[Callable[[str], Any], str]] = {
    str: (str, "text"),
    PathText: (lambda text: str(user_path(text)) if text else "", "a path"),
    int: (int, "an integer"),
    float: (_finite, "a finite number"),
    bool: (lambda text: {"true": True, "false": False}[text.lower()], "true or false"),
    tuple[PathText, ...]: (
        lambda text: tuple(str(user_path(word)) for word in _words(text)),
        "paths separated by commas",
    ),
    tuple[str, ...]: (_words, "words separated by commas"),
    tuple[int, ...]: (lambda text: tuple(map(int, _words(text))), "integers separated by commas"),
    tuple[float, ...]: (lambda text: tuple(map(_finite, _words(text))), "finite numbers separated by commas"),
}


@contextlib.contextmanager
def _with_note(note: str) -> Iterator[None]:
    """Adds `note` to the message of a UserError that is raised in its context."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{error}{note}") from error


def _fields(kind: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(kind)


def _parse(argv: Sequence[str], kinds: Sequence[type], with_preset: bool, positional: str) -> absl_flags.FlagValues:
    """Parses `argv` into a new flag set that has one flag per field, `--preset` where there are any, and `--help`."""
    values = absl_flags.FlagValues()
    values.set_gnu_getopt(True)

    def define(kind: Any, name: str, default: Any, help: str, short_name: str | None = None) -> None:
        flag = absl_flags.Flag(_Parser(kind), None, name, default, help, short_name, boolean=kind is bool)
        absl_flags.DEFINE_flag(flag, values)

    for kind in kinds:
        hints = get_type_hints(kind, include_extras=True)
        for field in _fields(kind):
            _parsed.add(field.name)
            if field.name not in values:  # Variants share some.
                define(hints[field.name], field.name, field.default, field.metadata["help"])
    if with_preset:
        define(str, "preset", "", _PRESET_HELP)
    define(bool, "help", False, "Print this help.", short_name="h")
    try:
        _, *rest = values(["", *argv])
        if positional and len(rest) == 1:
            values[positional].parse(rest.pop())
    except absl_flags.UnrecognizedFlagError as error:
        hint = did_you_mean(error.flagname, values, "--help lists all flags.", form="--{}")
        raise SettingError(f"unknown flag --{error.flagname}: {hint}") from error
    except (absl_flags.Error, ValueError) as error:
        raise SettingError(str(error).removesuffix(".") + ".") from error
    require(not rest, f"unexpected argument {' '.join(rest)!r}: flags are written --name=value.")
    return values


def _first_comment(command: str, preset: str) -> str:
    text = (_PRESETS / command / f"{preset}.flags").read_text(encoding="utf-8")
    return text.splitlines()[0].removeprefix("#").strip()
