import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.errors import ImageError
from clas.image.decode import DecodeImage
from clas.image.png import START, read
from clas.image.still import Still

ANIMATED = {
    "apng_bad_filter": (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAACGFjVEwAAAACAAAAAPONk3AAAAAaZmNUTAAAAAAAAAABAAAA"
        "AQAAAAAAAAAAAAEACgAAWn8w0AAAAAVJREFUeJzjZGCVPw3ZAAAAB0lEQVRgAAAAKAAKFGtphwAAAABJRU5ErkJggg=="
    ),
    "apng_offset_frame": (
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAACGFjVEwAAAACAAAAAPONk3AAAAAaZmNUTAAAAAAAAAABAAAA"
        "AQAAAAAAAAAAAAEACgAAWn8w0AAAAAxJREFUeJxjYGBgAAAABAAB9hc4PwAAABpmY1RMAAAAAQAAAAEAAAABAAAAAAAAAAAA"
        "AQAKAADBDNoEAAAAAElFTkSuQmCC"
    ),
    "apng_small_first_frame": (
        "iVBORw0KGgoAAAANSUhEUgAAAoAAAAHgCAIAAAC6s0uzAAAACGFjVEwAAAACAAAAAPONk3AAAAAaZmNUTAAAAAAAAAFAAAAA"
        "8AAAAAAAAAAAAAEACgAAVNKWGQAAAs9JREFUeJzt0zENADAMwLB+5c+4HPZMkWwEeTILZM3vAOCdgSHMwBBmYAgzMIQZGMIM"
        "DGEGhjADQ5iBIczAEGZgCDMwhBkYwgwMYQaGMANDmIEhzMAQZmAIMzCEGRjCDAxhBoYwA0OYgSHMwBBmYAgzMIQZGMIMDGEG"
        "hjADQ5iBIczAEGZgCDMwhBkYwgwMYQaGMANDmIEhzMAQZmAIMzCEGRjCDAxhBoYwA0OYgSHMwBBmYAgzMIQZGMIMDGEGhjAD"
        "Q5iBIczAEGZgCDMwhBkYwgwMYQaGMANDmIEhzMAQZmAIMzCEGRjCDAxhBoYwA0OYgSHMwBBmYAgzMIQZGMIMDGEGhjADQ5iB"
        "IczAEGZgCDMwhBkYwgwMYQaGMANDmIEhzMAQZmAIMzCEGRjCDAxhBoYwA0OYgSHMwBBmYAgzMIQZGMIMDGEGhjADQ5iBIczA"
        "EGZgCDMwhBkYwgwMYQaGMANDmIEhzMAQZmAIMzCEGRjCDAxhBoYwA0OYgSHMwBBmYAgzMIQZGMIMDGEGhjADQ5iBIczAEGZg"
        "CDMwhBkYwgwMYQaGMANDmIEhzMAQZmAIMzCEGRjCDAxhBoYwA0OYgSHMwBBmYAgzMIQZGMIMDGEGhjADQ5iBIczAEGZgCDMw"
        "hBkYwgwMYQaGMANDmIEhzMAQZmAIMzCEGRjCDAxhBoYwA0OYgSHMwBBmYAgzMIQZGMIMDGEGhjADQ5iBIczAEGZgCDMwhBkY"
        "wgwMYQaGMANDmIEhzMAQZmAIMzCEGRjCDAxhBoYwA0OYgSHMwBBmYAgzMIQZGMIMDGEGhjADQ5iBIczAEGZgCDMwhBkYwgwM"
        "YQaGMANDmIEhzMAQZmAIMzCEGRjCDAxhBoYwA0OYgSHMwBBmYAgzMIQZGMIMDGEGhjADQ5iBIczAEGZgCDMwhBkYwgwMYQaG"
        "MANDmIEhzMAQZmAIMzCEGRjCDAxhB1mCnWl1N1KBAAAAGmZjVEwAAAABAAAAAQAAAAEAAAAAAAAAAAABAAoAAMEM2gQAAAAQ"
        "ZmRBVAAAAAJ4nGNgZ2cHAAAuABbyT1aTAAAAAElFTkSuQmCC"
    ),
}
"""Damaged animated PNGs in base64, of which OpenCV 4.11 dies or shows memory that was never written."""

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(image: "np.typing.NDArray[np.uint8]") -> bytes:
    """The file of an RGB image."""
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def with_chunks(file: bytes, *chunks: bytes) -> bytes:
    """Put chunks behind the header, which has 13 bytes."""
    end = len(START) + 12 + 13
    return file[:end] + b"".join(chunks) + file[end:]


