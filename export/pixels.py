"""How a picture becomes the pixels that an exported file takes, as the manifest tells it to those who write an app."""

from typing import Any

from vinnas_tf.data.picture import GROUNDS, WHITE, Preparation


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
