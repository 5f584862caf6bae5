"""Dynamic batching: what waits while the model is busy goes through it together.

One thread, the predictor's owner, calls `serve`; any thread may call `submit`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Final

import numpy as np

from ..errors import PredictionError, UnavailableError
from ..predictor import Batch, Scores

_BEAT_S: Final = 0.2  # the longest time without a heartbeat while there is nothing to do

Score = Callable[[Batch], Scores]


class Job:
    """One request's images on their way through the model.

    Attributes:
        scores: Becomes the scores [n, num_classes], or the error.
        queued_s: Seconds spent waiting, once it has started.
        compute_s: Seconds spent in the model so far, shared with its neighbours.
    """

    def __init__(self, deadline: float, num_pieces: int) -> None:
        self.scores: Future[Scores] = Future()
        self.queued_s = 0.0
        self.compute_s = 0.0
        # Not the pieces themselves: each knows its job, and a ring would keep the images in memory.
        self._num_pieces = num_pieces
        self._done: list[Scores] = []
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

    def add(self, scores: Scores, seconds: float) -> None:
        """Take the scores of the next piece."""
        self._done.append(scores)
        self.compute_s += seconds
        if len(self._done) == self._num_pieces and self.scores.set_running_or_notify_cancel():
            self.scores.set_result(np.concatenate(self._done) if len(self._done) > 1 else scores)

    def fail(self, exc: BaseException) -> None:
        """End it; its further pieces aren't computed."""
        if not self.scores.done() and self.scores.set_running_or_notify_cancel():
            self.scores.set_exception(exc)


class _Piece:
    """As many images of one job as go through the model at once, or fewer.

    Attributes:
        is_suspect: The model was lost when it ran a batch with these images in it: next time they go alone.
    """

    def __init__(self, job: Job, tensor: Batch) -> None:
        self.job = job
        self.tensor = tensor
        self.is_suspect = False