@pytest.mark.parametrize("name", ANIMATED)
def test_a_damaged_animation_ends_no_process_and_shows_no_foreign_memory(name: str, repository: Path) -> None:
    """In a process of its own, which would die."""
    code = """
import base64, sys
from clas.errors import ImageError
from clas.image.decode import DecodeImage
data = base64.b64decode(sys.argv[1])
answers = set()
for number in range(20):
    held = [bytes([number + 1]) * (2**16 * size) for size in range(1, 9)]  # what is freed, and found again
    del held
    try:
        answers.add(DecodeImage()(data).tobytes())
    except ImageError as exc:
        answers.add(str(exc))
print(len(answers))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, ANIMATED[name]],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


def still(file: bytes) -> Still:
    return read(file, lambda *_: None)


def chunks_of(file: bytes | bytearray) -> list[bytes]:
    kinds = []
    start = len(START)
    while start < len(file):
        length, kind = struct.unpack_from(">I4s", file, start)
        kinds.append(kind)
        start += 12 + length
    return kinds


def test_an_animation_is_its_still_image() -> None:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 7, 5, 0, 0, 1, 1, 0, 0))
    animated = with_chunks(png_of(PIXELS), chunk(b"acTL", struct.pack(">II", 2, 0)), control)
    assert (DecodeImage()(animated) == PIXELS).all()
    assert still(animated) == still(png_of(PIXELS))


def test_much_packed_text_is_no_damage() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21)))
    assert (DecodeImage(max_pixels=100)(with_chunks(png_of(PIXELS), text)) == PIXELS).all()


def test_only_what_says_what_the_pixels_are_is_kept() -> None:
    dropped = [chunk(kind, b"1") for kind in (b"iCCP", b"gAMA", b"tEXt", b"eXIf", b"fdAT", b"abCd")]
    kept = [chunk(kind, b"1") for kind in (b"PLTE", b"tRNS")]
    file = with_chunks(png_of(PIXELS), *dropped, *kept) + b"more"
    assert [kind for kind in chunks_of(still(file).data) if kind != b"IDAT"] == [
        *(b"IHDR", b"PLTE", b"tRNS", b"IEND"),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (START, "its header is damaged"),
        (png_of(PIXELS)[:20], "it ends within a chunk"),
        (png_of(PIXELS)[:60], "it ends within a chunk"),
        (START + chunk(b"IDAT", b""), "its header is damaged"),
        (START + chunk(b"IHDR", bytes(12)), "its header is damaged"),
        (with_chunks(png_of(PIXELS), chunk(b"IHDR", bytes(13))), "its header is damaged"),
        (START + b"\xff\xff\xff\xffIHDR" + bytes(25), "it ends within a chunk"),
        (png_of(PIXELS)[:33] + chunk(b"IEND", b""), "it has no pixels"),
        (with_chunks(png_of(PIXELS), chunk(b"abCd", b"") * 100_001), "it has more than 100000 chunks"),
    ],
    ids=[
        *("nothing", "cut header", "cut pixels", "no header", "short header", "two headers"),
        *("long chunk", "no pixels", "many chunks"),
    ],
)
def test_a_damaged_structure_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        DecodeImage()(data)


@pytest.mark.parametrize(
    "fields",
    [
        *((0, 5, 8, 2, 0, 0, 0), (7, 0, 8, 2, 0, 0, 0), (7, 5, 3, 0, 0, 0, 0), (7, 5, 4, 2, 0, 0, 0)),
        *((7, 5, 8, 1, 0, 0, 0), (7, 5, 8, 2, 1, 0, 0), (7, 5, 8, 2, 0, 1, 0), (7, 5, 8, 2, 0, 0, 2)),
    ],
)
def test_a_header_that_no_image_has_is_refused(fields: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="its header is damaged"):
        DecodeImage()(START + chunk(b"IHDR", struct.pack(">IIBBBBB", *fields)))


def test_many_chunks_take_no_time() -> None:
    """A tenth of a million, in 1.2 MB; the work is in proportion to them."""
    file = with_chunks(png_of(PIXELS), chunk(b"abCd", b"") * 99_000)
    start = time.thread_time()
    assert (DecodeImage()(file) == PIXELS).all()
    assert time.thread_time() - start < 1


def png_of_zeros(packed: bytes, *, interlaced: bool) -> bytes:
    """A gray image of 100 x 100 pixels."""
    header = struct.pack(">IIBBBBB", 100, 100, 8, 0, 0, 0, interlaced)
    return START + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


PASSES = ((13, 13), (13, 12), (12, 25), (25, 25), (25, 50), (50, 50), (50, 100))
"""Rows and columns of an interlaced image of 100 x 100 pixels."""
NUM_BYTES = {False: 100 * 101, True: sum(rows * (1 + columns) for rows, columns in PASSES)}


@pytest.fixture(scope="module")
def half_a_gigabyte() -> bytes:
    """Packed to half a megabyte."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(500)) + packer.flush()


