"""Picture files of all kinds, written here and read back as a person sees them."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vinnas_tf.data.picture import Preparation, decode, digest, prepare, suffixes
from vinnas_tf.errors import UserError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 9, 3), np.uint8)
COLOUR = Preparation(6, 9, 3)


def write_png16(path, levels, colour_type):
    """A PNG of 16 bits a channel, byte by byte, since Pillow writes grey ones only."""
    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


# How a camera held in each of the eight ways stores the picture that is shown upright (EXIF 2.3, tag 0x0112).
STORED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x),
    7: lambda x: np.rot90(x.swapaxes(0, 1), 2),
    8: lambda x: np.rot90(x, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_is_turned_upright(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](PIXELS))
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    assert (decode(tmp_path / "a.png").pixels == PIXELS).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_data_does_not_lose_the_picture(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert (decode(tmp_path / "a.png").pixels == PIXELS).all()


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff", "ppm", "tga", "gif"])
def test_formats_without_loss_give_the_same_pixels(suffix, tmp_path):
    pixels = PIXELS // 64 * 64  # Few colours, for a palette.
    settings: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", **settings)
    decoded = decode(tmp_path / f"a.{suffix}")
    assert (decoded.pixels == pixels).all() and not decoded.animated
    assert digest(decoded.pixels) == digest(pixels)
    assert f".{suffix}" in suffixes()


def test_photos_are_read_by_any_of_their_suffixes():
    assert {".jpg", ".jpeg", ".jfif", ".jpe", ".avif", ".jp2"} <= suffixes()
    assert not {".txt", ".pdf", ".eps", ".mpg", ".h5"} & suffixes()


def test_cmyk_is_shown_in_its_colours(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "red.tiff")
    assert (decode(tmp_path / "red.tiff").pixels == [255, 0, 0]).all()


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for suffix in ("gif", "webp", "png"):
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
        decoded = decode(tmp_path / f"a.{suffix}")
        assert decoded.animated and (decoded.pixels == [255, 0, 0]).all()


@pytest.mark.parametrize(("ground", "level"), [("white", 255), ("black", 0)])
def test_transparent_parts_are_laid_on_the_ground(ground, level, tmp_path):
    alpha = np.full((6, 9), 128, np.uint8)
    alpha[0], alpha[1] = 0, 255
    Image.fromarray(np.dstack([PIXELS, alpha])).save(tmp_path / "a.png")
    shown = prepare(decode(tmp_path / "a.png").pixels, Preparation(6, 9, 3, ground=ground))
    weight = alpha[..., None] / 255
    assert (abs(shown - (weight * PIXELS + (1 - weight) * level)) <= 1).all()
    assert (shown[0] == level).all() and (shown[1] == PIXELS[1]).all()
    grey = Image.fromarray(np.dstack([PIXELS[..., 0], alpha]))
    assert grey.mode == "LA"
    grey.save(tmp_path / "grey.png")
    assert (prepare(decode(tmp_path / "grey.png").pixels, Preparation(6, 9, 1, ground=ground))[0] == level).all()


def test_an_opaque_alpha_channel_changes_nothing(tmp_path):
    Image.fromarray(np.dstack([PIXELS, np.full((6, 9), 255, np.uint8)])).save(tmp_path / "a.png")
    assert (decode(tmp_path / "a.png").pixels == PIXELS).all()


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("white", [1023, 4095, 65535])
def test_deep_grey_levels_are_scaled_to_the_white_of_the_set(white, suffix, tmp_path):
    levels = RNG.integers(0, white + 1, (6, 9)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / f"a.{suffix}")
    shown = prepare(decode(tmp_path / f"a.{suffix}").pixels, Preparation(6, 9, 1, white=white))
    assert (abs(shown[..., 0] - levels * (255 / white)) <= 0.5).all()


def test_deep_colours_have_their_upper_bits_read_and_told(tmp_path):
    levels = RNG.integers(0, 65536, (6, 9, 3))
    write_png16(tmp_path / "a.png", levels, 2)
    decoded = decode(tmp_path / "a.png")
    assert decoded.upper_byte and (decoded.pixels == levels >> 8).all()


def test_levels_without_a_white_are_refused(tmp_path):
    Image.fromarray(RNG.random((6, 9)).astype(np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(UserError, match="floating-point numbers; save it with 8 or 16 bits"):
        decode(tmp_path / "a.tiff")


def test_preparation_is_what_pillow_is_told_to_do():
    picture = Image.fromarray(PIXELS)
    for channels, mode in ((3, "RGB"), (1, "L")):
        expected = np.asarray(picture.convert(mode).resize((5, 4), Image.Resampling.BILINEAR))
        assert (prepare(PIXELS, Preparation(4, 5, channels)) == expected.reshape(4, 5, channels)).all()
    grey = prepare(PIXELS, Preparation(6, 9, 1))[..., 0]
    assert (abs(grey - PIXELS @ [0.299, 0.587, 0.114]) <= 1).all()  # ITU-R 601 luma.


@pytest.mark.parametrize("size", [(500, 375), (300, 451), (260, 260)])
def test_the_middle_is_the_shorter_side_at_256_and_224_of_it(size):
    coarse = Image.fromarray(RNG.integers(0, 256, (7, 9, 3), np.uint8))
    picture = coarse.resize(size, Image.Resampling.BICUBIC)
    preparation = Preparation(224, 224, 3, framing="middle")
    assert preparation.margin == (16, 16) and preparation.frame_shape == (256, 256, 3)
    # As it is done for ImageNet: all of the picture is resized, and then cut.
    width, height = (round(side * 256 / min(size)) for side in size)
    left, top = (width - 224) // 2, (height - 224) // 2
    expected = picture.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + 224, top + 224))
    found = prepare(np.asarray(picture), preparation)
    assert found.shape == (224, 224, 3)
    # The longer side is rounded to whole pixels there, and the middle to a whole one.
    difference = abs(found.astype(int) - np.asarray(expected))
    assert difference.mean() < 1.5 and difference.max() <= 10
    assert abs(found.astype(int) - np.asarray(picture.resize((224, 224)))).max() > 30


def test_digests_tell_pictures_apart_and_know_copies():
    assert digest(PIXELS) == digest(PIXELS.copy()) != digest(PIXELS[:, ::-1])
    assert digest(PIXELS) != digest(PIXELS.reshape(9, 6, 3))
    grey = PIXELS[..., :1]
    assert digest(grey) == digest(np.repeat(grey, 3, axis=-1)) == digest(grey.astype(np.uint16))
    clear = np.dstack([PIXELS, np.zeros((6, 9), np.uint8)])
    assert digest(clear) == digest(clear * np.array([0, 0, 0, 1], np.uint8))
