"""Dynamic batching: what waits while the predictors are busy goes through them together.

The owner of each predictor, a thread of its own, calls `serve`; any thread may call `submit`.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from ...engine.paddle import Batch, Scores
from ...errors import PredictionError, UnavailableError
from .job import Job, Piece

_SLACK_S: Final = 10.0  # for the owner to end a process that hangs
_BEAT_S: Final = 0.2  # the longest time without a heartbeat while there is nothing to do


class Score(Protocol):
    """Runs a model."""

    def __call__(self, *parts: Batch) -> Scores:
        """See `Classifier.score`."""


class _Owner:
    """A thread in `serve`.

    Attributes:
        is_wide: Its predictor takes all cores, and so goes with no other.
        busy_since: When its model got the batch that it is at; None if it is at none.
        images: How many it got.
        changed: Tells it to look at the queue.
    """

    def __init__(self, lock: threading.Lock, *, is_wide: bool) -> None:
        self.is_wide = is_wide
        self.busy_since: float | None = None
        self.images = 0
        self.changed = threading.Condition(lock)


class Batcher:
    """A queue of jobs in front of one or more predictors of the same model.

    Several predictors share the cores: each takes its share of what there is to do. One more may be wide: it
    has all cores for itself, and gets a request that is alone.

    Args:
        wait_s: How long the oldest job may wait for others, when there is room left in its batch.
        on_batch: Called with the size of each batch that went through.

    Attributes:
        beats: Goes up while all threads in `serve` are well; stands still while one of the models runs.
    """

    def __init__(self, wait_s: float, on_batch: Callable[[int], None]) -> None:
        self.beats = 0
        self._max_batch_size = 1
        self._wait_s = wait_s
        self._on_batch = on_batch
        self._queue: deque[Piece] = deque()
        self._lock = threading.Lock()
        self._owners: list[_Owner] = []
        self._beaten: set[_Owner] = set()
        self._is_closed = False

    @property
    def busy_s(self) -> float:
        """How long a model has been at the batch that it is at, at the most; 0 if none is at any."""
        with self._lock:
            since = [owner.busy_since for owner in self._owners if owner.busy_since is not None]
        return time.monotonic() - min(since) if since else 0

    def check_pace(self, timeout_s: float) -> None:
        """Make sure that no model hangs.

        Args:
            timeout_s: How long an owner lets its model be at one batch.

        Raises:
            UnavailableError: One has been at a batch for longer than that.
        """
        busy_s = self.busy_s
        if busy_s > timeout_s + _SLACK_S:
            raise UnavailableError(f"the model has been at one batch for {math.floor(busy_s)} s")

    def submit(self, tensor: Batch, deadline: float) -> Job:
        """Queue the images of one request.

        Args:
            tensor: [n, C, H, W] float32, C-contiguous, n at least 1; more than the model takes run in pieces.
            deadline: Time of `time.monotonic` after which it needn't be computed any more.

        Raises:
            UnavailableError: The batcher is closed.
        """
        with self._lock:
            if self._is_closed:
                raise UnavailableError("the server is stopping")
            size = self._max_batch_size
            starts = range(0, len(tensor), size)
            job = Job(deadline, len(starts))
            self._queue.extend(
                Piece(job, number, tensor[start : start + size]) for number, start in enumerate(starts)
            )
            self._wake_one()
        return job

    def close(self) -> None:
        """Let `serve` return once the queue is empty; refuse further jobs."""
        with self._lock:
            self._is_closed = True
            for owner in self._owners:
                owner.changed.notify()

    def serve(
        self,
        score: Score,
        max_batch_size: int,
        is_lost: Callable[[], bool] = lambda: False,
        *,
        is_wide: bool = False,
    ) -> None:
        """Run a model on what comes, until `close`, or until the model is lost; what waits then stays.

        Args:
            score: Runs the model on a batch that comes in parts, an argument for each, [n, C, H, W].
            max_batch_size: Largest sum of all n; the same for all predictors.
            is_lost: Tells whether the model can't be run any more; asked now and then.
            is_wide: This one takes all cores; the others, if there are any, share them.
        """
        owner = _Owner(self._lock, is_wide=is_wide)
        with self._lock:
            self._max_batch_size = max_batch_size
            self._owners.append(owner)
        try:
            while pieces := self._next_batch(owner, is_lost):
                self._run(pieces, score, is_lost)
                del pieces  # or the last images would stay until the next ones come
        finally:
            with self._lock:
                self._owners.remove(owner)
                self._beaten.discard(owner)
                self._wake_one()

    def _next_batch(self, owner: _Owner, is_lost: Callable[[], bool]) -> list[Piece]:
        """Wait for work, and take as much of it as fits; empty when there will be none, or no model."""
        with self._lock:
            owner.busy_since, owner.images = None, 0
            while not is_lost():
                self._beat(owner)
                self._drop_unwanted()
                wait_s = _BEAT_S
                if self._queue and self._is_turn_of(owner):
                    wait_s = min(wait_s, self._left_to_wait_s())
                    if wait_s <= 0:
                        return self._take(owner)
                elif self._queue:  # it may have become another one's turn, after that one began to wait
                    self._wake_one()
                if self._is_closed and not self._queue:
                    return []
                owner.changed.wait(wait_s)
            return []

    def _beat(self, owner: _Owner) -> None:
        self._beaten.add(owner)
        if self._beaten.issuperset(self._owners):
            self.beats += 1
            self._beaten.clear()

    def _is_turn_of(self, owner: _Owner) -> bool:
        """A request that is alone goes to the wide one, if there is one; all else to those that share."""
        is_alone = len(self._queue) == 1 and all(other.busy_since is None for other in self._owners)
        kinds = {other.is_wide for other in self._owners}
        return len(kinds) == 1 or owner.is_wide == is_alone

    def _wake_one(self) -> None:
        """Tell an owner that has nothing to do; when it has taken its share, it will tell the next one."""
        idle = (owner for owner in self._owners if owner.busy_since is None and self._is_turn_of(owner))
        owner = next(idle, None)
        if self._queue and owner:
            owner.changed.notify()

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
        return _count(piece for piece in self._queue if piece.tensor.shape[1:] == shape)

    def _take(self, owner: _Owner) -> list[Piece]:
        """The oldest piece, and those of the same shape that fit beside it; none overtakes one of its job."""
        owner.busy_since = time.monotonic()
        taken: list[Piece] = []
        left: deque[Piece] = deque()
        first = self._queue[0]
        room = 0 if first.is_suspect else self._share()
        for piece in self._queue:
            has_its_turn = not piece.is_suspect and (not left or left[-1].job is not piece.job)
            fits = len(piece.tensor) <= room and piece.tensor.shape[1:] == first.tensor.shape[1:]
            # A model that was loaded again may take fewer than the first has: that goes, and fails, alone.
            if piece is first or (has_its_turn and fits):
                taken.append(piece)
                room -= len(piece.tensor)
            else:
                left.append(piece)
        self._queue = left
        owner.images = _count(taken)
        self._wake_one()
        return taken

    def _share(self) -> int:
        """How many images to take: no more than the others have or will get, those that are free included."""
        sharing = [owner for owner in self._owners if not owner.is_wide] or self._owners
        free = sum(not owner.images for owner in sharing)  # the one that takes is one of them, or all are
        waiting = _count(self._queue)
        in_hand = sum(owner.images for owner in sharing)
        fair = min(math.ceil((waiting + in_hand) / len(sharing)), math.ceil(waiting / free))
        return min(self._max_batch_size, fair)

    def _run(self, pieces: Sequence[Piece], score: Score, is_lost: Callable[[], bool]) -> None:
        for piece in pieces:
            piece.job.queued_s = piece.job.queued_s or piece.job.waited_s
        try:
            scores = score(*(piece.tensor for piece in pieces))
            wanted = _count(pieces)
            if len(scores) != wanted:
                raise PredictionError(f"the model answered {len(scores)} results to {wanted} images")  # noqa: TRY301
        except Exception as exc:  # noqa: BLE001  # handed on to the requests, and raised there
            self._fail_or_run_apart(pieces, exc, score, is_lost)
            return
        self._on_batch(wanted)
        row = 0
        for piece in pieces:
            rows = scores[row : row + len(piece.tensor)]
            row += len(piece.tensor)
            with self._lock:
                piece.job.add(piece.number, rows)

    def _fail_or_run_apart(
        self,
        pieces: Sequence[Piece],
        exc: Exception,
        score: Score,
        is_lost: Callable[[], bool],
    ) -> None:
        """One has failed the batch: the others must not suffer; a lost model leaves them to the next."""
        if len(pieces) == 1:
            with self._lock:
                pieces[0].job.fail(exc)
            return
        for number, piece in enumerate(pieces):
            if is_lost():
                self._put_back(pieces[number:])
                return
            self._run([piece], score, is_lost)

    def _put_back(self, pieces: Sequence[Piece]) -> None:
        """Let the model that comes next run these one by one: one of them may have ended the last one."""
        with self._lock:
            for piece in reversed(pieces):
                piece.is_suspect = True
                self._queue.appendleft(piece)


def _count(pieces: Iterable[Piece]) -> int:
    """How many images they have."""
    return sum(len(piece.tensor) for piece in pieces)
