"""From an image to the model's input: one class for each operation, shared by the client and the server."""

import io
from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ImageError
from ..settings import IMAGENET_MEAN, IMAGENET_STD, MAX_IMAGE_PIXELS, Settings
from .resize import Array as _Array
from .resize import make_resize

Image = npt.NDArray[np.uint8]
"""Height x width x 3, RGB, 0 to 255."""
Array = _Array
Operation = Callable[[Array], Array]

_FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP")
_JPEG_START: Final = b"\xff\xd8"
_LEVELS: Final = 256
_DEFAULTS: Final = Settings()
_REDUCED_MARGIN: Final = 2  # nearer to the wanted size, more would be lost
_REDUCTIONS: Final = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)


class DecodeImage:
    """Decode the bytes of a whole image file to RGB; JPEG and PNG upright by their EXIF orientation.

    Grey, alpha and 16-bit images become 8-bit RGB, as `cv2.imread` makes them.

    Args:
        max_pixels: Bound on width x height, held against the header before anything is decoded (needs
            Pillow, and admits JPEG, PNG, BMP and WebP only). None decodes whatever OpenCV can.
        reduce_to: Decode a JPEG at 1/2, 1/4 or 1/8 of its size, as small as its short side still has twice
            as many pixels as this (needs Pillow): faster, and not quite the same pixels once it is resized.
            None decodes every image in full.
    """

    def __init__(self, max_pixels: int | None = None, reduce_to: int | None = None) -> None:
        self.max_pixels = max_pixels
        self.reduce_to = reduce_to
        if max_pixels is not None or reduce_to is not None:
            import PIL.Image  # noqa: F401, PLC0415  # now, so that the first request doesn't wait for it

    def __call__(self, data: bytes) -> Image:
        """Decode one file.

        Returns:
            The image [height, width, 3], uint8, RGB.

        Raises:
            ImageError: It isn't an image, is damaged, or is larger than `max_pixels`.
        """
        flags = cv2.IMREAD_COLOR_RGB
        is_reducible = self.reduce_to is not None and data.startswith(_JPEG_START)
        if self.max_pixels is not None or is_reducible:
            size = _read_size(data, self.max_pixels)
            if self.reduce_to is not None and is_reducible:
                flags = _reduction(min(size), self.reduce_to) or flags
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
        except cv2.error as exc:
            raise ImageError(f"the image can't be decoded: {exc.err}") from exc
        if image is None:
            raise ImageError("the image can't be decoded: it is damaged, or of a format OpenCV doesn't know")
        if flags != cv2.IMREAD_COLOR_RGB:  # OpenCV 5 takes that together with no other kind of colour
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
        return image  # type: ignore[return-value]

    def __repr__(self) -> str:
        return f"DecodeImage(max_pixels={self.max_pixels}, reduce_to={self.reduce_to})"


def _read_size(data: bytes, max_pixels: int | None) -> tuple[int, int]:
    """Read width and height in the header of an image file, and hold them against `max_pixels`."""
    from PIL import Image as PillowImage  # noqa: PLC0415  # the client has no Pillow, and needs none
    from PIL import UnidentifiedImageError  # noqa: PLC0415

    try:
        with PillowImage.open(io.BytesIO(data), formats=_FORMATS) as header:
            width, height = header.size
    except UnidentifiedImageError as exc:
        raise ImageError(f"the image can't be decoded: it is none of {', '.join(_FORMATS)}") from exc
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as exc:
        limit = "" if max_pixels is None else f"; max_image_pixels is {max_pixels}"
        raise ImageError(f"the image is too large{limit}") from exc
    except (OSError, SyntaxError, ValueError, ArithmeticError) as exc:  # what Pillow's readers raise
        raise ImageError(f"the image can't be decoded: its header is damaged ({exc})") from exc
    if max_pixels is not None and width * height > max_pixels:
        raise ImageError(f"the image has {width} x {height} pixels; max_image_pixels is {max_pixels}")
    return width, height


def _reduction(short_side: int, reduce_to: int) -> int:
    """The flag by which OpenCV decodes a JPEG at a part of its size; 0 for the whole."""
    for divisor, flag in _REDUCTIONS:
        if short_side // divisor >= _REDUCED_MARGIN * reduce_to:
            return flag
    return 0


class ResizeShort:
    """Resize so that the short side has `size` pixels and the proportions stay.

    Args:
        size: In pixels.
        interpolation: As Settings.interpolation.
        backend: As Settings.resize_backend.

    Raises (when called):
        ImageError: The result would have more than MAX_IMAGE_PIXELS, as that of an elongated image may.
    """

    def __init__(self, size: int, interpolation: str = "bilinear", backend: str = "cv2") -> None:
        self.size = size
        self._how = _how(interpolation, backend)
        self._resize = make_resize(interpolation, backend)

    def __call__(self, image: Array) -> Array:
        """Resize [H, W, C] to [H', W', C] with min(H', W') = size."""
        height, width = image.shape[:2]
        scale = self.size / min(height, width)
        new_width, new_height = round(width * scale), round(height * scale)
        if new_width * new_height > MAX_IMAGE_PIXELS:
            raise ImageError(
                f"the image has {width} x {height} pixels, and would have {new_width} x {new_height} "
                f"with a resize_short of {self.size}: too many"
            )
        return self._resize(image, new_width, new_height)

    def __repr__(self) -> str:
        return f"ResizeShort(size={self.size}{self._how})"


