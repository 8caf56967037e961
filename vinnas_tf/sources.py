"""Where images come from: the bundled digits, a folder of images, a TFDS set.

A source knows its labels and the shape of its images at once, and reads pixels only for the images that are asked
for. So a part of a large set costs no more than that part, and images that are kept for the test stay unread.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from vinnas_tf.config import ConfigError, DataConfig, require
from vinnas_tf.splits import stratified_split

Part = Literal["train", "test"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
TEST_SHARE = 0.2
_TEST_SEED = 0  # Not the run's: the test images of a set are the same for every run.
_LEAST_PER_CLASS = 5  # The fewest of which TEST_SHARE is a whole image.


@dataclass(frozen=True)
class Source:
    """The training or the test part of a data set, its pixels still unread.

    Attributes:
        class_names: name of each class, in the order of the labels.
        labels: int32 [n] class of each image.
        shape: (height, width, channels) that images are to be given; the training part's, also for the test part.
            Channels are 1 (grey) or 3 (RGB).
        read: takes indices in ascending order and yields those images in that order, uint8 [h, w, 1 or 3]; they have
            the size of `shape`, or any size where DataConfig.image_size asks for resizing.
    """

    class_names: tuple[str, ...]
    labels: np.ndarray
    shape: tuple[int, int, int]
    read: Callable[[np.ndarray], Iterator[np.ndarray]]


def open_source(config: DataConfig, part: Part) -> Source:
    """The named part of `config.dataset`; nothing of another part's pixels is read.

    Raises:
        ConfigError: there is no such data set, or it isn't one of labelled images.
    """
    if config.dataset == "digits":
        return _open_digits(config.image_size, part)
    if config.dataset.startswith("folder:"):
        folder = Path(config.dataset.removeprefix("folder:")).expanduser()
        try:
            return _open_folder(folder, config.image_size, part)
        except OSError as error:
            raise ConfigError(f"{folder} can't be listed ({error}): mend that, or choose another folder.") from error
    from vinnas_tf.tfds_source import open_tfds  # TFDS takes a second to import; other sources don't need it.

    return open_tfds(config.dataset, config.data_dir, config.image_size, part)


def held_out_part(labels: np.ndarray, part: Part) -> np.ndarray:
    """Indices of a part in a data set without a test part of its own: 20 % of each class, always the same, is it."""
    test, train = stratified_split(labels, round(TEST_SHARE * len(labels)), _TEST_SEED)
    return test if part == "test" else train


def fitted_shape(height: int, width: int, channels: int, image_size: int) -> tuple[int, int, int]:
    """Shape of images after resizing to --image_size, 0 for none."""
    return (image_size or height, image_size or width, channels)


def _open_digits(image_size: int, part: Part) -> Source:
    """scikit-learn's 1,797 handwritten digits of 8 x 8, grey levels 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits  # Slow to import, and only needed here.

    digits = load_digits()
    kept = held_out_part(digits.target, part)
    images = np.rint(digits.images[kept] * (255 / 16)).astype(np.uint8)[..., np.newaxis]

    names = tuple(str(name) for name in digits.target_names)
    return Source(names, digits.target[kept].astype(np.int32), fitted_shape(8, 8, 1, image_size), images.__getitem__)


