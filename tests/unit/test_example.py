"""Pictures: whatever a data set stores becomes the RGB picture that a person sees, or is refused in one way."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from reassess.example import decode

ORIENTATION = 0x0112
# Two rows of three pixels, all of them different.
SMALL = np.array(
    [[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(255, 255, 0), (0, 255, 255), (10, 20, 30)]], dtype=np.uint8
)
# From what is stored to what is seen, by EXIF orientation (CIPA DC-008, tag 274).
TURNED = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


def encoded(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def seen(data: bytes) -> Any:
    """Return the pixels of a decoded picture, height x width x 3."""
    picture = decode(data)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def grey(*values: int) -> list[list[list[int]]]:
    return [[[value] * 3 for value in values]]


def exif(orientation: int) -> bytes:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found.tobytes()


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_a_picture_is_turned_upright_once(form: str, orientation: int) -> None:
    lossless = {"lossless": True} if form == "WEBP" else {}
    data = encoded(Image.fromarray(SMALL), form, exif=exif(orientation), **lossless)
    picture = decode(data)
    assert np.array_equal(picture, TURNED[orientation](SMALL))
    # Whoever turns pictures by their tags later on, as vLLM does, finds none.
    assert ImageOps.exif_transpose(picture).tobytes() == picture.tobytes()
    assert picture.getexif().get(ORIENTATION, 1) == 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_tag_that_is_no_orientation_turns_nothing() -> None:
    for orientation in (0, 9, 255):
        assert np.array_equal(seen(encoded(Image.fromarray(SMALL), exif=exif(orientation))), SMALL)
    lying = Image.new("RGB", (40, 20), "red")
    assert decode(encoded(lying, "JPEG", exif=exif(6))).size == (20, 40)
    # The pixels are fine whatever else an EXIF says: an image width in real numbers, a make that is a number.
    for tag in (0x0100, 0x010F):
        odd = struct.pack("<HHIf", tag, 11, 1, 1.5) + struct.pack("<HHIHH", ORIENTATION, 3, 1, 6, 0)
        tags = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + odd + bytes(4)
        assert decode(encoded(lying, "JPEG", exif=tags)).size == (20, 40)
    for broken in (b"Exif\0\0nonsense", b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + b"half"):
        assert decode(encoded(lying, "JPEG", exif=broken)).size == (40, 20)


def test_16_bits_are_turned_like_8() -> None:
    deep = Image.fromarray(np.array([[0, 257, 65535]], dtype=np.uint16))
    assert seen(encoded(deep, exif=exif(6))).tolist() == [[[0] * 3], [[1] * 3], [[255] * 3]]


def test_what_is_transparent_is_white() -> None:
    clear, half = (200, 0, 0, 0), (0, 0, 0, 128)
    rgba = Image.new("RGBA", (3, 1))
    rgba.putdata([clear, half, (1, 2, 3, 255)])
    expected = [[[255] * 3, [127] * 3, [1, 2, 3]]]
    assert seen(encoded(rgba)).tolist() == expected
    assert seen(encoded(rgba, "WEBP", lossless=True, exact=True)).tolist() == expected
    la = Image.new("LA", (3, 1))
    la.putdata([(0, 0), (0, 128), (7, 255)])
    assert seen(encoded(la)).tolist() == grey(255, 127, 7)

    palette = Image.new("P", (3, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.putdata([0, 1, 2])
    opaque = [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    assert seen(encoded(palette)).tolist() == opaque
    opaque[0][1] = [255] * 3
    assert seen(encoded(palette, transparency=1)).tolist() == opaque
    assert seen(encoded(palette, transparency=bytes([255, 0, 255]))).tolist() == opaque
    assert seen(encoded(palette, "GIF", transparency=1)).tolist() == opaque

    # One colour, and one grey, that stands for transparent.
    assert seen(encoded(Image.fromarray(SMALL), transparency=(0, 255, 0)))[0].tolist() == [
        [255, 0, 0],
        [255] * 3,
        [0, 0, 255],
    ]
    assert seen(encoded(Image.fromarray(np.array([[0, 9]], dtype=np.uint8)), transparency=0)).tolist() == grey(255, 9)


def test_grey_of_any_depth_keeps_its_steps() -> None:
    steps = [0, 128 * 257, 65535]
    expected = grey(0, 128, 255)
    sixteen = np.array([steps], dtype=np.uint16)
    assert seen(encoded(Image.fromarray(sixteen))).tolist() == expected
    assert seen(encoded(Image.fromarray(sixteen), "TIFF")).tolist() == expected
    assert seen(encoded(Image.fromarray(sixteen.astype(">u2")), "TIFF")).tolist() == expected
    assert seen(encoded(Image.fromarray(sixteen.astype(np.int32)), "TIFF")).tolist() == expected
    assert seen(encoded(Image.fromarray(np.array([[-5, 2**31 - 1]], dtype=np.int32)), "TIFF")).tolist() == grey(0, 255)
    for white in (1, 255, 65535):
        real = np.array([steps], dtype=np.float32) / 65535 * white
        assert seen(encoded(Image.fromarray(real), "TIFF")).tolist() == expected
    odd = np.array([[-1, np.nan, 0.5, 1]], dtype=np.float32)
    assert seen(encoded(Image.fromarray(odd), "TIFF")).tolist() == grey(0, 0, 128, 255)
    odd = np.array([[-np.inf, 0, 1, np.inf]], dtype=np.float32)
    assert seen(encoded(Image.fromarray(odd), "TIFF")).tolist() == grey(0, 0, 255, 255)
    assert seen(encoded(Image.fromarray(np.array([[True, False]])))).tolist() == grey(255, 0)
    assert seen(encoded(Image.fromarray(np.array([[0, 77]], dtype=np.uint8)))).tolist() == grey(0, 77)


def test_deep_colours_and_transparent_grey_of_16_bits() -> None:
    # Pillow writes none of these.
    colour = png(2, 16, struct.pack(">3H", 65535, 128 * 257, 0), 1)
    assert seen(colour).tolist() == [[[255, 128, 0]]]
    with_alpha = png(4, 16, struct.pack(">4H", 0, 0, 500 * 100, 65535), 2)
    assert seen(with_alpha).tolist() == grey(255, 195)
    keyed = png(0, 16, struct.pack(">2H", 0, 65535 // 5), 2, tRNS=struct.pack(">H", 0))
    assert seen(keyed).tolist() == grey(255, 51)


def png(colour: int, bits: int, row: bytes, width: int, **chunks: bytes) -> bytes:
    """Return a PNG of one row."""
    header = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *((name.encode(), data) for name, data in chunks.items())]
    parts += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    framed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def test_inks_become_colours() -> None:
    inks = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert seen(encoded(inks, "TIFF"))[0, 0].tolist() == [255] * 3
    for ink, colour in (((0, 0, 0, 0), [255] * 3), ((0, 0, 0, 255), [0] * 3), ((255, 0, 0, 0), [0, 255, 255])):
        found = seen(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95))[8, 8]
        assert np.abs(found.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_several_frames_the_first_is_seen(form: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if form == "WEBP" else {}
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **lossless)
    assert np.abs(seen(data).astype(int) - [255, 0, 0]).max() <= 2


@pytest.mark.filterwarnings("ignore")
def test_a_broken_picture_is_an_os_error_whatever_is_broken() -> None:
    rng = np.random.default_rng(0)
    drawn = Image.fromarray((rng.random((40, 60, 3)) * 255).astype(np.uint8))
    deep = Image.fromarray((rng.random((40, 60)) * 65535).astype(np.uint16))
    whole = [
        encoded(drawn, "PNG", exif=exif(6)),
        encoded(drawn, "JPEG", exif=exif(6)),
        encoded(drawn, "WEBP", exif=exif(6)),
        encoded(drawn, "AVIF", exif=exif(6)),
        encoded(drawn, "GIF"),
        encoded(drawn, "TIFF", compression="tiff_deflate"),
        encoded(deep, "PNG"),
    ]
    cut = [data[: len(data) // 2] for data in whole]
    for data in (b"", b"x", b"<svg xmlns='http://www.w3.org/2000/svg'/>", *cut):
        with pytest.raises(OSError, match=r"."):
            decode(data)
    chance = random.Random(0)
    n_refused = 0
    for data in whole:
        for _ in range(60):
            changed = bytearray(data)
            for _ in range(3):
                changed[chance.randrange(chance.choice([60, 200, len(data)]))] = chance.randrange(256)
            try:
                decode(bytes(changed))
            except OSError:
                n_refused += 1
    assert n_refused > 100


def test_a_bomb_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(OSError, match="decompression bomb"):
        decode(encoded(Image.new("RGB", (30, 30))))
