"""Makes thumbnails."""

from typing import Final

import cv2

from ...errors import ImageError
from ...image.sources import ImageSource, load_image

_THUMBNAIL_SIDE: Final = 160
_THUMBNAIL_QUALITY: Final = 75  # about 4 KB an image


def make_thumbnail(source: ImageSource) -> bytes:
    """Return a JPEG of at most 160 x 160 pixels, in the image's proportions; empty if it can't be read."""
    try:
        image = load_image(source)
    except ImageError:  # reported where the image itself is read, or by the service
        return b""
    height, width = image.shape[:2]
    scale = min(1.0, _THUMBNAIL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _THUMBNAIL_QUALITY])[1].tobytes()
