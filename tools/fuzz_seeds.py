"""Small image files of every kind that is decoded, for fuzz_images.py."""

import io
import struct
import zlib
from collections.abc import Iterator
from itertools import product

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

_HEIGHT, _WIDTH = 48, 64
_EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
_INDEXED = 3  # PNG's type of color


def seeds() -> dict[str, bytes]:
    """Return the files by their kinds."""
    return {name: data for make in (_jpegs, _pngs, _webps, _bmps, _tiffs) for name, data in make()}


def _pixels() -> npt.NDArray[np.uint8]:
    """A gradient with noise, so that coders have something to do."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    noise = np.random.default_rng(0).integers(0, 16, (_HEIGHT, _WIDTH, 3))
    pixels: npt.NDArray[np.uint8] = (np.stack([x * 3, y * 4, (x + y) * 2], -1) + noise).astype(np.uint8)
    return pixels


def _deep(channels: int) -> npt.NDArray[np.uint16]:
    """The same in 16 bits, gray in all channels."""
    return (np.repeat(_pixels()[..., :1], channels, -1).astype(np.uint32) * 257).astype(np.uint16)


def _photo() -> Image.Image:
    return Image.fromarray(_pixels())


def _frames() -> list[Image.Image]:
    return [_photo().rotate(angle) for angle in (90, 180)]


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _encoded(ending: str, image: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], *options: int) -> bytes:
    return cv2.imencode(ending, image, options)[1].tobytes()


def _jpegs() -> Iterator[tuple[str, bytes]]:
    for mode, is_progressive in product(("RGB", "L", "CMYK"), (False, True)):
        name = f"jpeg {mode} {'progressive' if is_progressive else 'baseline'}"
        yield name, _file(_photo().convert(mode), "JPEG", progressive=is_progressive, exif=_EXIF)
    yield "jpeg 4:4:4", _file(_photo(), "JPEG", subsampling=0)
    yield "jpeg restarts", _file(_photo(), "JPEG", restart_marker_blocks=2)
    yield (
        "jpeg optimized progressive",
        _encoded(".jpg", _pixels(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    )
    yield "jpeg without its end", _file(_photo(), "JPEG")[:-2]


def _pngs() -> Iterator[tuple[str, bytes]]:
    """Those without packing let changes reach libpng, since nothing checks them on their way."""
    for mode, level in product(("1", "L", "LA", "P", "RGB", "RGBA"), (0, 6)):
        yield f"png {mode} {level}", _file(_photo().convert(mode), "PNG", compress_level=level, exif=_EXIF)
    for bits in (1, 2, 4):
        yield f"png palette {bits}", _file(_photo().quantize(2**bits), "PNG", bits=bits, transparency=0)
    for channels in (1, 3, 4):
        deep = _deep(channels)
        yield f"png 16 bits {channels}", _encoded(".png", deep, cv2.IMWRITE_PNG_COMPRESSION, 0)
    for color, samples in ((0, 1), (2, 3), (3, 1), (6, 4)):
        yield f"png interlaced {color}", _interlaced(color, samples)
    yield "png animated", _file(_photo(), "PNG", save_all=True, append_images=_frames(), default_image=True)
    first = _file(_photo(), "PNG", save_all=True, append_images=_frames(), compress_level=0)
    yield "png animated from its first image on", first


def _interlaced(color: int, samples: int) -> bytes:
    """An interlaced PNG of 8 bits, which no library here writes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b""
    for left, top, step_x, step_y in (
        *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
        *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
    ):
        for number, row in enumerate(_pixels()[top::step_y, left::step_x, :1]):
            rows += bytes([number % 5]) + row.repeat(samples, -1).tobytes()
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, color, 0, 0, 1)
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if color == _INDEXED else b""
    body = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _webps() -> Iterator[tuple[str, bytes]]:
    clear = _photo().convert("RGBA")
    clear.putalpha(_photo().convert("L"))
    for name, image in (("opaque", _photo()), ("alpha", clear)):
        for is_lossless in (False, True):
            kind = f"webp {name} {'lossless' if is_lossless else 'lossy'}"
            yield kind, _file(image, "WEBP", lossless=is_lossless, exif=_EXIF)
            frames = [image.rotate(90)]
            yield (
                f"{kind} animated",
                _file(image, "WEBP", lossless=is_lossless, save_all=True, append_images=frames),
            )


def _bmps() -> Iterator[tuple[str, bytes]]:
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"bmp {mode}", _file(_photo().convert(mode), "BMP")
    yield "bmp by OpenCV", _encoded(".bmp", _pixels())
    for bits, packing in ((8, 1), (4, 2)):
        yield f"bmp runs of {bits} bits", _packed_bmp(bits, packing)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    yield "bmp 16 bits", _bmp(16, 3, masks, _pixels()[..., :2].tobytes())
    yield (
        "bmp of OS/2",
        b"BM" + struct.pack("<IHHIIHHHH", 0, 0, 0, 26, 12, _WIDTH, _HEIGHT, 1, 24) + (_pixels().tobytes()),
    )


def _packed_bmp(bits: int, packing: int) -> bytes:
    palette = b"".join(bytes((number, 255 - number, number // 2, 0)) for number in range(2**bits))
    literal = b"\0\x04" + bytes(bits // 2)  # 4 pixels
    rows = [bytes((_WIDTH - 4, number)) + literal + b"\0\0" for number in range(_HEIGHT)]
    return _bmp(bits, packing, palette, b"".join(rows) + b"\0\1")


def _bmp(bits: int, packing: int, table: bytes, body: bytes) -> bytes:
    offset = 54 + len(table)
    header = struct.pack("<IiiHHIIiiII", 40, _WIDTH, _HEIGHT, 1, bits, packing, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + table + body


def _tiffs() -> Iterator[tuple[str, bytes]]:
    for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK"):
            yield f"tiff {mode} {packing}", _file(_photo().convert(mode), "TIFF", compression=packing)
    for channels in (1, 3, 4):
        deep = _deep(channels)
        yield f"tiff 16 bits {channels}", _encoded(".tiff", deep)
    yield "tiff of two images", _file(_photo(), "TIFF", save_all=True, append_images=_frames())
