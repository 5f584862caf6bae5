"""Admission control: bounds the images and bytes in the server at once."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from ...errors import TooLargeError, UnavailableError


class Room:
    """Counts the bytes of request bodies and large responses of all models.

    Args:
        max_bytes: Their limit.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._bytes = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def hold(self, num_bytes: int) -> Iterator[None]:
        """Count a response for the duration of a block; there may be no room for further requests then."""
        with self._lock:
            self._bytes += num_bytes
        try:
            yield
        finally:
            self.change(-num_bytes)

    def check(self, num_bytes: int) -> None:
        """Check that there is room now.

        Raises:
            UnavailableError: There isn't.
        """
        if num_bytes > 0 and self._bytes + num_bytes > self.max_bytes:
            raise UnavailableError(f"the queue is full: {self._bytes} of {self.max_bytes} bytes")

    def change(self, num_bytes: int) -> None:
        """Add to the count.

        Raises:
            UnavailableError: It would exceed the limit; nothing is added then.
        """
        with self._lock:
            self.check(num_bytes)
            self._bytes += num_bytes


class Admission:
    """Counts the images and bytes of all requests for a model, from their first byte to their response.

    Args:
        max_images: Limit of images; a request whose body is complete counts as one at least.
        room: For the bytes of all models.
        max_bytes: The most of it that are for this model, so that there is some left for the others.
        on_change: Called with the number of images whenever it changes.
    """

    def __init__(self, max_images: int, room: Room, max_bytes: int, on_change: Callable[[int], None]) -> None:
        self.max_images = max_images
        self._room = room
        self._max_bytes = max_bytes
        self._images = 0
        self._bytes = 0
        self._lock = threading.Lock()
        self._on_change = on_change

    @contextlib.contextmanager
    def admit(self, num_bytes: int) -> Iterator["Ticket"]:
        """Admit a request for the duration of a block.

        It takes no room yet: a client that merely announces a body must not keep others out.

        Args:
            num_bytes: Length of its body, as far as it is known; there must be room for it now.

        Raises:
            UnavailableError: The server is full.
        """
        with self._lock:
            self._check(1, num_bytes)
            self._room.check(num_bytes)
        ticket = Ticket(self)
        try:
            yield ticket
        finally:
            ticket.release()

    def change(self, images: int, num_bytes: int) -> None:
        """Add to both counts; called by `Ticket`.

        Raises:
            UnavailableError: A count would exceed its limit; nothing is added then.
        """
        with self._lock:
            self._check(images, num_bytes)
            self._room.change(num_bytes)
            self._images += images
            self._bytes += num_bytes
            self._on_change(self._images)

    def _check(self, images: int, num_bytes: int) -> None:
        if images > 0 and self._images + images > self.max_images:
            raise UnavailableError(f"the queue is full: {self._images} of {self.max_images} images")
        if num_bytes > 0 and self._bytes + num_bytes > self._max_bytes:
            raise UnavailableError(f"the queue is full: {self._bytes} of {self._max_bytes} bytes")


class Ticket:
    """The room that one request takes, until it is released.

    The thread that decodes a request may still run when the client has gone or the deadline is over. Room
    that it asks for then is refused, since nobody would release it.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._images = 0
        self._bytes = 0
        self._is_over = False
        self._lock = threading.Lock()

    def grow(self, *, images: int = 0, num_bytes: int = 0) -> None:
        """Take more room.

        Raises:
            UnavailableError: The server is full, or the request is over.
        """
        with self._lock:
            if self._is_over:
                raise UnavailableError("this request is over already")
            self._admission.change(images, num_bytes)
            self._images += images
            self._bytes += num_bytes

    def set_images(self, images: int) -> None:
        """Take the room of this many images.

        Raises:
            TooLargeError: They exceed the limit by themselves.
            UnavailableError: The server is full, or the request is over.
        """
        if images > self._admission.max_images:
            raise TooLargeError(
                f"the request has {images} images; max_queue_images is {self._admission.max_images}: "
                "send smaller batches"
            )
        if images != self._images:  # it counts as one already
            self.grow(images=images - self._images)

    @property
    def is_over(self) -> bool:
        """Whether the request was answered or given up."""
        return self._is_over

    def release(self) -> None:
        """Release all room."""
        with self._lock:
            self._is_over = True
            self._admission.change(-self._images, -self._bytes)
            self._images = self._bytes = 0
