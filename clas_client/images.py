"""Reads images, for the client and for code of one's own."""

from pathlib import Path

from clas.image.decode import Image
from clas.image.sources import from_file, load_image

__all__ = ["load_image", "read_image"]


def read_image(path: Path, reduce_to: int | None = None) -> Image:
    """Read and decode one file; see `load_image`. The manual shows it for code of one's own."""
    return load_image(from_file(path), reduce_to)
