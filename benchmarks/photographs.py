"""Writes a folder of distinct JPEGs, as large as one likes, to try streaming with.

    python -m benchmarks.photographs --folder=/tmp/photographs --images=100000 --classes=100 --size=224

The pictures are random colours that run into each other; each class has a colour that it leans towards.
"""

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.command import make_parser, require_positive
from vinnas_tf.data.picture_index import in_parallel

_COARSE = 8  # Random pixels a side, of which the rest is interpolated.


def write_photographs(folder: Path, images: int, classes: int, size: int) -> None:
    """Writes so many JPEGs into folder/train/CLASS/, the same ones each time.

    They are `size` pixels high and a third wider. A tenth as many, two a class at least, go to folder/test/CLASS/.
    """
    tests = max(2 * classes, images // 10)
    places = []
    for part, count in (("train", images), ("test", tests)):
        for label in range(classes):
            (folder / part / f"{label:04}").mkdir(parents=True, exist_ok=True)
        places += [(part, index) for index in range(count)]

    def write(place: tuple[str, int]) -> None:
        part, index = place
        label = index % classes
        generator = np.random.default_rng([index, part == "test"])
        lean = np.array(colorsys.hsv_to_rgb(label / classes, 0.8, 0.8)) * 255
        coarse = generator.uniform(0, 255, (_COARSE, _COARSE, 3)) * 0.6 + lean * 0.4
        picture = Image.fromarray(coarse.astype(np.uint8)).resize((size + size // 3, size), Image.Resampling.BICUBIC)
        picture.save(folder / part / f"{label:04}" / f"{index:07}.jpg", quality=85)

    for _ in in_parallel(write, places):
        pass


def main(argv: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("benchmarks.photographs", __doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where to")
    parser.add_argument("--images", type=int, default=10_000, help="training images; a tenth more for the test")
    parser.add_argument("--classes", type=int, default=100, help="classes (%(default)s)")
    parser.add_argument("--size", type=int, default=224, help="pixels of the shorter side (%(default)s)")
    arguments = parser.parse_args(argv)
    require_positive(parser, arguments, "images", "classes", "size")
    if arguments.images < 2 * arguments.classes:
        parser.error(f"--images={arguments.images} is less than two for each of {arguments.classes} classes.")
    write_photographs(arguments.folder, arguments.images, arguments.classes, arguments.size)
    print(f"Written to {arguments.folder}: {sum(1 for _ in arguments.folder.rglob('*.jpg')):,} JPEGs.")


if __name__ == "__main__":
    main()
