import contextlib
import gc
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from clas.engine.base import Batch, Scores
from clas.errors import PredictionError, UnavailableError
from clas.serving.batching.batcher import Batcher, Run
from clas.serving.batching.job import Job, Piece
from gates import PATIENCE_S, Gate, wait_until

BLOCKER_SIDE = 1
"""Images of this side are of another shape than all others: a batch of them holds nothing else."""


class Model:
    """Answers each image with the mean of its channels; can be held, and fails on numbers below 0."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.batches: list[list[int]] = []

    def __call__(self, *parts: Batch) -> Scores:
        batch = np.concatenate(parts)
        self.batches.append([int(image[0, 0, 0]) for image in batch])
        self.gate.enter()
        if (batch < 0).any():
            raise PredictionError("the model failed on this batch")
        scores: Scores = batch.mean((2, 3))
        return scores


class Serving:
    """A batcher, and the thread that serves it."""

    def __init__(self, *, max_batch_size: int = 4, wait_s: float = 0, run: Run | None = None) -> None:
        self.model = Model()
        self.sizes: list[int] = []
        self.batcher = Batcher(wait_s, self.sizes.append)
        self.thread = threading.Thread(
            target=self.batcher.serve, args=(run or self.model, max_batch_size), daemon=True
        )
        self.thread.start()
        wait_until(lambda: self.batcher.beats)

    def submit(self, *numbers: int, side: int = 2, deadline: float | None = None) -> Job:
        images = [np.full((2, side, side), number, np.float32) for number in numbers]
        return self.batcher.submit(np.stack(images), deadline or time.monotonic() + PATIENCE_S)

    def end(self) -> None:
        self.batcher.close()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()

    def while_busy(self, act: Callable[[], None]) -> None:
        """Have the model busy with something else during `act`, and note nothing of that."""
        with self.model.gate.closed():
            blocker = self.submit(0, side=BLOCKER_SIDE)
            self.model.gate.wait_for_arrival()
            act()
            self.model.batches.clear()
            self.sizes.clear()
        answer_of(blocker)
        self.sizes.pop(0)


@pytest.fixture
def start() -> Iterator[Callable[..., Serving]]:
    start_several: list[Serving] = []

    def make(**options: Any) -> Serving:
        start_several.append(Serving(**options))
        return start_several[-1]

    yield make
    for serving in start_several:
        serving.end()


def answer_of(job: Job) -> list[int]:
    scores = job.scores.result(PATIENCE_S)
    assert (scores[:, 0] == scores[:, 1]).all()
    return [int(number) for number in scores[:, 0]]


def submit_while_busy(serving: Serving, *jobs: tuple[int, ...]) -> list[Job]:
    submitted: list[Job] = []
    serving.while_busy(lambda: submitted.extend(serving.submit(*numbers) for numbers in jobs))
    return submitted


def test_a_lone_request_is_answered_at_once(start: Callable[..., Serving]) -> None:
    serving = start()
    job = serving.submit(7)
    assert answer_of(job) == [7]
    assert job.queued_s >= 0
    assert job.compute_s > 0
    assert serving.sizes == [1]


def test_requests_of_the_same_shape_go_through_together(start: Callable[..., Serving]) -> None:
    serving = start()
    jobs = submit_while_busy(serving, (1,), (2, 3), (4,))
    assert [answer_of(job) for job in jobs] == [[1], [2, 3], [4]]
    assert serving.model.batches == [[1, 2, 3, 4]]
    assert serving.sizes == [4]


def test_a_batch_never_exceeds_max_batch_size_and_small_requests_fill_it_up(
    start: Callable[..., Serving],
) -> None:
    serving = start()
    jobs = submit_while_busy(serving, (1, 2, 3), (4, 5), (6,), (7,))
    assert [answer_of(job) for job in jobs] == [[1, 2, 3], [4, 5], [6], [7]]
    assert serving.model.batches == [[1, 2, 3, 6], [4, 5, 7]]


def test_requests_of_different_shapes_do_not_go_through_together(start: Callable[..., Serving]) -> None:
    serving = start()
    jobs: list[Job] = []
    serving.while_busy(
        lambda: jobs.extend(serving.submit(number, side=2 + number % 2) for number in range(4))
    )
    assert [answer_of(job) for job in jobs] == [[0], [1], [2], [3]]
    assert serving.model.batches == [[0, 2], [1, 3]]


def test_a_request_larger_than_max_batch_size_runs_in_pieces_and_keeps_its_order(
    start: Callable[..., Serving],
) -> None:
    serving = start()
    jobs = submit_while_busy(serving, tuple(range(10)), (10, 11))
    assert [answer_of(job) for job in jobs] == [list(range(10)), [10, 11]]
    assert serving.model.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_the_last_piece_of_a_request_does_not_overtake_its_first(start: Callable[..., Serving]) -> None:
    serving = start()
    jobs = submit_while_busy(serving, (50,), tuple(range(9)), (60, 61))
    assert [answer_of(job) for job in jobs] == [[50], list(range(9)), [60, 61]]
    assert serving.model.batches == [[50, 60, 61], [0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_one_failing_request_does_not_fail_its_neighbours(start: Callable[..., Serving]) -> None:
    serving = start()
    good, bad, other = submit_while_busy(serving, (1,), (-2,), (3, 4))
    assert answer_of(good) == [1]
    assert answer_of(other) == [3, 4]
    with pytest.raises(PredictionError, match="failed on this batch"):
        bad.scores.result(PATIENCE_S)
    assert serving.model.batches == [[1, -2, 3, 4], [1], [-2], [3, 4]]
    assert serving.sizes == [1, 2]


def test_a_request_whose_first_piece_failed_is_computed_no_further(start: Callable[..., Serving]) -> None:
    serving = start()
    bad, good = submit_while_busy(serving, (-1, *range(1, 12)), (50,))
    with pytest.raises(PredictionError):
        bad.scores.result(PATIENCE_S)
    assert answer_of(good) == [50]
    assert serving.model.batches == [[-1, 1, 2, 3], [50]]


@pytest.mark.parametrize("jobs", [[(1, 2)], [(1,), (2,)]], ids=["alone", "with a neighbour"])
def test_a_wrong_number_of_results_is_an_error(
    start: Callable[..., Serving], jobs: list[tuple[int, ...]]
) -> None:
    serving = start(run=lambda *parts: np.zeros((sum(map(len, parts)) + 1, 2), np.float32))
    submitted = [serving.submit(*numbers) for numbers in jobs]
    for job, numbers in zip(submitted, jobs, strict=True):
        wanted = f"the model answered {len(numbers) + 1} results to {len(numbers)} images"
        with pytest.raises(PredictionError, match=wanted):
            job.scores.result(PATIENCE_S)
    assert serving.sizes == []


def test_a_request_whose_time_is_over_is_never_computed(start: Callable[..., Serving]) -> None:
    serving = start()
    jobs: list[Job] = []
    serving.while_busy(lambda: jobs.extend([serving.submit(1, deadline=time.monotonic()), serving.submit(2)]))
    with pytest.raises(UnavailableError, match="time for this request is over: it was not computed"):
        jobs[0].scores.result(PATIENCE_S)
    assert answer_of(jobs[1]) == [2]
    assert serving.model.batches == [[2]]


def test_a_request_whose_client_has_gone_is_never_computed(start: Callable[..., Serving]) -> None:
    serving = start()
    jobs: list[Job] = []

    def cancel_the_first() -> None:
        jobs.extend([serving.submit(*range(9)), serving.submit(20)])
        assert jobs[0].scores.cancel()

    serving.while_busy(cancel_the_first)
    assert answer_of(jobs[1]) == [20]
    assert serving.model.batches == [[20]]


@pytest.mark.parametrize("number", [1, -1], ids=["would succeed", "would fail"])
def test_a_client_that_goes_while_the_model_is_at_its_images_harms_nothing(
    start: Callable[..., Serving], number: int
) -> None:
    serving = start()
    with serving.model.gate.closed():
        job = serving.submit(number)
        serving.model.gate.wait_for_arrival()
        assert job.scores.cancel()
    assert answer_of(serving.submit(2)) == [2]
    with pytest.raises(CancelledError):
        job.scores.result(0)


def test_batch_wait_lets_a_request_wait_until_its_batch_is_full(start: Callable[..., Serving]) -> None:
    serving = start(wait_s=60)
    first = serving.submit(1, 2, 3)
    seen = serving.batcher.beats
    wait_until(lambda: serving.batcher.beats > seen)  # the thread has looked at it, and let it wait
    assert serving.model.batches == []
    assert not first.scores.done()
    second = serving.submit(4)
    assert answer_of(first) == [1, 2, 3]
    assert answer_of(second) == [4]
    assert serving.model.batches == [[1, 2, 3, 4]]


def test_batch_wait_is_not_for_longer_than_asked(start: Callable[..., Serving]) -> None:
    serving = start(wait_s=0.05)
    job = serving.submit(1)
    assert answer_of(job) == [1]
    assert 0.05 <= job.queued_s < PATIENCE_S / 2


def test_a_waiting_requests_time_can_be_over(start: Callable[..., Serving]) -> None:
    serving = start(wait_s=60)
    job = serving.submit(1, deadline=time.monotonic() + 0.01)
    with pytest.raises(UnavailableError, match="the time for this request is over"):
        job.scores.result(PATIENCE_S)
    assert serving.model.batches == []


def test_close_finishes_what_is_queued_and_refuses_more(start: Callable[..., Serving]) -> None:
    serving = start(wait_s=60)
    jobs = [serving.submit(number) for number in range(3)]
    serving.end()
    assert [answer_of(job) for job in jobs] == [[0], [1], [2]]
    with pytest.raises(UnavailableError, match="the server is stopping"):
        serving.submit(4)


def test_a_lost_model_leaves_the_queue_to_the_next_one() -> None:
    model, later = Model(), Model()
    batcher = Batcher(0, lambda _: None)
    deadline = time.monotonic() + PATIENCE_S
    images = np.arange(3, dtype=np.float32).repeat(8).reshape(3, 2, 2, 2)
    jobs = [batcher.submit(images[number : number + 1], deadline) for number in range(3)]
    batcher.serve(model, 2, is_lost=lambda: bool(model.batches))
    assert model.batches == [[0, 1]]
    assert [job.scores.done() for job in jobs] == [True, True, False]
    batcher.close()
    batcher.serve(later, 2, is_lost=lambda: False)
    assert later.batches == [[2]]
    assert [answer_of(job) for job in jobs] == [[0], [1], [2]]


def test_a_model_that_is_lost_while_there_is_nothing_to_do_is_noticed() -> None:
    batcher = Batcher(0, lambda _: None)
    batcher.serve(Model(), 2, is_lost=lambda: batcher.beats > 2)  # returns
    assert batcher.beats == 3


def test_beats_stand_still_and_busy_time_goes_up_while_the_model_runs(start: Callable[..., Serving]) -> None:
    serving = start()
    assert serving.batcher.busy_s == 0
    with serving.model.gate.closed():
        job = serving.submit(1)
        serving.model.gate.wait_for_arrival()
        wait_until(lambda: serving.batcher.busy_s > 0.01)
        beats = serving.batcher.beats
        wait_until(lambda: serving.batcher.busy_s > 0.3)  # longer than between two beats
        assert serving.batcher.beats == beats
    assert answer_of(job) == [1]
    wait_until(lambda: serving.batcher.busy_s == 0)
    wait_until(lambda: serving.batcher.beats > beats)


def test_many_threads_get_their_own_scores(start: Callable[..., Serving]) -> None:
    serving = start(max_batch_size=8)
    numbers = iter(range(10**6))
    lock = threading.Lock()

    def ask(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311
        for _ in range(30):
            with lock:
                mine = [next(numbers) for _ in range(chance.randint(1, 12))]
            assert answer_of(serving.submit(*mine, side=chance.choice([2, 3]))) == mine

    with ThreadPoolExecutor(16) as pool:
        done: list[Future[None]] = [pool.submit(ask, seed) for seed in range(16)]
    for future in done:
        future.result()
    assert max(serving.sizes) <= 8
    assert sum(serving.sizes) == next(numbers)


def test_a_model_that_is_loaded_again_and_takes_fewer_images_gets_alone_what_was_queued() -> None:
    model = Model()
    batcher = Batcher(0, lambda _: None)
    deadline = time.monotonic() + PATIENCE_S
    first = batcher.submit(np.zeros((1, 2, 2, 2), np.float32), deadline)
    batcher.serve(model, 4, is_lost=lambda: bool(model.batches))  # from now on, four images are a piece
    large = batcher.submit(np.full((4, 2, 2, 2), 5, np.float32), deadline)
    small = batcher.submit(np.full((1, 2, 2, 2), 6, np.float32), deadline)
    batcher.close()
    batcher.serve(model, 2)
    assert [answer_of(job) for job in (first, large, small)] == [[0], [5] * 4, [6]]
    assert model.batches == [[0], [5] * 4, [6]]


def test_the_images_of_an_answered_request_are_free_at_once(start: Callable[..., Serving]) -> None:
    """Without the garbage collector, which looks only now and then."""
    serving = start()
    images = np.ones((3, 2, 2, 2), np.float32)
    gone = weakref.finalize(images, lambda: None)
    gc.disable()
    try:
        job = serving.batcher.submit(images, time.monotonic() + PATIENCE_S)
        del images
        assert answer_of(job) == [1, 1, 1]
        wait_until(lambda: not gone.alive)
    finally:
        gc.enable()


def test_neighbours_of_a_request_that_ended_the_model_get_their_scores_from_the_next_one() -> None:
    later = Model()
    batcher = Batcher(0, lambda _: None)
    deadline = time.monotonic() + PATIENCE_S
    jobs = [batcher.submit(np.full((1, 2, 2, 2), number, np.float32), deadline) for number in (1, 2, 3)]
    batches: list[int] = []

    def die(*parts: Batch) -> Scores:
        batch = np.concatenate(parts)
        batches.append(len(batch))
        if (batch == 2).any():
            raise UnavailableError("the model's process has died")
        return later(batch)

    for _ in range(3):
        lives = len(batches)
        batcher.serve(die, 4, is_lost=lambda lives=lives: len(batches) > lives)  # type: ignore[misc]
    batcher.close()
    batcher.serve(later, 4)
    assert batches == [3, 1, 1]
    assert [answer_of(job) for job in (jobs[0], jobs[2])] == [[1], [3]]
    with pytest.raises(UnavailableError):
        jobs[1].scores.result(0)


class Mortal:
    """A model that dies of a number; see `serve_with`."""

    def __init__(self, *deadly: int) -> None:
        self.batches: list[list[int]] = []
        self.is_lost = False
        self._deadly = deadly

    def __call__(self, *parts: Batch) -> Scores:
        batch = np.concatenate(parts)
        numbers = [int(image[0, 0, 0]) for image in batch]
        self.batches.append(numbers)
        if set(numbers) & set(self._deadly):
            self.is_lost = True
            raise UnavailableError(f"the model's process has died of {numbers}")
        scores: Scores = batch.mean((2, 3))
        return scores


def serve_with(batcher: Batcher, model: Mortal, max_batch_size: int = 4) -> None:
    """Serve until the model dies, or the queue is empty."""
    batcher.serve(model, max_batch_size, lambda: model.is_lost or not batcher._queue)


def submit_one_by_one(batcher: Batcher, *numbers: int) -> list[Job]:
    deadline = time.monotonic() + PATIENCE_S
    return [batcher.submit(np.full((1, 2, 2, 2), number, np.float32), deadline) for number in numbers]


@pytest.mark.parametrize("neighbours", [(), (1, 3)], ids=["alone", "with company"])
def test_a_request_is_tried_once_more_when_its_model_dies_whether_alone_or_not(
    neighbours: tuple[int, ...],
) -> None:
    batcher = Batcher(0, lambda _: None)
    jobs = submit_one_by_one(batcher, 2, *neighbours)
    serve_with(batcher, Mortal(2))
    assert not any(job.scores.done() for job in jobs)
    serve_with(batcher, Mortal())
    assert [answer_of(job) for job in jobs] == [[2], *([number] for number in neighbours)]


def test_a_request_that_ends_two_models_fails_and_ends_no_third() -> None:
    batcher = Batcher(0, lambda _: None)
    [job] = submit_one_by_one(batcher, 2)
    for _ in range(2):
        assert not job.scores.done()
        serve_with(batcher, Mortal(2))
    with pytest.raises(UnavailableError, match=r"has died of \[2\]"):
        job.scores.result(0)
    assert not batcher._queue


def test_a_request_that_ends_the_model_while_its_neighbours_run_apart_is_tried_once_more() -> None:
    """The batch fails, without ending the model; then one of its images ends it alone."""
    batcher, sizes = Batcher(0, lambda _: None), []
    jobs = submit_one_by_one(batcher, 1, 2, 3)
    first = Mortal(2)

    def fail_together(*parts: Batch) -> Scores:
        sizes.append(len(parts))
        if len(parts) > 1:
            raise PredictionError("the model failed on this batch")
        return first(*parts)

    batcher.serve(fail_together, 4, lambda: first.is_lost)
    assert sizes == [3, 1, 1]
    assert [job.scores.done() for job in jobs] == [True, False, False]
    later = Mortal()
    serve_with(batcher, later)
    assert [answer_of(job) for job in jobs] == [[1], [2], [3]]
    assert later.batches == [[3], [2]]  # one by one


def test_nothing_is_left_to_a_next_model_once_the_batcher_is_closed() -> None:
    batcher = Batcher(0, lambda _: None)
    [job] = submit_one_by_one(batcher, 2)
    batcher.close()
    serve_with(batcher, Mortal(2))
    with pytest.raises(UnavailableError, match="has died"):
        job.scores.result(0)


def test_requests_in_hand_fail_when_serving_does() -> None:
    def fail(_: int) -> None:
        raise ZeroDivisionError("as a test")

    batcher = Batcher(0, fail)
    [job] = submit_one_by_one(batcher, 2)
    with pytest.raises(ZeroDivisionError):
        serve_with(batcher, Mortal())
    with pytest.raises(ZeroDivisionError):
        job.scores.result(0)


# Several predictors


class Several:
    """A batcher, and several threads that serve it; each model can be held."""

    def __init__(self, *, wide: bool, sharing: int, max_batch_size: int = 8) -> None:
        self.batcher = Batcher(0, lambda _: None)
        self.models = [Model() for _ in range(wide + sharing)]
        self.threads = [
            threading.Thread(
                target=self.batcher.serve,
                args=(model, max_batch_size),
                kwargs={"is_wide": wide and number == 0},
                daemon=True,
            )
            for number, model in enumerate(self.models)
        ]
        for number, thread in enumerate(self.threads, 1):
            thread.start()
            wait_until(lambda number=number: len(self.batcher._members) == number)  # type: ignore[misc]

    def submit(self, *numbers: int) -> Job:
        images = np.stack([np.full((2, 2, 2), number, np.float32) for number in numbers])
        return self.batcher.submit(images, time.monotonic() + PATIENCE_S)

    @property
    def batches(self) -> list[list[list[int]]]:
        return [model.batches for model in self.models]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for model in self.models:
                stack.enter_context(model.gate.closed())
            yield

    def end(self) -> None:
        self.batcher.close()
        for thread in self.threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@pytest.fixture
def start_several() -> Iterator[Callable[..., Several]]:
    made: list[Several] = []

    def make(**options: Any) -> Several:
        made.append(Several(**options))
        return made[-1]

    yield make
    for one in made:
        for model in one.models:
            model.gate.open()
        one.end()


def test_a_request_that_is_alone_goes_to_the_wide_one(start_several: Callable[..., Several]) -> None:
    several = start_several(wide=True, sharing=2)
    for number in range(3):
        assert answer_of(several.submit(number)) == [number]
        wait_until(lambda: several.batcher.busy_s == 0)
    assert several.batches == [[[0], [1], [2]], [], []]


def test_one_that_is_woken_when_it_is_not_its_turn_any_more_wakes_the_one_whose_turn_it_is(
    start_several: Callable[..., Several], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clas.serving.batching.batcher._BEAT_S", 10 * PATIENCE_S)  # nobody looks by himself
    several = start_several(wide=True, sharing=2)
    batcher, job = several.batcher, Job(time.monotonic() + PATIENCE_S, 1)
    wait_until(lambda: all(server.changed._waiters for server in batcher._members))  # type: ignore[attr-defined]
    with batcher._lock:
        busy = batcher._members[1]
        busy.busy_since = time.monotonic()
        batcher._queue.append(Piece(job, 0, np.full((1, 2, 2, 2), 7, np.float32)))
        batcher._wake_one()  # the other one that shares
        busy.busy_since = None  # it is done, and has gone to wait again
    assert answer_of(job) == [7]
    assert several.batches == [[[7]], [], []]


def test_what_comes_while_another_is_computed_goes_to_those_that_share(
    start_several: Callable[..., Several],
) -> None:
    several = start_several(wide=True, sharing=2)
    with several.held():
        jobs = [several.submit(0)]
        several.models[0].gate.wait_for_arrival()
        for number in (1, 2):
            jobs.append(several.submit(number))
            wait_until(lambda number=number: sum(map(len, several.batches)) == number + 1)  # type: ignore[misc]
        jobs += [several.submit(3), several.submit(4)]
    assert [answer_of(job) for job in jobs] == [[0], [1], [2], [3], [4]]
    assert several.batches[0] == [[0]]
    assert sorted(image for model in several.batches[1:] for batch in model for image in batch) == [
        1,
        2,
        3,
        4,
    ]


def test_each_takes_as_many_as_the_others_have_or_are_left(start_several: Callable[..., Several]) -> None:
    several = start_several(wide=False, sharing=2)
    with several.held():
        jobs = [several.submit(0), several.submit(1)]
        wait_until(lambda: sum(map(len, several.batches)) == 2)
        jobs += [several.submit(number) for number in range(2, 8)]
        first, other = sorted(several.models, key=lambda model: model.batches)
        first.gate.open()
        wait_until(lambda: len(first.batches) == 3)
        assert first.batches == [[0], [2, 3, 4, 5], [6, 7]]
    assert [answer_of(job) for job in jobs] == [[number] for number in range(8)]
    assert other.batches == [[1]]


def test_the_free_ones_share_what_waits_beside_one_that_has_much(
    start_several: Callable[..., Several],
) -> None:
    several = start_several(wide=False, sharing=4)
    with several.held():
        jobs = [several.submit(0, 1, 2, 3)]
        wait_until(lambda: sum(map(len, several.batches)) == 1)
        with several.batcher._lock:  # so that both are there before anybody looks
            pieces = [Job(time.monotonic() + PATIENCE_S, 1) for _ in range(2)]
            for number, job in enumerate(pieces, 4):
                several.batcher._queue.append(Piece(job, 0, np.full((1, 2, 2, 2), number, np.float32)))
            several.batcher._wake_one()
        wait_until(lambda: sum(map(len, several.batches)) == 3)
    assert [answer_of(job) for job in [*jobs, *pieces]] == [[0, 1, 2, 3], [4], [5]]


def test_the_pieces_of_one_request_are_computed_side_by_side_and_put_in_order(
    start_several: Callable[..., Several],
) -> None:
    several = start_several(wide=True, sharing=2, max_batch_size=3)
    with several.held():
        job = several.submit(*range(6))
        wait_until(lambda: sum(map(len, several.batches)) == 2)
        assert several.batches[0] == []
    assert answer_of(job) == list(range(6))


def test_without_the_wide_one_the_others_take_what_is_alone(start_several: Callable[..., Several]) -> None:
    several = start_several(wide=False, sharing=2)
    assert answer_of(several.submit(5)) == [5]


def test_a_lost_model_leaves_its_work_to_the_others() -> None:
    batcher, other = Batcher(0, lambda _: None), Model()
    lost = threading.Event()

    def die(*_: Batch) -> Scores:
        lost.set()
        raise UnavailableError("the model's process has died")

    threads = [
        threading.Thread(target=batcher.serve, args=(die, 4, lost.is_set), kwargs={"is_wide": True}),
        threading.Thread(target=batcher.serve, args=(other, 4)),
    ]
    deadline = time.monotonic() + PATIENCE_S
    threads[0].start()
    wait_until(lambda: batcher.beats)
    first = batcher.submit(np.zeros((1, 2, 2, 2), np.float32), deadline)
    threads[0].join(PATIENCE_S)
    second = batcher.submit(np.full((1, 2, 2, 2), 7, np.float32), deadline)
    threads[1].start()
    assert [answer_of(first), answer_of(second)] == [[0], [7]]
    assert other.batches == [[0], [7]]  # alone: it may have ended the first one
    batcher.close()
    threads[1].join(PATIENCE_S)
    assert not threads[1].is_alive()


def test_beats_tell_of_the_one_that_stands_still(start_several: Callable[..., Several]) -> None:
    several = start_several(wide=False, sharing=2)
    with several.held():
        job = several.submit(1)
        wait_until(lambda: several.batcher.busy_s > 0.05)
        beats = several.batcher.beats
        wait_until(lambda: several.batcher.busy_s > 0.5)  # longer than between two beats
        assert several.batcher.beats <= beats + 1
    assert answer_of(job) == [1]
    wait_until(lambda: several.batcher.beats > beats + 1)
