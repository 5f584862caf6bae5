"""An image and its result."""

from typing import NamedTuple

from ...output.base import Prediction


class Pending(NamedTuple):
    """An image that waits for its result.

    Attributes:
        name: Its name in the results.
        thumbnail: A small JPEG of it; empty where nothing wants one, or none could be made.
    """

    name: str
    thumbnail: bytes = b""


class Outcome(NamedTuple):
    """An image and its result; that of a failed one has an `error`."""

    image: Pending
    prediction: Prediction
