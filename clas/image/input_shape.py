"""The shape of a model's input, and what is said of images and tensors that don't have it."""

from collections.abc import Sequence
from typing import Final

from ..errors import RequestError
from .layout import CHANNELS, image_size, is_channels_last
from .operations import Size

_AXES: Final = 4
_CLIENTS_REMEDY: Final = "use --resize_short/--crop_size"
SERVERS_REMEDY: Final = (
    "let the server do the preprocessing (--wire encoded), or do the same (--preprocess server)"
)


class InputShape:
    """The shape of a model's input.

    Args:
        sizes: [N, C, H, W] or [N, H, W, C]; None where any size is accepted.

    Attributes:
        is_channels_last: Whether it is [N, H, W, C].
    """

    def __init__(self, sizes: Sequence[int | None]) -> None:
        self.sizes = tuple(sizes)
        self.is_channels_last = is_channels_last(sizes)
        self._wanted = (None, *self.sizes[1:])  # any number of images

    def __str__(self) -> str:
        """Such as `[N, 3, 224, any]`."""
        return f"[{', '.join(['N', *(str(size or 'any') for size in self.sizes[1:])])}]"

    def refusal_of_images(self, size: Size, channels: int, setting: str) -> str:
        """Say so if images of this size aren't of this shape; empty if they are.

        Args:
            size: Width and height of preprocessed images.
            channels: Their channels.
            setting: What gives them that size, for the message.
        """
        if not self._takes_channels(channels):
            named = f"images have {channels} channels"
        elif not _fits(size, image_size(self.sizes)):
            named = setting
        else:
            return ""
        remedy = self._remedy(channels)
        return f"{named}, but the model takes {self}: encoded images will be refused; {remedy}"

    @property
    def clients_remedy(self) -> str:
        """What makes a client's images fit, where the settings don't tell."""
        width, height = image_size(self.sizes)
        return _CLIENTS_REMEDY if width == height else SERVERS_REMEDY

    def check_batch(self, shape: Sequence[int], field: str, size_remedy: str) -> None:
        """Refuse a batch of a client's that isn't of this shape.

        Args:
            shape: The shape of the batch.
            field: The user's name for it.
            size_remedy: What helps if only width and height are others.

        Raises:
            RequestError: It isn't.
        """
        if _fits(shape, self._wanted) and shape[0] > 0:
            return
        if not shape or shape[0] == 0:
            remedy = "send at least one image"
        elif len(shape) == _AXES and self._takes_channels(shape[3 if self.is_channels_last else 1]):
            remedy = size_remedy
        elif self.is_channels_last:
            remedy = "send a batch in the order N, H, W, C (--to_chw False)"
        else:
            remedy = "send a batch in the order N, C, H, W (--to_chw True)"
        self._refuse(shape, field, remedy)

    def check_images(self, shape: Sequence[int], channels: int = CHANNELS) -> None:
        """Refuse preprocessed images that aren't of this shape.

        Raises:
            RequestError: They aren't.
        """
        if not _fits(shape, self._wanted):
            self._refuse(shape, "the shape of the preprocessed images", self._remedy(channels))

    def _refuse(self, shape: Sequence[int], field: str, remedy: str) -> None:
        raise RequestError(f"{field} is {list(shape)}; the model takes {self}: {remedy}")

    def _remedy(self, channels: int) -> str:
        """Say what makes images fit the model."""
        width, height = image_size(self.sizes)
        if not self._takes_channels(channels):
            return "send tensors of that many channels"
        if width is None or width != height:
            size = ",".join(str(side or 224) for side in (width, height))
            return f"set resize_size in params.py, or by --resize_size {size}"
        return (
            f"set crop_size and resize_short in params.py, or by --crop_size {width} --resize_short {width}"
        )

    def _takes_channels(self, channels: int) -> bool:
        return self.sizes[3 if self.is_channels_last else 1] in (None, channels)


def _fits(sizes: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether the sizes agree wherever `wanted` names one."""
    return len(sizes) == len(wanted) and all(
        want in (None, size) for size, want in zip(sizes, wanted, strict=True)
    )
