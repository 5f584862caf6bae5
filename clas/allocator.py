"""What glibc does with freed memory."""

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # these are parameters of mallopt(3)
_M_MMAP_THRESHOLD: Final = -3
_M_MMAP_MAX: Final = -4
_LARGEST_INT: Final = 2**31 - 1


def keep_freed_memory(largest_block: int | None = None, most: int = _LARGEST_INT) -> None:
    """Have glibc keep freed memory for reuse; does nothing with another C library.

    By default, glibc returns large blocks to the system, so reusing them costs a page fault per page.

    Args:
        largest_block: In bytes; a larger block is returned all the same. None keeps blocks of any size.
        most: Bytes kept at the end of each arena.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return
    mallopt(_M_TRIM_THRESHOLD, most)
    if largest_block is None:
        mallopt(_M_MMAP_MAX, 0)
    else:
        mallopt(_M_MMAP_THRESHOLD, largest_block)
