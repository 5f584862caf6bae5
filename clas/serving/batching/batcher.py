"""Dynamic batching: requests that wait while the predictors are busy go through them together.

A thread per predictor calls `serve`; any thread may call `submit`.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from ...engine.base import Batch, Scores
from ...errors import PredictionError, UnavailableError
from . import wide_member
from .job import Job, Piece

_SLACK_S: Final = 10.0  # for a pool member to end a process that hangs
_BEAT_S: Final = 0.2  # the longest time between heartbeats of an idle predictor


class Run(Protocol):
    """Runs a model."""

    def __call__(self, *parts: Batch) -> Scores:
        """See `Runner.run`."""


class _Member:
    """A thread in `serve`.

    Attributes:
        is_wide: Its predictor has all cores, and so runs beside no other.
        busy_since: When its predictor got its current batch; None if it is idle.
        num_images: The size of that batch.
        changed: Notified when it is to look at the queue.
    """

    def __init__(self, lock: threading.Lock, *, is_wide: bool) -> None:
        self.is_wide = is_wide
        self.busy_since: float | None = None
        self.num_images = 0
        self.changed = threading.Condition(lock)


class Batcher:
    """A queue of jobs in front of one or more predictors of the same model.

    Several predictors share the cores, and each takes its share of the queue; see `wide_member` for the one
    that doesn't share.

    Args:
        wait_s: How long the oldest job may wait for others while its batch has room.
        on_batch: Called with the size of each batch after it ran.

    Attributes:
        beats: Heartbeat counter: goes up while all threads in `serve` respond, and stands still while one of
            the models runs.
    """

    def __init__(self, wait_s: float, on_batch: Callable[[int], None]) -> None:
        self.beats = 0
        self._max_batch_size = 1
        self._wait_s = wait_s
        self._on_batch = on_batch
        self._queue: deque[Piece] = deque()
        self._lock = threading.Lock()
        self._members: list[_Member] = []
        self._beaten: set[_Member] = set()
        self._is_closed = False

    @property
    def busy_s(self) -> float:
        """The longest time that a model has spent on its current batch, in seconds; 0 if all are idle."""
        with self._lock:
            since = [member.busy_since for member in self._members if member.busy_since is not None]
        return time.monotonic() - min(since) if since else 0

    def check_pace(self, timeout_s: float) -> None:
        """Check that no model hangs.

        Args:
            timeout_s: How long a predictor may take for a batch.

        Raises:
            UnavailableError: One has taken longer than that.
        """
        busy_s = self.busy_s
        if busy_s > timeout_s + _SLACK_S:
            raise UnavailableError(f"the model has been at one batch for {math.floor(busy_s)} s")

    def submit(self, tensor: Batch, deadline: float) -> Job:
        """Queue the images of one request.

        Args:
            tensor: [n, C, H, W] float32, C-contiguous, n at least 1; more than a batch runs in pieces.
            deadline: Time of `time.monotonic` after which the result isn't wanted any more.

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

    def fail_queued(self, exc: Exception) -> None:
        """Fail what is queued: nobody will serve it."""
        with self._lock:
            for piece in self._queue:
                piece.job.fail(exc)
            self._queue.clear()

    def close(self) -> None:
        """Refuse further jobs, and let `serve` return once the queue is empty."""
        with self._lock:
            self._is_closed = True
            for member in self._members:
                member.changed.notify()

    def serve(
        self,
        run: Run,
        max_batch_size: int,
        is_lost: Callable[[], bool] = lambda: False,
        *,
        is_wide: bool = False,
    ) -> None:
        """Run a model on queued batches until `close`, or until the model is lost; the queue stays then.

        Args:
            run: Runs the model on a batch that comes in parts.
            max_batch_size: The most images of a batch; the same for all predictors.
            is_lost: Tells whether the model can't run any more; called now and then.
            is_wide: See `wide_member`.
        """
        member = _Member(self._lock, is_wide=is_wide)
        with self._lock:
            self._max_batch_size = max_batch_size
            self._members.append(member)
        try:
            while pieces := self._next_batch(member, is_lost):
                try:
                    self._run(pieces, run, is_lost)
                except BaseException as exc:
                    self._fail(pieces, exc)
                    raise
                del pieces  # else these images would stay in memory until the next ones come
        finally:
            with self._lock:
                self._members.remove(member)
                self._beaten.discard(member)
                self._wake_one()

    def _next_batch(self, member: _Member, is_lost: Callable[[], bool]) -> list[Piece]:
        """Wait for a batch; empty if the batcher is closed or the model lost."""
        with self._lock:
            member.busy_since, member.num_images = None, 0
            while not is_lost():
                self._beat(member)
                self._drop_unwanted()
                wait_s = _BEAT_S
                if self._queue and self._is_turn_of(member):
                    wait_s = min(wait_s, self._remaining_wait_s())
                    if wait_s <= 0:
                        return self._take(member)
                elif self._queue:  # it may have become the turn of another one while that one waited
                    self._wake_one()
                if self._is_closed and not self._queue:
                    return []
                member.changed.wait(wait_s)
            return []

    def _beat(self, member: _Member) -> None:
        self._beaten.add(member)
        if self._beaten.issuperset(self._members):
            self.beats += 1
            self._beaten.clear()

    def _is_turn_of(self, member: _Member) -> bool:
        return wide_member.is_turn_of(member, self._members, len(self._queue))

    def _wake_one(self) -> None:
        """Notify one idle predictor; when it has taken its share, it notifies the next."""
        idle = (member for member in self._members if member.busy_since is None and self._is_turn_of(member))
        member = next(idle, None)
        if self._queue and member:
            member.changed.notify()

    def _drop_unwanted(self) -> None:
        """Remove jobs whose deadline is over, or whose client has gone."""
        if not all(piece.job.is_wanted() for piece in self._queue):
            self._queue = deque(piece for piece in self._queue if piece.job.is_wanted())

    def _remaining_wait_s(self) -> float:
        """How much longer the oldest piece may wait for others."""
        if not self._wait_s or self._is_closed or self._fitting_images() >= self._max_batch_size:
            return 0
        return self._wait_s - self._queue[0].job.waited_s

    def _fitting_images(self) -> int:
        shape = self._queue[0].tensor.shape[1:]
        return _count(piece for piece in self._queue if piece.tensor.shape[1:] == shape)

    def _take(self, member: _Member) -> list[Piece]:
        """Take the oldest piece and those that fit beside it; no piece overtakes another of its job."""
        member.busy_since = time.monotonic()
        taken: list[Piece] = []
        left: deque[Piece] = deque()
        first = self._queue[0]
        room = 0 if first.is_suspect else self._share()
        for piece in self._queue:
            has_its_turn = not piece.is_suspect and (not left or left[-1].job is not piece.job)
            fits = len(piece.tensor) <= room and piece.tensor.shape[1:] == first.tensor.shape[1:]
            # A reloaded model may take fewer images than the first piece has: it runs, and fails, alone.
            if piece is first or (has_its_turn and fits):
                taken.append(piece)
                room -= len(piece.tensor)
            else:
                left.append(piece)
        self._queue = left
        member.num_images = _count(taken)
        self._wake_one()
        return taken

    def _share(self) -> int:
        """At most an equal share of the images that wait and run."""
        sharing = [member for member in self._members if not member.is_wide] or self._members
        free = sum(not member.num_images for member in sharing)  # at least the one that takes
        waiting = _count(self._queue)
        in_hand = sum(member.num_images for member in sharing)
        fair = min(math.ceil((waiting + in_hand) / len(sharing)), math.ceil(waiting / free))
        return min(self._max_batch_size, fair)

    def _run(self, pieces: Sequence[Piece], run: Run, is_lost: Callable[[], bool]) -> None:
        for piece in pieces:
            piece.job.queued_s = piece.job.queued_s or piece.job.waited_s
        try:
            scores = run(*(piece.tensor for piece in pieces))
            wanted = _count(pieces)
            if len(scores) != wanted:
                raise PredictionError(f"the model answered {len(scores)} results to {wanted} images")  # noqa: TRY301
        except Exception as exc:  # noqa: BLE001  # raised again in the requests
            self._fail_or_run_apart(pieces, exc, run, is_lost)
            return
        self._on_batch(wanted)
        row = 0
        for piece in pieces:
            rows = scores[row : row + len(piece.tensor)]
            row += len(piece.tensor)
            with self._lock:
                piece.job.add(piece.number, rows)

    def _fail_or_run_apart(
        self, pieces: Sequence[Piece], exc: Exception, run: Run, is_lost: Callable[[], bool]
    ) -> None:
        """Run the pieces of a failed batch one by one, since one of them failed the others."""
        if is_lost():
            self._put_back(pieces, exc)
        elif len(pieces) == 1:
            self._fail(pieces, exc)
        else:
            for number, piece in enumerate(pieces):
                self._run([piece], run, is_lost)
                if is_lost():
                    self._put_back(pieces[number + 1 :], exc)
                    return

    def _put_back(self, pieces: Sequence[Piece], exc: Exception) -> None:
        """Leave the pieces to the next model, one by one: one of them may have ended this one.

        Those that were left to it before are failed: no piece ends a third model, whether it had company or
        not. And there will be no next model if the batcher is closed.
        """
        with self._lock:
            kept = [] if self._is_closed else [piece for piece in pieces if not piece.is_suspect]
            for piece in reversed(kept):
                piece.is_suspect = True
                self._queue.appendleft(piece)
        self._fail([piece for piece in pieces if piece not in kept], exc)

    def _fail(self, pieces: Sequence[Piece], exc: BaseException) -> None:
        with self._lock:
            for piece in pieces:
                piece.job.fail(exc)


def _count(pieces: Iterable[Piece]) -> int:
    """The number of images in the pieces."""
    return sum(len(piece.tensor) for piece in pieces)