class Resize:
    """Resize to exactly `width` x `height` pixels, whatever the proportions; arguments as `ResizeShort`."""

    def __init__(
        self, width: int, height: int, interpolation: str = "bilinear", backend: str = "cv2"
    ) -> None:
        self.width, self.height = width, height
        self._how = _how(interpolation, backend)
        self._resize = make_resize(interpolation, backend)

    def __call__(self, image: Array) -> Array:
        """Resize [H, W, C] to [height, width, C]."""
        return self._resize(image, self.width, self.height)

    def __repr__(self) -> str:
        return f"Resize(width={self.width}, height={self.height}{self._how})"


def _how(interpolation: str, backend: str) -> str:
    """What a `__repr__` says of the resizing, unless it is the usual one."""
    is_usual = (interpolation, backend) == ("bilinear", "cv2")
    return "" if is_usual else f", interpolation={interpolation!r}, backend={backend!r}"


class CenterCrop:
    """Cut the square of `size` x `size` pixels out of the middle.

    Raises (when called):
        ImageError: The image is smaller than that.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Array) -> Array:
        """Crop [H, W, C] to [size, size, C]."""
        height, width = image.shape[:2]
        if min(height, width) < self.size:
            raise ImageError(f"the image has {width} x {height} pixels; crop_size is {self.size}")
        top, left = (height - self.size) // 2, (width - self.size) // 2
        return image[top : top + self.size, left : left + self.size]

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class Normalize:
    """Compute (image * scale - mean) / std for each channel, in float32."""

    def __init__(
        self,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        scale: float = 1 / 255,
    ) -> None:
        self.mean, self.std, self.scale = tuple(mean), tuple(std), scale

    def __call__(self, image: Array) -> Array:
        """Normalize [H, W, C] of any number type to float32 of the same shape."""
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return (image.astype(np.float32) * np.float32(self.scale) - mean) / std

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std}, scale={self.scale})"


class ToCHW:
    """Move the channels to the front."""

    def __call__(self, image: Array) -> Array:
        """Turn [H, W, C] into a contiguous [C, H, W]."""
        return np.ascontiguousarray(image.transpose(2, 0, 1))

    def __repr__(self) -> str:
        return "ToCHW()"


class NormalizeToCHW:
    """`Normalize`, then `ToCHW`, the same values to the last bit; for pixels in a twentieth of the time.

    A pixel has 256 values, so each channel's results are looked up in a table, on the way to their place.
    """

    def __init__(self, normalize: Normalize) -> None:
        self.normalize = normalize
        channels = len(normalize.mean)
        levels = np.broadcast_to(np.arange(_LEVELS, dtype=np.uint8)[:, None], (_LEVELS, channels))
        self._tables = np.ascontiguousarray(normalize(levels).T)

    def __call__(self, image: Array, out: npt.NDArray[np.float32] | None = None) -> Array:
        """Turn [H, W, C] of any number type into a contiguous [C, H, W] of float32.

        Args:
            image: The pixels; uint8 is what is fast.
            out: Where to put the result, [C, H, W], float32; None for a new array.
        """
        height, width, channels = image.shape
        if out is None:
            out = np.empty((channels, height, width), np.float32)
        if image.dtype == np.uint8 and channels == len(self._tables):
            for table, plane, place in zip(self._tables, cv2.split(image), out, strict=True):
                cv2.LUT(plane, table, dst=place)
        else:
            out[...] = self.normalize(image).transpose(2, 0, 1)
        return out

    def __repr__(self) -> str:
        return f"NormalizeToCHW({self.normalize})"


class Compose:
    """Apply operations one after the other."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = tuple(operations)

    def __call__(self, image: Array) -> Array:
        """Pass [H, W, C] through all operations."""
        for operation in self.operations:
            image = operation(image)
        return image

    def __repr__(self) -> str:
        return f"Compose({list(self.operations)})"


def reduced_size(resize_short: int, settings: Settings) -> int:
    """What `DecodeImage` gets as `reduce_to`, where JPEGs may be decoded at a part of their size."""
    return max(settings.resize_size, default=resize_short)


def normalization(settings: Settings) -> Normalize:
    """The normalization that the settings ask for."""
    return Normalize(settings.mean, settings.std, settings.scale)


def create_transforms(
    resize_short: int = Settings.resize_short,
    crop_size: int = Settings.crop_size,
    *,
    normalize: bool = True,
    to_chw: bool = True,
    settings: Settings = _DEFAULTS,
) -> Compose:
    """The operations between a decoded image and one entry of the model's batch.

    Args:
        resize_short: Short side after resizing, in pixels.
        crop_size: Side of the center crop, in pixels.
        normalize: Normalize by the settings' mean, std and scale; without it, the pixels stay uint8.
        to_chw: Move the channels to the front.
        settings: Say all the rest; a resize_size in them takes the place of both sizes above.

    Returns:
        A callable: image [H, W, 3] -> [3, crop_size, crop_size] float32 (with the defaults).

    Raises:
        SettingsError: They want Pillow, which isn't installed.
    """
    how = settings.interpolation, settings.resize_backend
    operations: list[Operation] = [ResizeShort(resize_short, *how), CenterCrop(crop_size)]
    if settings.resize_size:
        operations = [Resize(*settings.output_size, *how)]
    if normalize and to_chw:
        operations.append(NormalizeToCHW(normalization(settings)))
    elif normalize:
        operations.append(normalization(settings))
    elif to_chw:
        operations.append(ToCHW())
    return Compose(operations)
