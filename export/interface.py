"""What an exported file takes and answers, read from what lies beside it. Needs NumPy and Pillow alone.

An export's manifest stands two folders above a file; a SavedModel has it among its assets too. A TFLite file that left
its export behind may still have its labels beside it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vinnas_tf.config import ConfigError
from vinnas_tf.export import manifest
from vinnas_tf.picture import GROUNDS, WHITE, Preparation

LABELS = "labels.txt"
CLASS_NAMES = "class_names.txt"
_ASSETS = "assets"


@dataclass(frozen=True)
class Interface:
    """What is known of a file.

    Attributes:
        class_names: name of each class, in the order of the probabilities; empty where nothing tells them.
        preparation: how pictures become its input; None where no manifest tells it.
        manifest: of its export; None where there is none.
    """

    class_names: tuple[str, ...]
    preparation: Preparation | None
    manifest: dict[str, Any] | None


def read_interface(path: Path) -> Interface:
    """What lies beside an exported file says of it.

    Args:
        path: of the file, or of a SavedModel's version folder; absolute.

    Raises:
        ConfigError: what lies there can't be read.
    """
    for place in (path.parent.parent / manifest.NAME, path / _ASSETS / manifest.NAME):
        if place.is_file():
            described = manifest.read(place)
            return Interface(tuple(described["class_names"]), preparation(described["image"]), described)
    for labels in (path / _ASSETS / CLASS_NAMES, path.parent / LABELS):
        if labels.is_file():
            try:
                return Interface(tuple(labels.read_text(encoding="utf-8").splitlines()), None, None)
            except (OSError, ValueError) as error:
                raise ConfigError(f"{labels} can't be read as names of classes ({error}).") from error
    return Interface((), None, None)


def preparation(image: dict[str, Any]) -> Preparation:
    """The manifest's entry `image` as a Preparation."""
    height, width, channels = image["shape"]
    return Preparation(height, width, channels, image.get("white", WHITE), image.get("ground", GROUNDS[0]))


def describe(prepared: Preparation) -> dict[str, Any]:
    """The manifest's entry `image`: what an app has to do with a picture, in words and as calls of Pillow."""
    mode = "RGB" if prepared.channels == 3 else "L"
    ground = (
        f"Image.alpha_composite(Image.new('RGBA', p.size, '{prepared.ground}'), p.convert('RGBA')) where p has "
        "transparency"
    )
    steps = [
        "p = ImageOps.exif_transpose(Image.open(file)), of an animation the first frame",
        f"p = {ground}",
        f"p = p.convert('{mode}')",
        f"p = p.resize(({prepared.width}, {prepared.height}), Image.Resampling.BILINEAR)",
        "pixels = numpy.asarray(p), uint8 in 0..255",
    ]
    return {
        "shape": list(prepared.shape),
        "range": [0, 255],
        "channel_order": "R, G, B" if prepared.channels == 3 else "grey (ITU-R 601 luma)",
        "aspect": "not kept: the whole picture is stretched to the input's width and height; nothing is cropped",
        "filter": "bilinear, antialiased where it shrinks, on 8-bit pixels, before any normalisation",
        "white": prepared.white,
        "ground": prepared.ground,
        "deep": f"grey pictures with more than 8 bits: round(level * 255 / {prepared.white:g}), at most 255",
        "pillow": steps,
    }