class Batcher:
    """A queue of jobs in front of one model.

    Args:
        wait_s: How long the oldest job may wait for others, when there is room left in its batch.
        on_batch: Called with the size of each batch that went through.

    Attributes:
        beats: Goes up while the thread in `serve` is well; stands still while the model runs.
    """

    def __init__(self, wait_s: float, on_batch: Callable[[int], None]) -> None:
        self.beats = 0
        self._busy_since: float | None = None
        self._max_batch_size = 1
        self._wait_s = wait_s
        self._on_batch = on_batch
        self._queue: deque[_Piece] = deque()
        self._changed = threading.Condition()
        self._is_closed = False

    @property
    def busy_s(self) -> float:
        """How long the model has been at the batch that it is at; 0 if it is at none."""
        since = self._busy_since
        return 0 if since is None else time.monotonic() - since

    def submit(self, tensor: Batch, deadline: float) -> Job:
        """Queue the images of one request.

        Args:
            tensor: [n, C, H, W] float32, C-contiguous, n at least 1; more than the model takes run in pieces.
            deadline: Time of `time.monotonic` after which it needn't be computed any more.

        Raises:
            UnavailableError: The batcher is closed.
        """
        with self._changed:
            if self._is_closed:
                raise UnavailableError("the server is stopping")
            starts = range(0, len(tensor), self._max_batch_size)
            job = Job(deadline, len(starts))
            self._queue.extend(_Piece(job, tensor[start : start + self._max_batch_size]) for start in starts)
            self._changed.notify()
        return job

    def close(self) -> None:
        """Let `serve` return once the queue is empty; refuse further jobs."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def serve(self, score: Score, max_batch_size: int, is_lost: Callable[[], bool] = lambda: False) -> None:
        """Run the model on what comes, until `close`, or until the model is lost; what waits then stays.

        Args:
            score: Runs the model on [n, C, H, W].
            max_batch_size: Largest n.
            is_lost: Tells whether the model can't be run any more; asked now and then.
        """
        with self._changed:
            self._max_batch_size = max_batch_size
        while pieces := self._next_batch(is_lost):
            self._run(pieces, score, is_lost)
            del pieces  # or the last images would stay until the next ones come

    def _next_batch(self, is_lost: Callable[[], bool]) -> list[_Piece]:
        """Wait for work, and take as much of it as fits; empty when there will be none, or no model."""
        with self._changed:
            while not is_lost():
                self.beats += 1
                self._drop_unwanted()
                if self._queue and self._left_to_wait_s() <= 0:
                    return self._take()
                if self._is_closed and not self._queue:
                    return []
                self._changed.wait(min(_BEAT_S, self._left_to_wait_s()) if self._queue else _BEAT_S)
            return []

    def _drop_unwanted(self) -> None:
        """Take those out of the queue whose time is over, or whose client has gone."""
        if not all(piece.job.is_wanted() for piece in self._queue):
            self._queue = deque(piece for piece in self._queue if piece.job.is_wanted())

    def _left_to_wait_s(self) -> float:
        """How much longer the oldest piece is to wait for company."""
        if not self._wait_s or self._is_closed or self._fitting_images() >= self._max_batch_size:
            return 0
        return self._wait_s - self._queue[0].job.waited_s

    def _fitting_images(self) -> int:
        shape = self._queue[0].tensor.shape[1:]
        return sum(len(piece.tensor) for piece in self._queue if piece.tensor.shape[1:] == shape)

    def _take(self) -> list[_Piece]:
        """The oldest piece, and those of the same shape that fit beside it; none overtakes one of its job."""
        taken: list[_Piece] = []
        left: deque[_Piece] = deque()
        # A model that was loaded again may take fewer than the oldest piece has: it goes, and fails, alone.
        room = max(self._max_batch_size, len(self._queue[0].tensor))
        shape = self._queue[0].tensor.shape[1:]
        if self._queue[0].is_suspect:
            return [self._queue.popleft()]
        for piece in self._queue:
            has_its_turn = not piece.is_suspect and (not left or left[-1].job is not piece.job)
            if has_its_turn and len(piece.tensor) <= room and piece.tensor.shape[1:] == shape:
                taken.append(piece)
                room -= len(piece.tensor)
            else:
                left.append(piece)
        self._queue = left
        return taken

    def _run(self, pieces: Sequence[_Piece], score: Score, is_lost: Callable[[], bool]) -> None:
        self.beats += 1
        for piece in pieces:
            piece.job.queued_s = piece.job.queued_s or piece.job.waited_s
        start = time.perf_counter()
        self._busy_since = time.monotonic()
        try:
            scores = score(_joined(pieces))
            wanted = sum(len(piece.tensor) for piece in pieces)
            if len(scores) != wanted:
                raise PredictionError(f"the model answered {len(scores)} results to {wanted} images")  # noqa: TRY301
        except Exception as exc:  # noqa: BLE001  # handed on to the requests, and raised there
            if len(pieces) == 1:
                pieces[0].job.fail(exc)
            else:
                self._run_apart(pieces, score, is_lost)
            return
        finally:
            self._busy_since = None
        seconds = time.perf_counter() - start
        self._on_batch(wanted)
        row = 0
        for piece in pieces:
            piece.job.add(scores[row : row + len(piece.tensor)], seconds)
            row += len(piece.tensor)

    def _run_apart(self, pieces: Sequence[_Piece], score: Score, is_lost: Callable[[], bool]) -> None:
        """One has failed the batch: the others must not suffer; a lost model leaves them to the next."""
        for number, piece in enumerate(pieces):
            if is_lost():
                self._put_back(pieces[number:])
                return
            self._run([piece], score, is_lost)

    def _put_back(self, pieces: Sequence[_Piece]) -> None:
        """Let the model that comes next run these one by one: one of them may have ended the last one."""
        with self._changed:
            for piece in reversed(pieces):
                piece.is_suspect = True
                self._queue.appendleft(piece)


def _joined(pieces: Iterable[_Piece]) -> Batch:
    tensors = [piece.tensor for piece in pieces]
    return tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
