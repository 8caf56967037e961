"""JSON files that say which version of their format they are of."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from vinnas_tf.errors import ArchitectureError, UserError, require
from vinnas_tf.run.files import read_text

Parsed = TypeVar("Parsed")
# The largest of our files, the values of a space of hundreds of edges, has under a megabyte.
_MOST_BYTES = 64 * 2**20
_NAMED, _SHOWN = 5, 60


def shown(value: Any) -> str:
    """What a file says instead, short enough for a message."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def load(path: str | os.PathLike[str], parse: Callable[[str], Parsed]) -> Parsed:
    """What `parse` makes of a file's text; raises ArchitectureError, naming the file, where it refuses the text.

    Raises:
        FileError: the file can't be read.
    """
    size = os.stat(path).st_size if os.path.isfile(path) else 0
    require(
        size <= _MOST_BYTES, f"{path} has {size:,} bytes, more than any file that vinnas_tf writes.", ArchitectureError
    )
    text = read_text(path)
    try:
        return parse(text)
    except UserError as error:
        raise ArchitectureError(f"{path}: {error}") from None


def parse_versioned(
    text: str,
    kind: str,
    fields: Mapping[int, Iterable[str]],
    defaults: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """The object in a JSON text that holds "version" and that version's fields, and what of `defaults` it leaves out.

    Args:
        text: the file's content.
        kind: names in messages what was expected.
        fields: what a file of each known version holds, the latest version last.
        defaults: of fields that a file may lack.

    Raises:
        ArchitectureError: the text holds anything else.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArchitectureError(f"{kind}: not JSON ({error}); expected a file that vinnas_tf wrote.") from error
    require(isinstance(data, dict), f"{kind}: expected a JSON object, got a {type(data).__name__}.", ArchitectureError)
    found = data.get("version")
    known = " or ".join(map(str, fields))
    require(
        type(found) is int and found in fields,
        f"{kind}: this vinnas_tf reads version {known}, got {shown(found)}; make the file anew.",
        ArchitectureError,
    )
    data = {**defaults, **data}
    expected = {"version", *fields[found], *defaults}
    wrong = [f"{name!r} is missing" for name in sorted(expected - data.keys())]
    wrong += [f"{shown(name)} is unknown" for name in sorted(data.keys() - expected)[:_NAMED]]
    require(not wrong, f"{kind}: {', '.join(wrong)}; expected {', '.join(sorted(expected))}.", ArchitectureError)
    return data
