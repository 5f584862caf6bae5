"""Outcomes of images, and the sinks that consume them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from clas.output.base import Prediction


class Pending(NamedTuple):
    """An image that waits for its result.

    Attributes:
        name: Its path from --image_file on.
        thumbnail: A small JPEG of it; empty where no sink wants one, or none could be made.
    """

    name: str
    thumbnail: bytes = b""


class Outcome(NamedTuple):
    """An image and its result; that of a failed one has an `error`."""

    image: Pending
    prediction: Prediction


class Sink(Protocol):
    """Consumes outcomes: writes them, or sums them up."""

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Consume the outcomes of one batch.

        Raises:
            OutputError: They can't be written.
        """

    def close(self, summary: Sequence[str]) -> None:
        """Finish.

        Args:
            summary: The lines that are printed after the last result.

        Raises:
            OutputError: The end can't be written.
        """
