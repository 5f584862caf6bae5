"""Read images; which files are images, and in which order, clas/image_files.py knows."""

from pathlib import Path

from clas.image.files import read_file
from clas.image.transforms import DecodeImage, Image


def read_image(path: Path, reduce_to: int | None = None) -> Image:
    """Read and decode one file.

    Args:
        path: The file.
        reduce_to: As `DecodeImage` has it.

    Returns:
        The image [height, width, 3], uint8, RGB; JPEG and PNG upright by their EXIF orientation.

    Raises:
        ImageError: The file can't be read or isn't an image.
    """
    return DecodeImage(reduce_to=reduce_to)(read_file(path))
