"""How long to wait before a process that was lost is started again."""

from typing import Final

_FIRST_S: Final = 1.0
_MOST_S: Final = 30.0
_GOOD_S: Final = 60.0


class Backoff:
    """0 s, then 1, 2, 4 … 30 s; from the beginning after a time of good service.

    Args:
        first_s: The first wait that isn't 0, in seconds; each further one is twice as long.
        most_s: The longest.
        good_s: A process that has served for this long makes the next wait 0 again.
    """

    def __init__(self, first_s: float = _FIRST_S, most_s: float = _MOST_S, good_s: float = _GOOD_S) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._good_s = good_s
        self._next_s = 0.0

    def next_wait_s(self, served_s: float) -> float:
        """Return how long to wait now.

        Args:
            served_s: How long the process that was lost had been ready.
        """
        if served_s >= self._good_s:
            self.reset()
        wait_s = self._next_s
        self._next_s = min(max(2 * wait_s, self._first_s), self._most_s)
        return wait_s

    def reset(self) -> None:
        """Begin anew."""
        self._next_s = 0.0
