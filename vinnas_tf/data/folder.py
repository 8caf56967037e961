"""A folder of picture files as a data set: its parts are drawn by the files' names, and share no picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vinnas_tf.data import notes as image_notes
from vinnas_tf.data.folder_layout import Layout, read_layout
from vinnas_tf.data.picture import Preparation, decode
from vinnas_tf.data.picture_index import Facts, Watch, ground, inspect, white_level
from vinnas_tf.data.source import Part, Source
from vinnas_tf.data.splits import LEAST_PER_CLASS, draw_test
from vinnas_tf.errors import DataError, require


@dataclass(frozen=True)
class _Pictures:
    """The files of a part, and what is known of each."""

    paths: list[Path]
    names: list[str]
    labels: np.ndarray
    facts: list[Facts]

    @property
    def digests(self) -> np.ndarray:
        return np.array([int(one.digest, 16) for one in self.facts], np.uint64)

    def where(self, kept: np.ndarray) -> "_Pictures":
        indices = np.flatnonzero(kept).tolist()
        return _Pictures(
            [self.paths[index] for index in indices],
            [self.names[index] for index in indices],
            self.labels[kept],
            [self.facts[index] for index in indices],
        )

    def part(self) -> Part:
        return Part(self.labels, self.names, lambda index: decode(self.paths[index]).pixels, self.digests)


def open_folder(folder: Path, image_size: int, framing: str, watch: Watch) -> Source:
    """The data set in `folder`, laid out as `read_layout` says.

    Without a test folder a fifth of each class is the test part, drawn by a hash of each file's path inside its class.
    A picture that is among the training images, pixel for pixel, is left out of the other parts. All files are
    decoded once, so that a broken one is found before anything is trained.

    Raises:
        DataError: the folder is not laid out so, a file can't be decoded, images are too few, or they differ in size
            and `image_size` is 0.
    """
    layout = read_layout(folder)
    parts = _inspected(folder, layout, watch)
    _require_enough(parts["train"], layout)
    if "test" not in parts:
        whole = parts["train"]
        test = draw_test(whole.labels, whole.names, whole.digests)
        parts |= {"train": whole.where(~test), "test": whole.where(test)}
    train = parts["train"]
    left: dict[str, int] = {}
    for name in sorted(parts.keys() - {"train"}):
        copied = np.isin(parts[name].digests, train.digests)
        left[name] = int(copied.sum())
        parts[name] = parts[name].where(~copied)
        _require_some(parts[name], left[name], name, layout)
    preparation = _preparation(folder, parts, image_size, framing)
    every = [one for pictures in parts.values() for one in pictures.facts]
    notes = [
        *(
            f"{name.capitalize()} images: {image_notes.counts(layout.class_names, pictures.labels)}."
            for name, pictures in parts.items()
            if name != "train"
        ),
        *image_notes.left_out(layout.left_out),
        *image_notes.frames(every),
        *image_notes.depths(every, preparation.white),
        *image_notes.grounds(train.facts, train.labels, layout.class_names, preparation.ground),
        *image_notes.copies(left, train.digests, train.labels),
    ]
    opened = {name: pictures.part() for name, pictures in parts.items()}
    return Source(layout.class_names, preparation, opened.get, tuple(notes))


def open_pictures(folder: Path, class_names: tuple[str, ...], watch: Watch) -> Part:
    """All pictures in `folder`, whatever the part, for a network that knows these classes.

    Raises:
        DataError: there are none, one can't be decoded, or one is of a class that the network does not know.
    """
    layout = read_layout(folder, class_names)
    parts = _inspected(folder, layout, watch).values()
    pictures = _Pictures(
        [path for part in parts for path in part.paths],
        [name for part in parts for name in part.names],
        np.concatenate([part.labels for part in parts]),
        [facts for part in parts for facts in part.facts],
    )
    require(len(pictures.paths) > 0, f"{folder} holds no images: put some into {folder / class_names[0]}/.", DataError)
    return pictures.part()


def _inspected(folder: Path, layout: Layout, watch: Watch) -> dict[str, _Pictures]:
    files = layout.parts.values()
    paths = [path for part in files for path in part.paths]
    facts = iter(inspect(folder, paths, watch))
    number = {name: label for label, name in enumerate(layout.class_names)}
    return {
        name: _Pictures(
            part.paths,
            part.names,
            np.array([number[one] for one in part.classes], np.int32),
            [next(facts) for _ in part.paths],
        )
        for name, part in layout.parts.items()
    }


def _require_some(pictures: _Pictures, copies: int, name: str, layout: Layout) -> None:
    where = layout.roots.get(name) or layout.roots["train"]
    require(
        len(pictures.paths) + copies > 0,
        f"{where} holds no images: put some into {where / layout.class_names[0]}/.",
        DataError,
    )
    require(
        len(pictures.paths) > 0,
        f"All {copies} {name} images in {where} are training images too, pixel for pixel: take the copies away, or add "
        "other pictures.",
        DataError,
    )


def _require_enough(train: _Pictures, layout: Layout) -> None:
    counts = np.bincount(train.labels, minlength=len(layout.class_names))
    scarce = int(counts.argmin())
    given = "test" in layout.roots
    least = 2 if given else LEAST_PER_CLASS
    require(
        int(counts[scarce]) >= least,
        f"Too few images in {layout.roots['train'] / layout.class_names[scarce]}: {counts[scarce]}; put at least "
        f"{least} there" + ("." if given else ", so that a fifth can be kept for the test."),
        DataError,
    )


def _preparation(folder: Path, parts: dict[str, _Pictures], image_size: int, framing: str) -> Preparation:
    """What the training images ask for; refused where images would come out wrong by it."""
    train = parts["train"]
    height, width, first = train.facts[0].height, train.facts[0].width, train.paths[0]
    for pictures in parts.values():
        for one, path in zip(pictures.facts, pictures.paths, strict=True):
            require(
                bool(image_size) or (one.height, one.width) == (height, width),
                f"Images differ in size: {first} is {width} x {height}, {path} is {one.width} x {one.height} pixels; "
                f"pass image_size={min(height, width)} (or another size) to resize them all.",
                DataError,
            )
    coloured = [one.highest for pictures in parts.values() for one in pictures.facts if one.colour_levels]
    require(
        not coloured or max(coloured) > 2**15,
        f"{folder} holds pictures of 16 bits in each of three channels that use only the lower ones, up to "
        f"{max(coloured, default=0):,}, and Pillow reads the upper 8: save them with 8 bits.",
        DataError,
    )
    grey = all(one.grey for one in train.facts)
    return Preparation(
        image_size or height,
        image_size or width,
        1 if grey else 3,
        white_level(train.facts),
        ground(train.facts),
        framing,
    )
