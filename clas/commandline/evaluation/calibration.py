"""Calibration: whether of the answers with a score of 0.7, 70 % are right."""

from typing import Final, NamedTuple

from .figures import ratio

NUM_BINS: Final = 10


class Bin(NamedTuple):
    """The answers with scores of one tenth.

    Attributes:
        least: The lowest score that belongs here; the highest is below the next bin's, or 1.
        answers: How many there are.
        score: The mean of their scores.
        accuracy: The share that is right.
    """

    least: float
    answers: int
    score: float
    accuracy: float


class Calibration:
    """Counts right answers by their scores, in ten bins from 0 to 1.

    Attributes:
        are_probabilities: Whether all scores were between 0 and 1; if not, there is no calibration.
    """

    def __init__(self) -> None:
        self._answers = [0] * NUM_BINS
        self._scores = [0.0] * NUM_BINS
        self._right = [0] * NUM_BINS
        self.are_probabilities = True

    def add(self, score: float, *, is_right: bool) -> None:
        """Count one answer."""
        if not 0 <= score <= 1:
            self.are_probabilities = False
            return
        number = min(int(score * NUM_BINS), NUM_BINS - 1)
        self._answers[number] += 1
        self._scores[number] += score
        self._right[number] += is_right

    def bins(self) -> list[Bin]:
        """Return the bins that have answers; none if a score wasn't between 0 and 1."""
        if not self.are_probabilities:
            return []
        return [
            Bin(number / NUM_BINS, answers, score / answers, right / answers)
            for number, (answers, score, right) in enumerate(
                zip(self._answers, self._scores, self._right, strict=True)
            )
            if answers
        ]

    def error(self) -> float | None:
        """Return the expected calibration error: how far accuracy and score are apart, on the average.

        None if no answer was counted, or a score wasn't between 0 and 1.
        """
        bins = self.bins()
        if not bins:
            return None
        apart = sum(each.answers * abs(each.accuracy - each.score) for each in bins)
        return ratio(apart, sum(each.answers for each in bins))
