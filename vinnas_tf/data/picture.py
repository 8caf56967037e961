"""A picture file as a person sees it, and as a network takes it. Needs Pillow and NumPy alone."""

import contextlib
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps

from vinnas_tf.config import MIDDLE, STRETCH
from vinnas_tf.errors import DataError

GROUNDS = ("white", "black")  # What transparent parts may be laid on.
WHITE = 255.0  # The level that is shown as white in pictures of 8 bits a channel.
_PIXELS_AT_ONCE = 2**21  # 512 images of 64 x 64, 41 of 224 x 224.
# Formats that Pillow names but does not decode by itself.
_NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})


class Decoded(NamedTuple):
    """The first frame of a picture, upright.

    Attributes:
        pixels: [height, width, channels]; uint8, or the levels themselves of a grey picture with more than 8 bits. The
            channels are grey or RGB, and an alpha channel after them where something is transparent: 1, 2, 3 or 4.
        animated: whether there are more frames.
        upper_byte: whether it has 16 bits in each of several channels, of which Pillow reads the upper 8.
    """

    pixels: np.ndarray
    animated: bool = False
    upper_byte: bool = False


@dataclass(frozen=True)
class Preparation:
    """How pictures become the pixels that a network takes.

    Attributes:
        height: pixels that the network takes.
        width: the same.
        channels: 1 for grey, 3 for RGB.
        white: the level that becomes 255 in grey pictures with more than 8 bits; it is the set's.
        ground: what transparent parts are laid on, of GROUNDS.
        framing: STRETCH, where the whole picture is stretched to height and width and its aspect is not kept; or
            MIDDLE, where its middle is scaled to the frame, and height and width are cut out of the frame's middle.
    """

    height: int
    width: int
    channels: int
    white: float = WHITE
    ground: str = GROUNDS[0]
    framing: str = STRETCH

    @property
    def shape(self) -> tuple[int, int, int]:
        """[height, width, channels]."""
        return self.height, self.width, self.channels

    @property
    def margin(self) -> tuple[int, int]:
        """Rows and columns on each side of the image that the frame has beside it: a sixteenth of the frame each.

        So the frame's sides are 8/7 of the image's, 256 for 224, up to rounding; of a stretched picture there are none.
        """
        return (round(self.height / 14), round(self.width / 14)) if self.framing == MIDDLE else (0, 0)

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """[height, width, channels] of the frame."""
        rows, columns = self.margin
        return self.height + 2 * rows, self.width + 2 * columns, self.channels


def at_once(most: int, shape: tuple[int, ...]) -> int:
    """How many images [h, w, c] a network evaluates at once: `most`, or of large images as many as memory bears."""
    return max(1, min(most, _PIXELS_AT_ONCE // (shape[0] * shape[1])))


@functools.cache
def suffixes() -> frozenset[str]:
    """Suffixes, in lower case, of the files that Pillow decodes."""
    Image.init()
    return frozenset(
        suffix
        for suffix, name in Image.registered_extensions().items()
        if name in Image.OPEN and name not in _NOT_DECODED
    )


def decode(file: Path) -> Decoded:
    """Decodes a picture file of any format and mode that Pillow reads.

    Raises:
        DataError: it can't be decoded, or holds floating-point levels, which have no white.
    """
    try:
        with Image.open(file) as image:
            return _decode(image)
    except Exception as error:  # Pillow raises nearly anything on a file that isn't what its name says.
        reason = " ".join(str(error).replace(str(file), "it").split()) or type(error).__name__
        raise DataError(f"{file} can't be read as an image ({reason}): mend the file or take it away.") from error


def prepare(pixels: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Pixels as `decode` gives them to those that a network takes, uint8 [height, width, channels]."""
    return inside(frame(pixels, preparation), preparation.margin)


def inside(frames: Any, margin: tuple[int, int]) -> Any:
    """An array or a tensor [..., h, w, c] without so many rows and columns on each side."""
    rows, columns = margin
    height, width = frames.shape[-3:-1]
    return frames[..., rows : height - rows, columns : width - columns, :]


def frame(pixels: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Pixels as `decode` gives them to uint8 [*frame_shape]: scaled, on the ground, grey or RGB, stretched or framed.

    Sizes change by Pillow's bilinear filter, which averages over all that a pixel covers where it shrinks.
    """
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels * (255 / preparation.white)).clip(0, 255).astype(np.uint8)
    pixels = lay_on(preparation.ground, pixels)
    if pixels.shape == preparation.frame_shape:
        return pixels
    picture = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    picture = picture.convert("L" if preparation.channels == 1 else "RGB")
    height, width, _ = preparation.frame_shape
    if preparation.framing == MIDDLE:
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.BILINEAR)
    else:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).reshape(preparation.frame_shape)


def lay_on(ground: str, pixels: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 1, 2, 3 or 4] without its alpha channel, what is transparent being laid on a colour of GROUNDS."""
    channels = pixels.shape[-1]
    if channels in (1, 3):
        return pixels
    picture = Image.fromarray(pixels, "LA" if channels == 2 else "RGBA").convert("RGBA")
    laid = Image.alpha_composite(Image.new("RGBA", picture.size, ground), picture)
    return np.asarray(laid.convert("L" if channels == 2 else "RGB")).reshape(*pixels.shape[:2], channels - 1)


def digest(pixels: np.ndarray) -> int:
    """64 bits that tell pictures apart by their pixels alone, whatever file they come from.

    Args:
        pixels: [height, width, channels] as `decode` gives them. RGB with equal channels is the same picture as grey,
            and what is fully transparent has no colour.
    """
    if pixels.shape[-1] in (2, 4):
        pixels = pixels * (pixels[..., -1:] > 0)
    if pixels.shape[-1] == 3 and (pixels[..., :1] == pixels[..., 1:]).all():
        pixels = pixels[..., :1]
    if pixels.dtype != np.uint8 and pixels.max(initial=0) <= WHITE:
        pixels = pixels.astype(np.uint8)
    content = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=8)
    content.update(np.ascontiguousarray(pixels).data)
    return int.from_bytes(content.digest(), "big")


def _decode(image: Image.Image) -> Decoded:
    animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"  # A phone's second view.
    upper_byte = isinstance(image, ImageFile.ImageFile) and any(";16" in str(tile.args) for tile in image.tile)
    with contextlib.suppress(Exception):  # Viewers show a picture whose EXIF data is damaged as it is stored.
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its levels are floating-point numbers; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return Decoded(_whole_levels(image), animated)
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        with_alpha = np.asarray(image.convert("RGBA").convert("LA" if mode == "L" else "RGBA"))
        if (with_alpha[..., -1] < 255).any():
            return Decoded(with_alpha, animated, upper_byte)
    pixels = np.asarray(image.convert(mode))
    return Decoded(pixels.reshape(*pixels.shape[:2], -1), animated, upper_byte)


def _whole_levels(image: Image.Image) -> np.ndarray:
    levels = np.asarray(image)
    if levels.min(initial=0) < 0:
        raise ValueError("its levels are negative in places; save it with 8 or 16 bits")
    if levels.dtype.byteorder == ">":
        levels = levels.astype(levels.dtype.newbyteorder("="))
    return levels[..., np.newaxis]
