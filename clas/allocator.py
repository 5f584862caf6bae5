"""What the C library does with memory that is freed."""

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # of mallopt(3), as the next ones
_M_MMAP_THRESHOLD: Final = -3
_M_MMAP_MAX: Final = -4
_LARGEST_INT: Final = 2**31 - 1


def keep_freed_memory(largest_block: int | None = None, most: int = _LARGEST_INT) -> None:
    """Have the C library of Linux (glibc) keep the memory that is freed in this process, for the next one.

    By default, what is large goes back to the system, and each page costs a fault when memory is used again.
    Elsewhere this does nothing.

    Args:
        largest_block: Bytes; a larger block goes back all the same. None keeps blocks of any size.
        most: Bytes that are kept at the end of each of malloc's areas.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return
    mallopt(_M_TRIM_THRESHOLD, most)
    if largest_block is None:
        mallopt(_M_MMAP_MAX, 0)
    else:
        mallopt(_M_MMAP_THRESHOLD, largest_block)
