"""How a folder of images is laid out: its parts, its classes, its picture files, and what else lies there."""

import os
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vinnas_tf.data.picture import suffixes
from vinnas_tf.errors import DataError, require

PARTS = {"train": ("train", "training"), "validation": ("validation", "valid", "val"), "test": ("test", "testing")}
_NO_CLASSES = ("__MACOSX", "@eaDir")  # What archives and file servers leave behind.
_HOLD = "put one folder for each class into it, such as {0}/cat/*.jpg and {0}/dog/*.jpg"


@dataclass
class ClassFiles:
    """The picture files of a part, sorted by class and path.

    Attributes:
        paths: of the files.
        classes: name of the class of each.
        names: of each, its path inside the folder of its class; the same on every machine.
        left_out: how many other files there are, by kind.
    """

    paths: list[Path] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Layout:
    """A data set in a folder.

    Attributes:
        class_names: of the training images, sorted.
        parts: files of "train", and of "validation" and "test" where the folder has them.
        roots: the folder of each part.
    """

    class_names: tuple[str, ...]
    parts: dict[str, ClassFiles]
    roots: dict[str, Path]

    @property
    def left_out(self) -> Counter[str]:
        """How many files of all parts are not read, by kind."""
        return sum((part.left_out for part in self.parts.values()), Counter())


def read_layout(folder: Path, known_classes: tuple[str, ...] = ()) -> Layout:
    """Finds the parts, classes and files of FOLDER/CLASS/** or FOLDER/train/CLASS/**, with validation/ and test/.

    The parts' names may be in any case; images may lie in folders inside that of their class.

    Args:
        folder: where the images lie.
        known_classes: the classes that there can be, some of which may lack images; empty for those of the folder.

    Raises:
        DataError: there are no classes, their names can't be written into a file, or it is unclear what the
            folders stand for.
    """
    require(
        folder.is_dir(),
        f"dataset=folder:{folder} is no folder: give the path of a folder with one per class.",
        DataError,
    )
    roots = _part_roots(folder, needs_train=not known_classes) or {"train": folder}
    root = roots.get("train") or next(iter(roots.values()))
    own = tuple(sorted(map(_class_name, _folders(root))))
    class_names = known_classes or own
    require(len(own) > 0, _no_classes(root), DataError)
    require(
        len(class_names) > 1,
        f"{root} holds one class only ({own[0]}): classification needs a folder each for two classes or more.",
        DataError,
    )
    twice = [name for name, count in Counter(own).items() if count > 1]
    require(
        not twice,
        f"{root} holds two folders of the name {twice[:1]}, spelt in two ways: rename one of them.",
        DataError,
    )
    parts = {}
    for part, part_root in roots.items():
        parts[part] = _class_files(part_root)
        unknown = sorted(set(map(_class_name, _folders(part_root))) - set(class_names))
        require(
            not unknown,
            f"{part_root / ''.join(unknown[:1])} is a class without training images; the classes are "
            f"{textwrap.shorten(', '.join(class_names), 200)}.",
            DataError,
        )
    return Layout(class_names, parts, roots)


def _part_roots(folder: Path, needs_train: bool) -> dict[str, Path]:
    """The folder of each part; none where the folders in `folder` are classes."""
    folders = _folders(folder)
    found: dict[str, Path] = {}
    for part, words in PARTS.items():
        here = [entry for entry in folders if entry.name.lower() in words]
        require(
            len(here) < 2,
            f"{folder} holds {' and '.join(entry.name + '/' for entry in here)}, which mean the same: keep one.",
            DataError,
        )
        if here:
            found[part] = here[0]
    if not found:
        return {}
    others = [entry for entry in folders if entry not in found.values() and _holds_pictures(entry)]
    divided = {part: root for part, root in found.items() if _folders(root)}
    if not divided:
        # Without class folders in them these are classes themselves, unless nothing but parts is there.
        flat = [root for root in found.values() if _holds_pictures(root)]
        classes = others and not any(part in found for part in ("validation", "test"))  # A class may be called train.
        require(not flat or bool(classes), _no_classes(flat[0] if flat else folder), DataError)
        return {}
    require(
        not others,
        f"{folder} holds {_listed(divided.values())} with folders in them, and {_listed(others)} beside them: are they "
        "parts or classes? Move one kind away.",
        DataError,
    )
    require(
        "train" in divided or not needs_train,
        f"{folder} holds {_listed(found.values())} but no train/: {_HOLD.format(folder / 'train')}.",
        DataError,
    )
    for part, root in found.items():
        require(part in divided, f"{root} holds no class folders: {_HOLD.format(root)}, as in train/.", DataError)
    return found


def _no_classes(root: Path) -> str:
    loose = sum(1 for entry in root.iterdir() if entry.suffix.lower() in suffixes())
    what = f"{loose} images and no class folders" if loose else "no class folders"
    return f"{root} holds {what}: {_HOLD.format(root)}."


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join(f"{entry.name}/" for entry in folders)


def _folders(root: Path) -> list[Path]:
    return sorted(
        entry
        for entry in root.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in _NO_CLASSES
    )


def _class_name(folder: Path) -> str:
    """The folder's name, refused where no text file can hold it."""
    name = _in_one_spelling(folder.name)
    require_class_name(name, str(folder.parent))
    return name


def _in_one_spelling(name: str) -> str:
    """A file's name as every locale and file system has it: in UTF-8, its accents part of their letters."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "surrogateescape"))


def require_class_name(name: str, where: str) -> None:
    """Raises DataError for a name that can't stand on a line of a text file in UTF-8."""
    require(
        name.isprintable() and name == name.strip() != "",
        f"the class {name!r} of {where!r} has a name that can't be written into a file of labels, one a line: "
        "rename it, without line ends, control characters, or blanks at its ends.",
        DataError,
    )


def _class_files(root: Path) -> ClassFiles:
    files = ClassFiles()
    for entry in root.iterdir():
        if not entry.is_dir():
            files.left_out["outside of class folders"] += 1
    for folder in _folders(root):
        for path, name in _walk(folder):
            if kind := _left_out(path, name):
                files.left_out[kind] += 1
                continue
            files.paths.append(path)
            files.classes.append(_class_name(folder))
            files.names.append(name)
    return files


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """All files in a folder and in those inside it, sorted, with their path from it; links are followed, once each."""
    seen: set[str] = set()
    for place, inner, files in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(place)
        inner[:] = [] if real in seen else sorted(inner)
        if real not in seen:
            for file in sorted(files):
                path = Path(place, file)
                yield path, _in_one_spelling(path.relative_to(folder).as_posix())
        seen.add(real)


def _raise(error: OSError) -> None:
    raise error


def _left_out(path: Path, name: str) -> str:
    """The kind of a file that is not read; empty for a picture."""
    if name.startswith(".") or "/." in name:
        return "hidden"
    if not path.exists():
        return "links that lead nowhere"
    if path.suffix.lower() in suffixes():
        return ""
    return path.suffix.lower() or "without suffix"


def _holds_pictures(folder: Path) -> bool:
    return any(not _left_out(path, name) for path, name in _walk(folder))
