"""One request's images on their way through the model, in pieces that a batch has room for."""

import time
from concurrent.futures import Future

import numpy as np

from ...engine.paddle import Batch, Scores
from ...errors import UnavailableError


class Job:
    """One request's images; their pieces may go through several predictors at once.

    Attributes:
        scores: Becomes the scores [n, num_classes], or the error.
        queued_s: Seconds spent waiting, once it has started.
        compute_s: Seconds from then until the scores were there.
    """

    def __init__(self, deadline: float, num_pieces: int) -> None:
        self.scores: Future[Scores] = Future()
        self.queued_s = 0.0
        self.compute_s = 0.0
        # Not the pieces themselves: each knows its job, and a ring would keep the images in memory.
        self._num_pieces = num_pieces
        self._done: dict[int, Scores] = {}
        self._deadline = deadline
        self._submitted = time.monotonic()

    @property
    def waited_s(self) -> float:
        """Seconds since it was submitted."""
        return time.monotonic() - self._submitted

    def is_wanted(self) -> bool:
        """Whether somebody still waits for it; fails it if its time is over."""
        if not self.scores.done() and time.monotonic() > self._deadline:
            self.fail(UnavailableError("the time for this request is over: it was not computed"))
        return not self.scores.done()

    def add(self, number: int, scores: Scores) -> None:
        """Take the scores of one piece; not from two threads at once."""
        self._done[number] = scores
        self.compute_s = self.waited_s - self.queued_s
        if len(self._done) == self._num_pieces and self.scores.set_running_or_notify_cancel():
            rows = [self._done[number] for number in range(self._num_pieces)]
            self.scores.set_result(np.concatenate(rows) if len(rows) > 1 else scores)

    def fail(self, exc: BaseException) -> None:
        """End it; its further pieces aren't computed. Not from two threads at once."""
        if not self.scores.done() and self.scores.set_running_or_notify_cancel():
            self.scores.set_exception(exc)


class Piece:
    """As many images of one job as go through the model at once, or fewer.

    Attributes:
        job: The job.
        number: Which of its pieces this is, from 0.
        tensor: [n, C, H, W] float32, C-contiguous.
        is_suspect: The model was lost when it ran a batch with these images in it: next time they go alone.
    """

    def __init__(self, job: Job, number: int, tensor: Batch) -> None:
        self.job = job
        self.number = number
        self.tensor = tensor
        self.is_suspect = False
