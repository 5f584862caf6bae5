import io
import struct
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from clas.errors import ImageError
from clas.image.decode import DecodeImage
from clas.image.jpeg import read

PHOTO = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), (5, 5), 0)


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(PHOTO).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def scans_of(file: bytes) -> list[int]:
    """Where its scans begin; none of its segments holds the marker by chance."""
    return [place for place in range(len(file)) if file.startswith(b"\xff\xda", place)]


KINDS = {
    "baseline": jpeg(),
    "4:4:4": jpeg(subsampling=0),
    "progressive": jpeg(progressive=True),
    "gray": jpeg("L"),
    "CMYK": jpeg("CMYK"),
    "restarts": jpeg(restart_marker_blocks=2),
    "restarts of rows": jpeg(restart_marker_rows=1),
    "optimized progressive": jpeg(progressive=True, optimize=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_those_of_the_whole_file(kind: str) -> None:
    expected = cv2.imdecode(np.frombuffer(KINDS[kind], np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(DecodeImage()(KINDS[kind]), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_may_lack_its_end_marker_and_nothing_else(kind: str) -> None:
    """Each shorter one, as well: gray where the pixels were lost would be no pixel of the file."""
    file = KINDS[kind]
    whole = DecodeImage()(file)
    for missing in (1, 2):
        np.testing.assert_array_equal(DecodeImage()(file[:-missing]), whole)
    for missing in range(3, len(file) - 2):
        with pytest.raises(ImageError, match="the image can't be decoded"):
            DecodeImage()(file[:-missing])


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_in_place_of_the_end_are_no_pixels(kind: str) -> None:
    """A file that was cut, and filled up by a file system."""
    file = KINDS[kind]
    np.testing.assert_array_equal(DecodeImage()(file[:-2] + bytes(512)), DecodeImage()(file))
    with pytest.raises(ImageError, match="it ends before its last pixel"):
        DecodeImage()(file[:-100] + bytes(512))


def test_a_reduced_image_may_lack_its_end_marker_too() -> None:
    large = np.repeat(np.repeat(PHOTO, 8, 0), 8, 1)
    file = cv2.imencode(".jpg", large)[1].tobytes()
    decode = DecodeImage(reduce_to=48)
    np.testing.assert_array_equal(decode(file[:-2]), decode(file))
    with pytest.raises(ImageError, match="it ends before its last pixel"):
        decode(file[:-200])


def many_scans(side: int, num_scans: int, *, components: int = 1, refine: bool = False) -> bytes:
    """A progressive JPEG whose scans say in a few bytes that no block has more to come."""
    blocks = (side // 8) ** 2
    frame = struct.pack(">BHHB", 8, side, side, components) + b"".join(
        bytes((number + 1, 0x11, 0)) for number in range(components)
    )
    head = segment(0xDB, b"\0" + b"\1" * 64) + segment(0xC2, frame)
    codes = [segment(0xC4, bytes((kind, 1, *bytes(15), symbol))) for kind, symbol in ((0, 0), (0x10, 0xE0))]
    names = b"".join(bytes((number + 1, 0)) for number in range(components))
    first = segment(0xDA, bytes((components,)) + names + b"\0\0\0") + bytes(components * blocks // 8 + 1)
    runs = "".join("0" + "1" * 14 for _ in range(-(-blocks // 32767)))
    runs += "1" * (-len(runs) % 8)
    body = int(runs, 2).to_bytes(len(runs) // 8, "big").replace(b"\xff", b"\xff\0")
    one = segment(0xDA, b"\1\1\0\1\x3f" + bytes((0x10 if refine else 0,))) + body
    return b"\xff\xd8" + head + codes[0] + first + codes[1] + one * num_scans + b"\xff\xd9"


def test_scans_are_bounded() -> None:
    """In libjpeg each one takes as long as its pixels, however few bytes it has."""
    assert DecodeImage()(many_scans(64, 10)).shape == (64, 64, 3)
    start = time.thread_time()
    for num_scans in (100, 1900):
        with pytest.raises(ImageError, match="it has too many scans"):
            DecodeImage()(many_scans(2000, num_scans))
    assert time.thread_time() - start < 0.5


def test_scans_of_few_coefficients_are_bounded_too() -> None:
    file = many_scans(64, 101).replace(b"\1\1\0\1\x3f\0", b"\1\1\0\1\1\0")
    with pytest.raises(ImageError, match="it has too many scans"):
        DecodeImage()(file)


def test_fewer_bytes_than_pixels_need_reach_no_decoder() -> None:
    file = bytearray(jpeg())
    place = file.index(b"\xff\xc0") + 5
    file[place : place + 4] = struct.pack(">HH", 9000, 9000)
    start = time.thread_time()
    with pytest.raises(ImageError, match="it ends before its last pixel"):
        DecodeImage()(bytes(file))
    assert time.thread_time() - start < 0.1


@pytest.mark.parametrize("place", ["head", "tail"])
def test_segments_are_bounded_and_few_reach_the_decoder(place: str) -> None:
    """libjpeg and Pillow look at each one again for every further one."""
    file = jpeg()
    at = 2 if place == "head" else len(file) - 2
    exif = segment(0xE1, b"Exif\0\0")
    some, many = (file[:at] + exif * number + file[at:] for number in (1900, 100_000))
    np.testing.assert_array_equal(DecodeImage()(some), DecodeImage()(file))
    assert read(some, lambda *_: None).data == read(file, lambda *_: None).data
    start = time.thread_time()
    with pytest.raises(ImageError, match="it has more than 2000 segments"):
        DecodeImage(10**6)(many)
    assert time.thread_time() - start < 0.5


def test_only_what_says_what_the_pixels_are_is_kept() -> None:
    file = jpeg("CMYK")  # its colours are told by Adobe's segment
    extra = b"".join(segment(marker, b"more") for marker in (*range(0xE0, 0xF0), 0xFE))
    [*_, last] = scans_of(file)
    assert read(file[:2] + extra + file[2:last] + extra + file[last:], lambda *_: None) == read(
        file, lambda *_: None
    )


def damages() -> Iterator[tuple[str, bytes, str]]:
    file = jpeg()
    frame, scan = file.index(b"\xff\xc0"), file.index(b"\xff\xda")
    yield "nothing", file[:2], "it has no pixels"
    yield "no scan", file[:scan] + b"\xff\xd9", "it has no pixels"
    yield "no frame", file[:frame] + file[scan:], "its header is damaged"
    yield "two frames", file[:scan] + file[frame:], "its header is damaged"
    yield "cut header", file[: frame + 6], "it ends within a segment"
    yield "cut length", file[: frame + 3], "its header is damaged"
    yield "short frame", file[:frame] + segment(0xC0, b"\x08") + file[scan:], "its header is damaged"
    yield "unknown marker", file[:2] + segment(0x42, b"") + file[2:], "its header is damaged"
    yield "second start", file[:2] + file, "its header is damaged"
    for name, offset, value, message in (
        ("arithmetic coding", 1, 0xC9, r"a JPEG of this kind \(marker 0xc9\) isn't supported"),
        ("lossless", 1, 0xC3, r"a JPEG of this kind \(marker 0xc3\) isn't supported"),
        ("12 bits", 4, 12, "a JPEG of 12 bits isn't supported"),
        ("no rows", 6, 0, "its header is damaged"),
        ("components", 9, 5, "its header is damaged"),
    ):
        changed = bytearray(file)
        changed[frame + offset] = value
        yield name, bytes(changed), message
    two = segment(0xC0, struct.pack(">BHHB", 8, 48, 64, 2) + bytes(6))
    yield "two components", file[:frame] + two + file[scan:], "a JPEG of 2 components isn't supported"
    for name, body in (
        ("empty scan header", b""),
        ("short scan header", b"\3\0\0"),
        ("no components", b"\0\0\0\0"),
        ("wrong band", b"\1\1\0\5\4\0"),
        ("coefficients", b"\1\1\0\0\x40\0"),
    ):
        yield name, file[:scan] + segment(0xDA, body) + file[scan:], "its header is damaged"


@pytest.mark.parametrize(
    ("file", "message"), [pytest.param(file, message, id=name) for name, file, message in damages()]
)
def test_a_damaged_structure_is_refused(file: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        DecodeImage()(file)


def test_what_is_no_marker_between_segments_is_skipped() -> None:
    """As libjpeg does: filler, and bytes that somebody left."""
    file = jpeg()
    np.testing.assert_array_equal(DecodeImage()(file[:2] + b"\xff\xff\xff" + file[2:]), DecodeImage()(file))
    frame = file.index(b"\xff\xc0")
    np.testing.assert_array_equal(
        DecodeImage()(file[:frame] + b"left\xff\0" + file[frame:]), DecodeImage()(file)
    )


def test_the_check_takes_no_time() -> None:
    file = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8))[
        1
    ].tobytes()
    start = time.thread_time()
    for _ in range(20):
        read(file, lambda *_: None)
    assert (time.thread_time() - start) / 20 < 0.002  # it takes 0.1 ms, and decoding 10
