"""Memory that the server shares with a predictor's process: a batch goes in, its scores come out.

It has no name. So nothing outside can remove it, nothing is left of it when both processes are killed, and
neither the size of /dev/shm nor whether there is one matters. Its content bears a number, lest anybody take
the batch or the scores of another request for those of its own.
"""

import math
import mmap
import os
import struct
from collections.abc import Sequence
from multiprocessing.reduction import DupFd
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float32]
_NUMBER: Final = struct.Struct("q")
_OFFSET: Final = 64  # bytes from the number to the array: a cache line
_ITEM_BYTES: Final = 4  # of float32


class StaleContentError(Exception):
    """Raised when what is there isn't what was announced."""


class BatchMemory:
    """One array at a time, with its number; grows as needed.

    It can be given to a process that is being spawned, and is the same memory there.

    Args:
        descriptor: An anonymous file, see `create_memory`; closed with this object.
    """

    def __init__(self, descriptor: int) -> None:
        self._file = open(descriptor, "r+b", buffering=0)  # noqa: SIM115  # see close
        self._map: mmap.mmap | None = None

    def __reduce__(self) -> Any:  # noqa: ANN401  # as object's
        """Duplicate the descriptor into a process that is being spawned."""
        return _inherit, (DupFd(self._file.fileno()),)

    def put(self, number: int, parts: Sequence[_Array], room: int = 0) -> None:
        """Replace the content.

        Args:
            number: The number of the new content.
            parts: The new content, [n, ...] each: one array [N, ...], N the sum of all n.
            room: Numbers that there is to be room for, if they are more than those of the content.

        Raises:
            OSError: There is no memory, or a limit is reached. The content may be the old one.
        """
        shape = (sum(map(len, parts)), *parts[0].shape[1:])
        num_bytes = _OFFSET + _ITEM_BYTES * max(room, sum(part.size for part in parts))
        if self._map is None or len(self._map) < num_bytes:
            # All pages now: else, writing when there are no more would kill the process.
            os.posix_fallocate(self._file.fileno(), 0, num_bytes)
            self._map = mmap.mmap(self._file.fileno(), num_bytes)  # the old one goes with its last array
        np.concatenate(parts, out=np.ndarray(shape, np.float32, self._map, _OFFSET))
        _NUMBER.pack_into(self._map, 0, number)

    def get(self, number: int, shape: Sequence[int]) -> _Array:
        """Return the content; it shares the memory, so it lasts until the next `put`.

        Raises:
            StaleContentError: It has another number, or isn't as large.
        """
        num_bytes = _OFFSET + _ITEM_BYTES * math.prod(shape)
        if self._map is None or len(self._map) < num_bytes:  # the other process may have made room
            size = os.fstat(self._file.fileno()).st_size
            self._map = mmap.mmap(self._file.fileno(), size) if size else None
        if self._map is None or len(self._map) < num_bytes:
            raise StaleContentError(f"the shared memory is too small for {list(shape)}")
        (found,) = _NUMBER.unpack_from(self._map)
        if found != number:
            raise StaleContentError(f"the shared memory holds {found}, not {number}")
        return np.ndarray(tuple(shape), np.float32, self._map, _OFFSET)

    def duplicate(self) -> "BatchMemory":
        """Return another object for the same memory.

        Raises:
            OSError: There are no descriptors left.
        """
        return BatchMemory(os.dup(self._file.fileno()))

    def close(self) -> None:
        """Release it in this process."""
        self._map = None
        self._file.close()


def create_memory() -> BatchMemory:
    """Create memory, empty for now.

    Raises:
        OSError: This system has no anonymous files, or there are no descriptors left.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError("this system has no memfd_create")
    return BatchMemory(os.memfd_create("clas_batch"))


def _inherit(duplicate: Any) -> BatchMemory:  # noqa: ANN401  # multiprocessing has no name for it
    return BatchMemory(duplicate.detach())
