"""Writes a folder of pictures as people have them: several formats, sizes and orientations, one class rarer.

    python -m benchmarks.own_images --folder=pictures

They are photographs of CIFAR-10's training part, enlarged to sizes between 40 and 320 pixels, so that the whole way
from a folder to a proven file can be walked, and timed, on pictures that anyone can make.
"""

import vinnas_tf.run.startup  # noqa: F401

# isort: split
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.command import make_parser, require_positive
from vinnas_tf.config import DataConfig
from vinnas_tf.data.images import Dataset, load_train
from vinnas_tf.errors import UserError

_SUFFIXES = ("jpg", "JPG", "jpeg", "png", "webp", "bmp", "tiff", "gif")
_ORIENTATIONS = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
_EXIF_ORIENTATION = 0x0112
_SEED = 0


def write_picture(pixels: np.ndarray, stem: Path, generator: np.random.Generator) -> None:
    """Writes a picture [h, w, 3] enlarged, in a format and an orientation of its own."""
    width, height = generator.integers(40, 321, 2).tolist()
    picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    suffix = str(generator.choice(_SUFFIXES))
    if suffix.lower() in ("jpg", "jpeg", "png", "webp"):
        orientation = int(generator.choice(list(_ORIENTATIONS)))
        turned = _ORIENTATIONS[orientation]
        picture = picture if turned is None else picture.transpose(turned)
        picture.getexif()[_EXIF_ORIENTATION] = orientation
    picture.save(stem.with_suffix(f".{suffix}"), exif=picture.getexif())


def write_folder(folder: Path, dataset: Dataset, classes: Sequence[str], count: int) -> int:
    """Writes `count` pictures of each class, of the last a quarter, half of them into a folder inside the class's.

    Returns:
        How many pictures there are.
    """
    generator = np.random.default_rng(_SEED)
    written = 0
    for name in classes:
        of_class = np.flatnonzero(dataset.train.labels == dataset.class_names.index(name))
        for number, index in enumerate(generator.permutation(of_class)[: count // (4 if name == classes[-1] else 1)]):
            place = folder.joinpath(name, *(["phone"] if number % 2 else []))
            place.mkdir(parents=True, exist_ok=True)
            write_picture(dataset.train.images[index], place / f"IMG_{number:04}", generator)
            written += 1
    return written


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.own_images", __doc__)
    parser.add_argument("--folder", type=Path, default=Path("pictures"), help="folder to write (%(default)s)")
    parser.add_argument("--classes", default="automobile,frog,ship,cat", help="of CIFAR-10 (%(default)s)")
    parser.add_argument("--count", type=int, default=200, help="pictures of each class but the last (%(default)s)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "count")
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} exists: name another --folder.")
    try:
        dataset = load_train(DataConfig(dataset="cifar10"), seed=0)
    except UserError as error:
        parser.error(str(error))
    classes = arguments.classes.split(",")
    if unknown := sorted(set(classes) - set(dataset.class_names)):
        parser.error(f"--classes knows {', '.join(dataset.class_names)}; got {', '.join(unknown)}.")
    written = write_folder(arguments.folder, dataset, classes, arguments.count)
    print(f"Wrote {written} pictures into {arguments.folder}.")


if __name__ == "__main__":
    main()
