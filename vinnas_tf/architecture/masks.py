"""Which channels of a given network are kept, as plain data, and its file (PGNAS).

A group holds the input channels of one convolution or linear layer, or those that it reads from one source of a
concatenation.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vinnas_tf.architecture.versioned import load, parse_versioned
from vinnas_tf.errors import ArchitectureError, require
from vinnas_tf.run.files import write_atomically

VERSION = 1
# More than any network has: a file that asks for more is none of ours.
_MOST_GROUPS, _MOST_CHANNELS = 100_000, 1_000_000
_MOST_TOLD = 12


@dataclass(frozen=True)
class ChannelGroup:
    """Input channels of a layer that share a drop probability.

    Args:
        layer: the name of the layer that reads them.
        source: the name of the layer that they come from.
        start: the first of them among the layer's input channels, from 0.
        channels: how many they are.
    """

    layer: str
    source: str
    start: int
    channels: int

    @property
    def name(self) -> str:
        """What reads the channels, and where they come from."""
        return f"{self.layer} < {self.source}"


@dataclass(frozen=True, eq=False)
class Masks:
    """The channels of a network that are kept.

    Args:
        backbone: the settings that make the network, by name.
        image_shape: [height, width, channels] of the images that it takes.
        classes: how many it knows.
        groups: in the order of the network's layers.
        kept: for each group whether each of its channels is kept, bool [channels].

    Raises:
        ArchitectureError: the masks do not fit the groups.

    Example:
        >>> groups = (ChannelGroup("conv", "images", 0, 3),)
        >>> masks = Masks({"backbone": "small"}, (8, 8, 3), 2, groups, (np.array([True, False, True]),))
        >>> Masks.from_json(masks.to_json()).vector.tolist()
        [True, False, True]
    """

    backbone: Mapping[str, Any]
    image_shape: tuple[int, int, int]
    classes: int
    groups: tuple[ChannelGroup, ...]
    kept: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        kept = tuple(np.asarray(mask, bool) for mask in self.kept)
        right = len(kept) == len(self.groups) and all(
            mask.shape == (group.channels,) for mask, group in zip(kept, self.groups, strict=True)
        )
        require(right, "masks: each group needs one value for each of its channels.", ArchitectureError)
        object.__setattr__(self, "kept", kept)

    @property
    def vector(self) -> np.ndarray:
        """The masks of all groups one after another, bool [channels of all]."""
        return np.concatenate(self.kept)

    def describe(self) -> str:
        """How many channels are kept, in all and by layer, in lines of text; of many groups those that lost most."""
        vector = self.vector
        lines = [f"  {int(vector.sum()):,} of {vector.size:,} channels are kept ({vector.mean():.1%})"]
        by_loss = sorted(zip(self.groups, self.kept, strict=True), key=lambda pair: pair[1].mean())
        shown = [(group, mask) for group, mask in by_loss[:_MOST_TOLD] if not mask.all()]
        lines += [f"  {group.name}: {int(mask.sum())} of {group.channels}" for group, mask in shown]
        return "\n".join(lines)

    def to_json(self) -> str:
        """The masks as the text of a JSON file; a group's are a word of 0 (dropped) and 1."""
        data = {
            "version": VERSION,
            "backbone": dict(self.backbone),
            "image_shape": list(self.image_shape),
            "classes": self.classes,
            "groups": [
                {"layer": group.layer, "source": group.source, "start": group.start, "kept": _word(mask)}
                for group, mask in zip(self.groups, self.kept, strict=True)
            ],
        }
        return json.dumps(data, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Masks":
        """What `to_json` wrote; raises ArchitectureError for any other text."""
        fields = ("backbone", "image_shape", "classes", "groups")
        data = parse_versioned(text, "masks", {VERSION: fields})
        shape, classes, entries = data["image_shape"], data["classes"], data["groups"]
        _require(isinstance(data["backbone"], dict), "'backbone' must hold settings by name", data["backbone"])
        sides = isinstance(shape, list) and len(shape) == 3 and all(type(side) is int and side >= 1 for side in shape)
        _require(sides, "'image_shape' must be height, width and channels", shape)
        _require(type(classes) is int and classes >= 1, "'classes' must be a whole number of at least 1", classes)
        _require(isinstance(entries, list) and 1 <= len(entries) <= _MOST_GROUPS, "'groups' must be a list", entries)
        pairs = list(_groups(entries))
        counts = Counter((group.layer, group.start) for group, _ in pairs)  # Two may come from one source.
        twice = [place for place, count in counts.items() if count > 1]
        _require(not twice, "a group is listed once", twice)
        groups, kept = zip(*pairs, strict=True)
        return cls(data["backbone"], tuple(shape), classes, groups, kept)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON file whole or not at all; raises FileError where it cannot be written."""
        write_atomically(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Masks":
        """Reads the JSON file; raises ArchitectureError, naming the file, where it is missing or holds no masks."""
        return load(path, cls.from_json)


@dataclass(frozen=True, eq=False)
class DropProbabilities:
    """What a search of channels found: how probable it is that each channel of a group is dropped.

    Args:
        groups: the groups of channels.
        arrays: by quantity, [groups]; "channels/logit" is log(p / (1 - p)).
    """

    groups: tuple[ChannelGroup, ...]
    arrays: Mapping[str, np.ndarray]

    @property
    def p(self) -> np.ndarray:
        """The probabilities, [groups]."""
        return 1 / (1 + np.exp(-np.asarray(self.arrays["channels/logit"], np.float64)))

    @property
    def of_channels(self) -> np.ndarray:
        """The probability of each channel, [channels of all groups]."""
        return np.repeat(self.p, [group.channels for group in self.groups])

    def equal_rate(self, weights: np.ndarray) -> float:
        """The one probability that, in every layer, keeps as many weights on average as these do.

        Args:
            weights: how many weights of a kernel read each channel, [channels of all groups].
        """
        return float(np.average(self.of_channels, weights=weights))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes them as a JSON file, by group; raises FileError where it cannot be written."""
        logits = np.asarray(self.arrays["channels/logit"], np.float64)
        rows = [
            {"layer": group.layer, "source": group.source, "channels": group.channels, "logit": logit, "drop": p}
            for group, logit, p in zip(self.groups, logits.tolist(), self.p.tolist(), strict=True)
        ]
        finite = all(math.isfinite(row["logit"]) for row in rows)  # A search that diverged has ended before.
        require(finite, "a drop probability is not a number: search again.", ArchitectureError)
        write_atomically(path, json.dumps({"version": VERSION, "groups": rows}, indent=2) + "\n")


def _groups(entries: list[Any]) -> Iterator[tuple[ChannelGroup, np.ndarray]]:
    total = 0
    for entry in entries:
        right = isinstance(entry, dict) and entry.keys() == {"layer", "source", "start", "kept"}
        _require(right, "a group must have layer, source, start and kept and no more", entry)
        layer, source, start, word = (entry[name] for name in ("layer", "source", "start", "kept"))
        _require(type(layer) is str and type(source) is str, "layer and source must be names", entry)
        _require(type(start) is int and 0 <= start <= _MOST_CHANNELS, "start must be the number of a channel", start)
        _require(type(word) is str and re.fullmatch("[01]+", word) is not None, "kept must be a word of 0 and 1", word)
        total += len(word)
        _require(total <= _MOST_CHANNELS, f"there must be at most {_MOST_CHANNELS:,} channels", total)
        yield ChannelGroup(layer, source, start, len(word)), np.array([*word]) == "1"


def _word(mask: np.ndarray) -> str:
    return "".join("1" if kept else "0" for kept in mask)


def _require(condition: bool, expected: str, got: Any) -> None:
    require(condition, f"masks: {expected}, got {str(got)[:80]!r}.", ArchitectureError)