@pytest.mark.parametrize("interlaced", [False, True])
def test_no_more_is_unpacked_than_the_pixels(interlaced: bool, half_a_gigabyte: bytes) -> None:
    """libpng unpacks all that there is, in a second here."""
    start = time.thread_time()
    assert not DecodeImage()(png_of_zeros(half_a_gigabyte, interlaced=interlaced)).any()
    assert time.thread_time() - start < 0.5


@pytest.mark.parametrize("interlaced", [False, True])
def test_an_image_without_its_last_byte_is_refused(interlaced: bool) -> None:
    whole, cut = (zlib.compress(bytes(NUM_BYTES[interlaced] - missing)) for missing in (0, 1))
    assert DecodeImage()(png_of_zeros(whole, interlaced=interlaced)).shape == (100, 100, 3)
    with pytest.raises(ImageError, match="it ends before its last pixel"):
        DecodeImage()(png_of_zeros(cut, interlaced=interlaced))


def test_an_image_of_16_bits_has_neither_more_nor_less_than_its_pixels() -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (5, 7, 3), np.uint16)
    file = cv2.imencode(".png", deep)[1].tobytes()
    expected = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(DecodeImage()(file), expected)
    header = START + chunk(b"IHDR", struct.pack(">IIBBBBB", 7, 5, 16, 0, 0, 0, 0))
    for surplus, message in ((-1, "it ends before its last pixel"), (1, "it goes on behind its last pixel")):
        packed = zlib.compress(bytes(5 * (1 + 2 * 7) + surplus))
        with pytest.raises(ImageError, match=message):
            DecodeImage()(header + chunk(b"IDAT", packed) + chunk(b"IEND", b""))


@pytest.mark.parametrize("place", [0, 5, 60], ids=["checksum", "zlib", "pixels"])
def test_damaged_pixels_are_refused(place: int) -> None:
    file = bytearray(png_of(PIXELS))
    body = file.index(b"IDAT") + 4
    if place == 0:
        file[body + 10] ^= 1
    else:
        length = struct.unpack_from(">I", file, body - 8)[0]
        packed = bytearray(file[body : body + length])
        packed[place % length] ^= 255
        file[body - 8 : body + length + 4] = chunk(b"IDAT", bytes(packed))
    with pytest.raises(ImageError, match=r"its pixels are damaged|it ends before its last pixel"):
        DecodeImage()(bytes(file))


def test_pixels_may_be_in_any_number_of_pieces() -> None:
    file = png_of(PIXELS)
    body = file.index(b"IDAT") + 4
    length = struct.unpack_from(">I", file, body - 8)[0]
    pieces = b"".join(chunk(b"IDAT", file[place : place + 1]) for place in range(body, body + length))
    assert (DecodeImage()(file[: body - 8] + pieces + file[body + length + 4 :]) == PIXELS).all()
