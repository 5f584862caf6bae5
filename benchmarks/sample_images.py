"""Makes many images from a few real photographs: crops, flips, changes of colour and size.

The photographs ship inside scikit-image's wheel. The same seed gives the same images.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from clas.image.decode import Image
from demo import photograph

NAMES: Final = (
    *("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg"),
    *("motorcycle_left.png", "motorcycle_right.png", "retina.jpg", "rocket.jpg"),
)
"""The photographs that show what ImageNet's images show: things, animals, people, the sky."""

_SMALLEST_CROP: Final = 0.5  # of width and of height: the subject must stay in view
_BRIGHTNESS: Final = 30.0  # of 255
_CONTRAST: Final = 0.25
_SATURATION: Final = 0.4
_SIDES: Final = (160, 320, 480, 640, 800, 1024)  # short sides, as found on the web
_JPEG_QUALITY: Final = 90


def varied(count: int, seed: int = 0, sides: tuple[int, ...] = _SIDES) -> Iterator[Image]:
    """Make images, from each photograph in turn.

    Args:
        count: How many.
        seed: Of the random changes.
        sides: Short sides to choose from, in pixels.
    """
    random = np.random.default_rng(seed)
    photographs = [read(photograph(name)) for name in NAMES]
    for number in range(count):
        yield _vary(photographs[number % len(photographs)], random, sides)


def write(folder: Path, count: int, seed: int = 0) -> None:
    """Write `count` JPEG files to a new folder."""
    folder.mkdir(parents=True)
    for number, image in enumerate(varied(count, seed)):
        (folder / f"{number:05}.jpg").write_bytes(jpeg(image))


def jpeg(image: Image) -> bytes:
    """Encode [H, W, 3] RGB."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def read(path: Path) -> Image:
    """Decode a file to [H, W, 3] RGB."""
    image: Image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)  # type: ignore[assignment]
    return image


def _vary(image: Image, random: np.random.Generator, sides: tuple[int, ...]) -> Image:
    height, width = (round(size * random.uniform(_SMALLEST_CROP, 1)) for size in image.shape[:2])
    top, left = random.integers(image.shape[0] - height + 1), random.integers(image.shape[1] - width + 1)
    crop = image[top : top + height, left : left + width]
    if random.random() < 0.5:  # noqa: PLR2004
        crop = crop[:, ::-1]
    grey = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)[:, :, np.newaxis].astype(np.float32)
    colour = grey + (crop - grey) * random.uniform(1 - _SATURATION, 1 + _SATURATION)
    colour = (colour - 128) * random.uniform(1 - _CONTRAST, 1 + _CONTRAST) + 128
    colour += random.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    scale = random.choice(sides) / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.clip(cv2.resize(colour, size, interpolation=kind), 0, 255).astype(np.uint8)
