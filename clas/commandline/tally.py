"""What becomes of the images of a run."""

import dataclasses
from collections.abc import Callable
from functools import partial

from ..output.base import Prediction
from .file_totals import FileTotals


@dataclasses.dataclass
class Tally:
    """The outcome of a run.

    Attributes:
        answered: Images with a result, so far.
        failed: Images without one, and folders that can't be read.
        cut_short: The exit status of what ended the run early; 0 if nothing did.
        files: Counts the files that aren't taken.
        listeners: Called with the name and the result of each image.
    """

    answered: int = 0
    failed: int = 0
    cut_short: int = 0
    files: FileTotals = dataclasses.field(default_factory=partial(FileTotals, "not read"))
    listeners: list[Callable[[str, Prediction], None]] = dataclasses.field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status: 0 if every image has a result, 1 if any has none or there are no images."""
        return self.cut_short or int(self.failed > 0 or self.answered == 0)
