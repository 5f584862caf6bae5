"""What the scans of a JPEG file cost, and whether they are whole.

Numbers in brackets are sections of ITU-T T.81.
"""

from typing import Final, NamedTuple

from .still import damaged

_MAX_SCANS: Final = 100  # as in Skia; encoders make about 10
_MAX_PASSES: Final = 16  # over each coefficient on average; one for each of its bits and some more
_COEFFICIENTS: Final = 64
_ALL: Final = (1 << _COEFFICIENTS) - 1
_BLOCK_SIDE: Final = 8
_ENDS_EARLY: Final = "it ends before its last pixel"


class Frame(NamedTuple):
    """What the frame header says (B.2.2)."""

    width: int
    height: int
    components: int


class Scans:
    """The scans of one file.

    Args:
        frame: Its frame.

    Attributes:
        frame: As given.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._count = 0
        self._num_bytes = 0
        self._visits = 0
        self._sent: dict[int, int] = {}  # of each component, bits of the coefficients that are exact

    def add(self, header: bytes, num_bytes: int) -> None:
        """Count one scan.

        Args:
            header: The body of its header (B.2.3).
            num_bytes: What follows the header.

        Raises:
            ImageError: The header is damaged, or the scans cost too much.
        """
        num = header[0] if header else 0
        if not num or len(header) != 4 + 2 * num:
            raise damaged("its header is damaged")
        first, last, precision = header[-3:]
        if first > last or last >= _COEFFICIENTS:
            raise damaged("its header is damaged")
        self._count += 1
        self._num_bytes += num_bytes
        self._visits += num * (last + 1 - first)
        if self._count > _MAX_SCANS or self._visits > _MAX_PASSES * _COEFFICIENTS * self.frame.components:
            raise damaged("it has too many scans")
        if not precision & 15:  # the bits that are still missing (G.1.1.1.2)
            band = (1 << (last + 1)) - (1 << first)
            for component in header[1 : 1 + 2 * num : 2]:
                self._sent[component] = self._sent.get(component, 0) | band

    def check(self, *, is_cut: bool) -> None:
        """Check that the pixels may be whole.

        Args:
            is_cut: The file has no end marker.

        Raises:
            ImageError: There are fewer bits than blocks, or scans are missing at the end.
        """
        if not self._count:
            raise damaged("it has no pixels")
        frame = self.frame
        blocks = -(-frame.width // _BLOCK_SIDE) * -(-frame.height // _BLOCK_SIDE)
        is_missing = is_cut and list(self._sent.values()) != [_ALL] * frame.components
        if 8 * self._num_bytes < blocks or is_missing:
            raise damaged(_ENDS_EARLY)
