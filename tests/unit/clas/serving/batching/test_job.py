import time

import numpy as np
import pytest

from clas.engine.base import Scores
from clas.errors import PredictionError, UnavailableError
from clas.serving.batching.job import Job


def scores(*values: float) -> Scores:
    return np.array(values, np.float32)[:, np.newaxis]


def test_the_scores_are_in_the_order_of_the_pieces_whichever_comes_first() -> None:
    job = Job(time.monotonic() + 10, 3)
    job.queued_s = job.waited_s
    job.add(2, scores(4))
    job.add(0, scores(0, 1))
    assert not job.scores.done()
    job.add(1, scores(2, 3))
    assert job.scores.result(0)[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert 0 < job.compute_s <= job.waited_s - job.queued_s  # side by side, not one after the other


def test_a_piece_that_comes_after_another_has_failed_changes_nothing() -> None:
    job = Job(time.monotonic() + 10, 2)
    job.fail(PredictionError("the model failed"))
    job.add(1, scores(1))
    job.fail(PredictionError("once more"))
    assert not job.is_wanted()
    with pytest.raises(PredictionError, match=r"^the model failed$"):
        job.scores.result(0)


def test_a_job_whose_time_is_over_fails() -> None:
    job = Job(time.monotonic() - 1, 1)
    assert not job.is_wanted()
    with pytest.raises(UnavailableError, match="the time for this request is over: it was not computed"):
        job.scores.result(0)
