"""How a picture becomes the pixels that an exported file takes, as the manifest tells it to those who write an app."""

import math
from typing import Any

from vinnas_tf.config import FRAMINGS, MIDDLE, STRETCH
from vinnas_tf.data.picture import GROUNDS, WHITE, Preparation

_LARGEST_SIDE = 16_384  # Pixels; no network here takes more.


def preparation(image: dict[str, Any]) -> Preparation:
    """The manifest's entry `image` as a Preparation; KeyError, TypeError or ValueError where it tells of none."""
    height, width, channels = image["shape"]
    white, ground, framing = (
        image.get(name, default) for name, default in (("white", WHITE), ("ground", GROUNDS[0]), ("framing", STRETCH))
    )
    sides = all(type(side) is int and 1 <= side <= _LARGEST_SIDE for side in (height, width)) and channels in (1, 3)
    if not (sides and 0 < float(white) < math.inf and ground in GROUNDS and framing in FRAMINGS):
        raise ValueError("image tells of no pictures")
    return Preparation(height, width, channels, white, ground, framing)


def describe(prepared: Preparation) -> dict[str, Any]:
    """The manifest's entry `image`: what an app has to do with a picture, in words and as calls of Pillow."""
    mode = "RGB" if prepared.channels == 3 else "L"
    ground = (
        f"Image.alpha_composite(Image.new('RGBA', p.size, '{prepared.ground}'), p.convert('RGBA')) where p has "
        "transparency"
    )
    frame, sides = prepared.frame_shape, f"({prepared.width}, {prepared.height})"
    (rows, columns), filtered = prepared.margin, "Image.Resampling.BILINEAR"
    if prepared.framing == MIDDLE:
        edges = (columns, rows, columns + prepared.width, rows + prepared.height)
        brought = [f"p = ImageOps.fit(p, ({frame[1]}, {frame[0]}), {filtered})", f"p = p.crop({edges})"]
        aspect = (
            f"kept: the largest middle part of that aspect is scaled to {frame[1]} x {frame[0]} (width x height), and "
            f"of that the middle {prepared.width} x {prepared.height} are cut out"
        )
    else:
        brought = [f"p = p.resize({sides}, {filtered})"]
        aspect = "not kept: the whole picture is stretched to the input's width and height; nothing is cropped"
    steps = [
        "p = ImageOps.exif_transpose(Image.open(file)), of an animation the first frame",
        f"p = {ground}",
        f"p = p.convert('{mode}')",
        *brought,
        "pixels = numpy.asarray(p), uint8 in 0..255",
    ]
    return {
        "shape": list(prepared.shape),
        "range": [0, 255],
        "channel_order": "R, G, B" if prepared.channels == 3 else "grey (ITU-R 601 luma)",
        "framing": prepared.framing,
        "aspect": aspect,
        "filter": "bilinear, antialiased where it shrinks, on 8-bit pixels, before any normalisation",
        "white": prepared.white,
        "ground": prepared.ground,
        "deep": f"grey pictures with more than 8 bits: round(level * 255 / {prepared.white:g}), at most 255",
        "pillow": steps,
    }
