"""Small pictures for people to look at."""

from pathlib import Path
from typing import Final

import cv2

from clas.errors import ImageError

from .images import read_image

_SIDE: Final = 160
_QUALITY: Final = 75  # about 4 KB a picture


def make_thumbnail(path: Path) -> bytes:
    """A JPEG of at most 160 x 160 pixels, in the picture's proportions; empty if the file can't be read."""
    try:
        image = read_image(path)
    except ImageError:  # told where the picture itself is read, or by the service
        return b""
    height, width = image.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
