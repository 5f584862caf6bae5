"""What became of the images of a run, and how long the rest will take."""

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

_MOST_KINDS: Final = 1000  # of reasons; the others are counted together
_SHOWN_KINDS: Final = 12
_OTHERS: Final = "other reasons"
_INTERVAL_S: Final = 10.0


class Totals:
    """Counts images, and why those have failed that have.

    Attributes:
        images: All images.
        reasons: What the messages of failures have in common -> how many images.
    """

    def __init__(self) -> None:
        self.images = 0
        self.reasons: Counter[str] = Counter()

    @property
    def failed(self) -> int:
        """Images without a result."""
        return self.reasons.total()

    def add(self, errors: Iterable[str | None]) -> None:
        """Count images by their failures; None for one that has a result."""
        for error in errors:
            self.images += 1
            if error is not None:
                self._count(re.sub(r"\d+", "N", error), 1)

    def merge(self, images: int, reasons: dict[str, int]) -> None:
        """Count what another one has counted."""
        self.images += images
        for reason, count in reasons.items():
            self._count(reason, count)

    def lines(self) -> Iterator[str]:
        """Yield the totals, then each reason, the most frequent first."""
        yield f"{self.images} images: {self.images - self.failed} answered, {self.failed} failed"
        shown = self.reasons.most_common(_SHOWN_KINDS)
        yield from (f"  {count} x {reason}" for reason, count in shown)
        if rest := self.failed - sum(count for _, count in shown):
            yield f"  {rest} x {_OTHERS}"

    def _count(self, reason: str, count: int) -> None:
        is_known = reason in self.reasons or len(self.reasons) < _MOST_KINDS
        self.reasons[reason if is_known else _OTHERS] += count


class Progress:
    """Says on stderr how far a run is: on a terminal in one line, else every 10 s.

    Args:
        num_parts: The parts that are to be computed.
    """

    def __init__(self, num_parts: int) -> None:
        self._num_parts = num_parts
        self._start_s = time.monotonic()
        self._said_s = self._start_s
        self._done = 0

    def add(self, images: int) -> None:
        """Count a part; `images` are those of all parts so far."""
        self._done += 1
        now_s = time.monotonic()
        is_last = self._done == self._num_parts
        if sys.stderr.isatty() or is_last or now_s - self._said_s >= _INTERVAL_S:
            self._said_s = now_s
            end = "\n" if is_last or not sys.stderr.isatty() else ""
            start = "\r" if sys.stderr.isatty() else ""
            sys.stderr.write(f"{start}{self.line(images, now_s - self._start_s)}{end}")
            sys.stderr.flush()

    def line(self, images: int, elapsed_s: float) -> str:
        """Return the line."""
        left_s = elapsed_s / self._done * (self._num_parts - self._done)
        rate = images / max(elapsed_s, 1e-9)
        return (
            f"{self._done}/{self._num_parts} parts, {images} images, {rate:.1f} images/s, "
            f"{_duration(left_s)} left"
        )


def encode(totals: Totals) -> dict[str, Any]:
    """Return totals as a row of a data set."""
    return {"images": totals.images, "reasons": json.dumps(totals.reasons)}


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