def _open_folder(folder: Path, image_size: int, part: Part) -> Source:
    """Images in one folder per class.

    FOLDER/train/CLASS/* and FOLDER/test/CLASS/* are the two parts. With FOLDER/CLASS/* alone, a fifth of each class,
    drawn with a fixed seed from the sorted file names, is the test part. Classes are numbered in the order of their
    names. Images are grey if all training images are, else RGB.
    """
    require(folder.is_dir(), f"--dataset=folder:{folder} is no folder: give the path of a folder with one per class.")
    in_parts = _folders(folder / "train") != []
    root = folder / "train" if in_parts else folder
    class_names = tuple(entry.name for entry in _folders(root))
    require(len(class_names) > 0, f"{root} holds no class folders: put images into {root / 'CLASS'}/*.png or *.jpg.")
    require(
        len(class_names) > 1,
        f"{root} holds one class only ({class_names[0]}): classification needs a folder each for two classes or more.",
    )
    train = _labelled_files(root, class_names)
    counts = np.bincount(train.labels, minlength=len(class_names))
    least = 2 if in_parts else _LEAST_PER_CLASS
    scarce = int(counts.argmin())
    require(
        int(counts[scarce]) >= least,
        f"Too few images in {root / class_names[scarce]}: {counts[scarce]}; put at least {least} there (*.png, *.jpg "
        "or *.jpeg)" + ("." if in_parts else ", so that a fifth can be kept for the test."),
    )
    if in_parts:
        test_root = folder / "test"
        require(test_root.is_dir(), f"{folder} holds train/ but no test/: add {test_root}/CLASS/*.png or *.jpg.")
        chosen = train if part == "train" else _labelled_files(test_root, class_names)
        require(len(chosen.paths) > 0, f"{test_root} holds no images: put some into {test_root / class_names[0]}/.")
    else:
        chosen, train = (train.take(held_out_part(train.labels, which)) for which in (part, "train"))

    shape = _common_shape(train.paths, image_size)
    if part == "test":
        height, width, _ = _common_shape(chosen.paths, image_size)
        require(
            (height, width) == shape[:2],
            f"Test images of {folder} are {width} x {height} pixels, training images {shape[1]} x {shape[0]}: pass "
            f"--image_size={shape[0]}.",
        )

    def read(indices: np.ndarray) -> Iterator[np.ndarray]:
        return (_decode(chosen.paths[index]) for index in indices)

    return Source(class_names, chosen.labels, shape, read)


class _Files(NamedTuple):
    """Image files and their labels, int32 [n]."""

    paths: list[Path]
    labels: np.ndarray

    def take(self, indices: np.ndarray) -> "_Files":
        return _Files([self.paths[index] for index in indices], self.labels[indices])


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _labelled_files(root: Path, class_names: tuple[str, ...]) -> _Files:
    """The image files of each class, classes and names sorted."""
    paths: list[Path] = []
    labels: list[int] = []
    for folder in _folders(root):
        require(
            folder.name in class_names,
            f"{folder} is a class without training images; the classes are {', '.join(class_names)}.",
        )
        images = sorted(
            file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
        )
        paths += images
        labels += [class_names.index(folder.name)] * len(images)
    return _Files(paths, np.array(labels, np.int32))


def _common_shape(paths: list[Path], image_size: int) -> tuple[int, int, int]:
    """The images' shape after resizing, from their headers; without --image_size they must agree in size."""
    sizes: dict[tuple[int, int], Path] = {}
    grey = True
    for path in paths:
        try:
            with Image.open(path) as image:
                sizes.setdefault(image.size, path)
                grey = grey and _is_grey(image)
        except Exception as error:  # Pillow raises nearly anything on a file that isn't what its name says.
            raise _unreadable(path, error) from error
    if len(sizes) > 1 and not image_size:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise ConfigError(
            f"Images differ in size: {first} is {one[0]} x {one[1]}, {second} is {other[0]} x {other[1]} pixels; "
            "pass --image_size=32 (or another size) to resize them all."
        )
    width, height = next(iter(sizes))
    return fitted_shape(height, width, 1 if grey else 3, image_size)


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


def _decode(file: Path) -> np.ndarray:
    """An image file as uint8 [h, w, 1 or 3]; 16 bits a channel become 8, and transparent parts show white."""
    try:
        with Image.open(file) as image:
            mode = "L" if _is_grey(image) else "RGB"
            if image.mode.startswith("I"):
                pixels = (np.asarray(image) // 257).clip(0, 255).astype(np.uint8)  # 65535 -> 255
            elif image.has_transparency_data:
                background = Image.new("RGBA", image.size, "white")
                pixels = np.asarray(Image.alpha_composite(background, image.convert("RGBA")).convert(mode))
            else:
                pixels = np.asarray(image.convert(mode))
    except Exception as error:  # As above.
        raise _unreadable(file, error) from error
    return pixels.reshape(*pixels.shape[:2], -1)


def _unreadable(file: Path, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ConfigError(f"{file} can't be read as an image ({reason}): mend the file or take it away.")
