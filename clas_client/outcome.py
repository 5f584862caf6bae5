"""A picture and what became of it: what a run keeps is made of these."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from clas.output.topk import Prediction


class Picture(NamedTuple):
    """One picture on its way.

    Attributes:
        name: What it is called in all that a person reads: its path from --image_file on.
        path: Where it is.
        thumbnail: A small JPEG of it; empty where nobody wants one, or none could be made.
    """

    name: str
    path: Path
    thumbnail: bytes = b""


class Outcome(NamedTuple):
    """One picture, and its entry of the answer; the entry of a failed one has an `error`."""

    picture: Picture
    prediction: Prediction


class Keeper(Protocol):
    """Something that keeps outcomes, or a sum of them."""

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Take what has just become known.

        Raises:
            OutputError: It can't be written.
        """

    def close(self, summary: Sequence[str]) -> None:
        """Come to an end.

        Args:
            summary: The lines that are printed after the last result.

        Raises:
            OutputError: It can't be written.
        """
