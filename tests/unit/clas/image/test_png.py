import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.errors import ImageError
from clas.image.decode import DecodeImage
from clas.image.png import SIGNATURE, still_image

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
    end = len(SIGNATURE) + 12 + 13
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


def test_an_animation_is_its_still_image() -> None:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 7, 5, 0, 0, 1, 1, 0, 0))
    animated = with_chunks(png_of(PIXELS), chunk(b"acTL", struct.pack(">II", 2, 0)), control)
    assert (DecodeImage()(animated) == PIXELS).all()
    assert still_image(animated) == png_of(PIXELS)


def test_much_packed_text_is_no_damage() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21)))
    assert (DecodeImage(max_pixels=100)(with_chunks(png_of(PIXELS), text)) == PIXELS).all()


def test_palette_transparency_and_orientation_stay() -> None:
    kept = [chunk(kind, b"1") for kind in (b"PLTE", b"tRNS", b"eXIf")]
    dropped = [chunk(kind, b"1") for kind in (b"iCCP", b"gAMA", b"tEXt", b"fdAT", b"abCd")]
    file = png_of(PIXELS)
    assert still_image(with_chunks(file, *kept, *dropped)) == with_chunks(file, *kept)


def test_what_follows_the_end_is_dropped() -> None:
    assert still_image(png_of(PIXELS) + b"more") == png_of(PIXELS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SIGNATURE, "it has no pixels"),
        (png_of(PIXELS)[:20], "it ends within a chunk"),
        (png_of(PIXELS)[:60], "it ends within a chunk"),
        (SIGNATURE + chunk(b"IDAT", b""), "its header is damaged"),
        (SIGNATURE + chunk(b"IHDR", bytes(12)), "its header is damaged"),
        (with_chunks(png_of(PIXELS), chunk(b"IHDR", bytes(13))), "its header is damaged"),
        (SIGNATURE + b"\xff\xff\xff\xffIHDR" + bytes(25), "it ends within a chunk"),
    ],
    ids=["nothing", "cut header", "cut pixels", "no header", "short header", "two headers", "long chunk"],
)
def test_a_damaged_structure_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        DecodeImage()(data)


def test_many_chunks_take_no_time() -> None:
    """A fifth of a million, in 2.4 MB; the work is in proportion to them."""
    file = with_chunks(png_of(PIXELS), chunk(b"abCd", b"") * 200_000)
    assert still_image(file) == png_of(PIXELS)
