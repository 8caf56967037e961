"""What is known of the picture files of a folder: each is decoded once, in parallel, and remembered.

The memory lies in the user's cache folder. A file counts as known while its size and its time of change stay the same.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import PIL

from vinnas_tf.data.picture import GROUNDS, WHITE, decode, digest, lay_on
from vinnas_tf.errors import DataError, UserError
from vinnas_tf.run.files import write_atomically

Item = TypeVar("Item")
Result = TypeVar("Result")
# Yields the items that it is given, and may tell somebody what is done with them and how many are done.
Watch = Callable[[str, Sequence[Any]], Iterator[Any]]

_FORMAT = 1
_THREADS = max(2, os.cpu_count() or 1)  # Pillow decodes without holding Python's lock.
_NAMED = 3  # Files that a message names.


@dataclass(frozen=True)
class Facts:
    """What decoding a picture file has shown.

    Attributes:
        height: in pixels, upright.
        width: the same.
        grey: whether it has no colour channels.
        highest: the highest level of a picture with more than 8 bits a channel, else 0.
        colour_levels: whether that is a picture of several channels, of which only the upper 8 bits are read.
        transparent: whether something of it is transparent.
        animated: whether there are more frames than the first.
        flat_on: the grounds on which it shows one colour only.
        digest: of its pixels, 16 hexadecimal digits.
    """

    height: int
    width: int
    grey: bool
    highest: int
    colour_levels: bool
    transparent: bool
    animated: bool
    flat_on: Sequence[str]
    digest: str


def unwatched(what: str, items: Sequence[Item]) -> Iterator[Item]:
    """Yields the items, and tells nobody."""
    return iter(items)


def inspect(root: Path, paths: Sequence[Path], watch: Watch) -> list[Facts]:
    """The facts of picture files, decoding those that are not known yet.

    Args:
        root: the folder that they lie in.
        paths: of the files.
        watch: goes through those that have to be decoded.

    Raises:
        DataError: one or more of them can't be decoded.
    """
    memory = _Memory(root)
    stamps = {path: _stamp(path) for path in paths}
    known = {path: facts for path in paths if (facts := memory.recall(path, stamps[path]))}
    new = [path for path in paths if path not in known]
    broken = []
    try:
        found_of_new = in_parallel(_try, new)
        for path in watch(f"Checks {len(new):,} pictures", new) if new else ():
            found = next(found_of_new)
            if isinstance(found, UserError):
                broken.append(str(found))
            else:
                known[path] = found
    finally:
        if new:
            memory.save({path: (stamps[path], facts) for path, facts in known.items()})
    if broken:
        more = f" {len(broken) - _NAMED} more can't be read either." if len(broken) > _NAMED else ""
        raise DataError(" ".join(broken[:_NAMED]) + more)
    return [known[path] for path in paths]


def in_parallel(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """What `function` returns for each item, in their order; few at a time are held."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(items), 64 * _THREADS):
            yield from pool.map(function, items[start : start + 64 * _THREADS])


def _try(path: Path) -> Facts | UserError:
    try:
        return _facts(path)
    except UserError as error:
        return error


def _facts(path: Path) -> Facts:
    picture = decode(path)
    pixels = picture.pixels
    highest = int(pixels.max(initial=0))
    deep = pixels.dtype != np.uint8
    shown = {ground: pixels if deep else lay_on(ground, pixels) for ground in GROUNDS}
    if picture.upper_byte:
        highest *= 257
    return Facts(
        height=pixels.shape[0],
        width=pixels.shape[1],
        grey=pixels.shape[2] < 3,
        highest=highest if deep or picture.upper_byte else 0,
        colour_levels=picture.upper_byte,
        transparent=pixels.shape[2] in (2, 4),
        animated=picture.animated,
        flat_on=[ground for ground, laid in shown.items() if (laid == laid[:1, :1]).all()],
        digest=f"{digest(pixels):016x}",
    )


def white_level(facts: Sequence[Facts]) -> float:
    """The level that the grey pictures of a set with more than 8 bits a channel show as white.

    It is the highest that their bits can hold, 4095 where the highest level of all needs 12 bits; at least 255.
    """
    highest = max((one.highest for one in facts if not one.colour_levels), default=0)
    return max(WHITE, float(2 ** highest.bit_length() - 1))


def ground(facts: Sequence[Facts]) -> str:
    """What transparent parts are laid on: white, unless more pictures would show one colour only than on black."""
    transparent = [one for one in facts if one.transparent]
    return min(GROUNDS, key=lambda name: sum(name in one.flat_on for one in transparent))


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


class _Memory:
    """Facts on the disk, by path in the folder; a file that is damaged, or of another version, holds none."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._path: Path | None = None
        self._known: dict[str, Any] = {}
        name = hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        try:
            cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            self._path = cache / "vinnas_tf" / "pictures" / f"{name}.json"
            checksum, content = self._path.read_text(encoding="utf-8").split("\n", 1)
            if checksum == _checksum(content):
                self._known = json.loads(content)
        except (OSError, ValueError, RuntimeError):  # The last where nobody knows the user's home.
            pass

    def recall(self, path: Path, stamp: list[int]) -> Facts | None:
        """What is known of a file as it is now."""
        then, facts = self._known.get(str(path.relative_to(self._root)), (None, None))
        return Facts(**facts) if then == stamp else None

    def save(self, known: Mapping[Path, tuple[list[int], Facts]]) -> None:
        """Writes all, where the cache folder can be written; a second start is slower where it can't."""
        if self._path is None:
            return
        content = json.dumps(
            {str(path.relative_to(self._root)): (stamp, asdict(facts)) for path, (stamp, facts) in known.items()}
        )
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, f"{_checksum(content)}\n{content}")
        except (OSError, UserError):
            pass


def _checksum(content: str) -> str:
    versions = f"{_FORMAT} {PIL.__version__} "  # Another Pillow may decode otherwise.
    return hashlib.sha256((versions + content).encode()).hexdigest()
