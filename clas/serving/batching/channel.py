"""What the server and a predictor's process tell each other: numbered messages, some with an array.

Messages go through a pipe, and arrays through memory that both share, which is faster. Where there is no such
memory, or no more of it, they go through the pipe as well.
"""

import logging
import math
import pickle
import socket
import struct
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .batch_memory import BatchMemory, StaleContentError, create_memory

_LOGGER: Final = logging.getLogger("clas_system")
# The pipe is a pair of sockets there; to poll before each answer would take 9 us more.
_HAS_TIMEOUTS: Final = sys.platform != "win32"
_Array = npt.NDArray[np.float32]


class WrongMessageError(Exception):
    """Raised for something that the other end can't have meant to send."""


class Channel:
    """One end; can be given to a process that is being spawned.

    Args:
        connection: This end of the pipe.
        memory: What both ends share; None for the pipe alone.
    """

    def __init__(self, connection: Connection, memory: BatchMemory | None) -> None:
        self._connection = connection
        self._memory = memory
        self._is_reduced = memory is None
        self._timeout_s: float | None = None

    def send(self, number: int, value: object = None) -> None:
        """Send an object that can be pickled.

        Raises:
            OSError: The other end is closed, or doesn't read.
        """
        self._send((number, None, value))

    def send_array(self, number: int, parts: Sequence[_Array], room: int = 0) -> None:
        """Send an array.

        Args:
            number: The number of the message.
            parts: The array in one part or several, each [n, ...].
            room: How many numbers the array of the answer has; it gets the same memory.

        Raises:
            MemoryError: There is no memory for it.
            OSError: The other end is closed, or doesn't read.
        """
        shape = (sum(map(len, parts)), *parts[0].shape[1:])
        is_shared = self._memory is not None and self._share(self._memory, number, parts, room)
        self._send((number, shape, None if is_shared else np.concatenate(parts)))

    def receive(self, timeout_s: float | None = None) -> tuple[int, Any]:
        """Wait for the next message.

        Returns:
            Its number, and its object or array; an array lasts until the next message is sent.

        Raises:
            TimeoutError: None came in this time.
            EOFError: The other end is closed.
            OSError: It is broken.
            WrongMessageError: It isn't a message, or its array isn't there.
        """
        message = self._receive(timeout_s)
        try:
            number, shape, value = pickle.loads(message)  # noqa: S301  # from a process of our own
            if shape is not None and value is None and self._memory is not None:
                value = self._memory.get(number, shape)
        except (pickle.UnpicklingError, EOFError, TypeError, ValueError, StaleContentError) as exc:
            raise WrongMessageError(str(exc)) from exc
        return number, value

    def close(self) -> None:
        """Close this end."""
        self._connection.close()
        if self._memory is not None:
            self._memory.close()

    def _send(self, message: tuple[int, tuple[int, ...] | None, object]) -> None:
        self._connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def _receive(self, timeout_s: float | None) -> bytes:
        if not _HAS_TIMEOUTS:
            if timeout_s is not None and not self._connection.poll(timeout_s):
                raise TimeoutError
        elif timeout_s != self._timeout_s:
            self._timeout_s = timeout_s
            _set_timeout(self._connection, socket.SO_RCVTIMEO, timeout_s or 0)
        try:
            return self._connection.recv_bytes()
        except BlockingIOError as exc:
            raise TimeoutError from exc

    def _share(self, memory: BatchMemory, number: int, parts: Sequence[_Array], room: int) -> bool:
        """Put an array into the shared memory; False, and the first time a line in the log, if it is full."""
        try:
            memory.put(number, parts, room)
        except OSError as exc:
            if not self._is_reduced:
                _log_reduced(exc)
            self._is_reduced = True
            return False
        return True


def open_channel(context: SpawnContext, timeout_s: float) -> tuple[Channel, Channel]:
    """Open a channel.

    Args:
        context: What the other process will be started with.
        timeout_s: How long this end may try to send.

    Returns:
        This process's end, and the other's.
    """
    ours, theirs = context.Pipe()
    if _HAS_TIMEOUTS:  # else, it would try for ever while the other process hangs
        _set_timeout(ours, socket.SO_SNDTIMEO, timeout_s)
    try:
        memory = create_memory()
        return Channel(ours, memory), Channel(theirs, memory.duplicate())
    except OSError as exc:
        _log_reduced(exc)
        return Channel(ours, None), Channel(theirs, None)


def _set_timeout(connection: Connection, option: int, timeout_s: float) -> None:
    """Limit how long the kernel waits in one direction; 0 for no limit."""
    timeval = divmod(math.ceil(timeout_s * 10**6), 10**6)  # s and us
    pair = socket.socket(fileno=connection.fileno())
    pair.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", *timeval))
    pair.detach()


def _log_reduced(exc: OSError) -> None:
    _LOGGER.warning("there is no shared memory for batches, they go through a pipe, which is slower: %s", exc)
