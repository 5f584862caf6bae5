"""The sinks that consume outcomes of images."""

from collections.abc import Sequence
from typing import Protocol

from clas.commandline.report.outcome import Outcome, Pending

__all__ = ["Outcome", "Pending", "Sink"]


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
