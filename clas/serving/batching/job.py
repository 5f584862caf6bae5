"""The images of one request on their way through the model, in pieces that fit into a batch."""

import time
from concurrent.futures import Future

import numpy as np

from ...engine.base import Batch, Scores
from ...errors import UnavailableError


class Job:
    """The images of one request; their pieces may go through several predictors at once.

    Args:
        deadline: Time of `time.monotonic` after which the result isn't wanted any more.
        num_pieces: The number of pieces.

    Attributes:
        scores: Future of the scores [n, num_outputs].
        queued_s: Seconds in the queue, once the first piece has left it.
        compute_s: Seconds from then until the scores were there.
    """

    def __init__(self, deadline: float, num_pieces: int) -> None:
        self.scores: Future[Scores] = Future()
        self.queued_s = 0.0
        self.compute_s = 0.0
        # Not the pieces themselves: each refers to its job, and a cycle would keep the images in memory.
        self._num_pieces = num_pieces
        self._done: dict[int, Scores] = {}
        self._deadline = deadline
        self._submitted = time.monotonic()

    @property
    def waited_s(self) -> float:
        """Seconds since the job was submitted."""
        return time.monotonic() - self._submitted

    def is_wanted(self) -> bool:
        """Whether anybody still waits for it; fails it if its deadline is over."""
        if not self.scores.done() and time.monotonic() > self._deadline:
            self.fail(UnavailableError("the time for this request is over: it was not computed"))
        return not self.scores.done()

    def add(self, number: int, scores: Scores) -> None:
        """Add the scores of one piece; the caller holds the batcher's lock."""
        self._done[number] = scores
        self.compute_s = self.waited_s - self.queued_s
        if len(self._done) == self._num_pieces and self.scores.set_running_or_notify_cancel():
            rows = [self._done[number] for number in range(self._num_pieces)]
            self.scores.set_result(np.concatenate(rows) if len(rows) > 1 else scores)

    def fail(self, exc: BaseException) -> None:
        """Fail it, which drops its further pieces; the caller holds the batcher's lock."""
        if not self.scores.done() and self.scores.set_running_or_notify_cancel():
            self.scores.set_exception(exc)


class Piece:
    """As many images of one job as go through the model at once, or fewer.

    Args:
        job: The job.
        number: Its number within the job, from 0.
        tensor: [n, C, H, W] float32, C-contiguous.

    Attributes:
        is_suspect: The model was lost while it ran a batch with this piece: the next time it runs alone.
    """

    def __init__(self, job: Job, number: int, tensor: Batch) -> None:
        self.job = job
        self.number = number
        self.tensor = tensor
        self.is_suspect = False
