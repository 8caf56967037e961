"""What --help prints."""

import ast
import inspect
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any

from absl import flags as absl_flags

from vinnas_tf.config import HEADINGS


def docstring(thing: ModuleType | type) -> str:
    """The docstring of a module or a class, from its source: `python -OO` drops it from the thing itself."""
    tree = ast.parse(inspect.getsource(thing))
    node = tree if inspect.ismodule(thing) else tree.body[0]
    return ast.get_docstring(node) or ""  # type: ignore[arg-type]


def spell(value: Any) -> str:
    """A value as a command line would give it."""
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def help_text(
    values: absl_flags.FlagValues, kinds: Sequence[type], usage: str, preset: str, presets: Mapping[str, str]
) -> str:
    """The usage, the flags grouped by what a person decides, with the values that a command line gives them, presets.

    Args:
        values: the parsed command line.
        kinds: the dataclasses.
        usage: what the text opens with.
        preset: name of the preset in use; empty for none.
        presets: what each preset is, by name.
    """
    width = min(80, shutil.get_terminal_size().columns)

    def wrap(text: str, indent: str) -> str:
        return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)

    def describe(flag: absl_flags.Flag) -> str:
        value = spell(flag.value)
        name = f"--[no]{flag.name} (now {value.lower()})" if flag.boolean else f"--{flag.name}={value}"
        return f"  {name}\n{wrap(flag.help, '      ')}"

    shown = f" (preset {preset or 'none'})" if "preset" in values else ""
    blocks = [usage.strip(), wrap(f"Flags, with the values that this command line runs with{shown}:", "")]
    for heading, names in _grouped(kinds):
        blocks.append("\n".join([wrap(heading, ""), *(describe(values[name]) for name in names)]))
    listed = [f"      {wrap(f'{name}: {text}', '        ').strip()}" for name, text in presets.items()]
    if listed:
        blocks.append("\n".join(["Where the values come from.", describe(values["preset"]), *listed]))
    return "\n\n".join(blocks)


def _grouped(kinds: Sequence[type[Any]]) -> list[tuple[str, list[str]]]:
    """The fields of the dataclasses by their group's heading, or else by what their dataclass is about."""
    sections: dict[str, list[str]] = {}
    for kind in kinds:
        about = (docstring(kind) or kind.__name__).splitlines()[0]
        for field in fields(kind):
            sections.setdefault(field.metadata["group"] or about, []).append(field.name)
    *first, last = HEADINGS
    rank = {last: len(first) + 1, **{heading: place for place, heading in enumerate(first)}}
    return sorted(sections.items(), key=lambda section: rank.get(section[0], len(first)))
