"""AVIF and HEIC, which Pillow reads where it, or pillow-heif beside it, is recent enough.

They are for images of one's own, on the machine that has them: the server doesn't take them.
"""

import importlib
import io
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from .still import CheckSize, damaged

SUFFIXES: Final = {".avif": "AVIF", ".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC"}
"""Suffixes, in lower case, and their formats."""

_NEEDS: Final = {"AVIF": "Pillow 11.3", "HEIC": "pillow-heif"}
_PILLOWS_NAMES: Final = {"AVIF": "AVIF", "HEIC": "HEIF"}
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_MOST_BOX_BYTES: Final = 256  # of the first box, which lists the brands


def format_of(data: bytes) -> str | None:
    """Return `AVIF` or `HEIC` by the brands in the first box (ISO 14496-12, 4.3); None for any other file."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), _MOST_BOX_BYTES)
    brands = {data[start : start + 4] for start in (8, *range(16, end, 4))}
    if brands & _AVIF_BRANDS:  # first, since both may have the brand mif1
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else None


@lru_cache
def missing_reader(file_format: str) -> str:
    """Return what would have to be installed to read `AVIF` or `HEIC`; empty if it is."""
    try:
        if file_format == "HEIC":
            importlib.import_module("pillow_heif").register_heif_opener()
            is_there = True
        else:
            is_there = bool(importlib.import_module("PIL.AvifImagePlugin").SUPPORTED)
    except ImportError:
        is_there = False
    return "" if is_there else _NEEDS[file_format]


def decode(data: bytes, file_format: str, check_size: CheckSize) -> npt.NDArray[np.uint8]:
    """Decode a file to [height, width, 3], RGB, upright by its orientation; of several images the first.

    Args:
        data: The file.
        file_format: What `format_of` says of it.
        check_size: Called before its pixels are decoded.

    Raises:
        ImageError: There is no reader, the file is damaged, or it has too many pixels.
    """
    if needed := missing_reader(file_format):
        raise damaged(f"{file_format} needs {needed}, which isn't installed")
    from PIL import Image, ImageOps  # noqa: PLC0415  # most clients don't need Pillow

    try:
        with Image.open(io.BytesIO(data), formats=[_PILLOWS_NAMES[file_format]]) as image:
            check_size(*image.size)
            ImageOps.exif_transpose(image, in_place=True)
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, RuntimeError, SyntaxError, EOFError, Image.DecompressionBombError) as exc:
        raise damaged(str(exc).partition("\n")[0] or type(exc).__name__) from exc
