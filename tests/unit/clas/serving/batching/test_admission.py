import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from clas.errors import TooLargeError, UnavailableError
from clas.serving.batching.admission import Admission


class Gauge:
    """Keeps all values that it was given."""

    def __init__(self) -> None:
        self.values = [0]

    def __call__(self, value: int) -> None:
        self.values.append(value)


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


@pytest.fixture
def admission(gauge: Gauge) -> Admission:
    return Admission(max_images=4, max_bytes=100, on_change=gauge)


def test_a_request_takes_up_nothing_until_it_has_come(admission: Admission, gauge: Gauge) -> None:
    """Or clients that merely announce a body would keep others out."""
    with admission.admit(100), admission.admit(100) as ticket:
        assert gauge.values[-1] == 0
        ticket.grow(images=1, num_bytes=100)
        assert gauge.values[-1] == 1
        ticket.set_images(3)
        assert gauge.values[-1] == 3
        ticket.set_images(1)
        assert gauge.values[-1] == 1
    assert gauge.values[-1] == 0


def test_a_full_queue_refuses_and_takes_requests_again_afterwards(admission: Admission) -> None:
    with admission.admit(0) as ticket:
        ticket.set_images(4)
        with (
            pytest.raises(UnavailableError, match="the queue is full: 4 of 4 images"),
            admission.admit(0),
        ):
            pytest.fail("it was admitted")
    with admission.admit(0) as ticket:
        ticket.set_images(4)


def test_bytes_are_bounded_whether_told_beforehand_or_not(admission: Admission) -> None:
    with admission.admit(60) as first:
        first.grow(num_bytes=60)
        with pytest.raises(UnavailableError, match="the queue is full: 60 of 100 bytes"), admission.admit(41):
            pytest.fail("it was admitted")
        with admission.admit(0) as ticket:
            ticket.grow(num_bytes=40)
            with pytest.raises(UnavailableError, match="the queue is full: 100 of 100 bytes"):
                ticket.grow(num_bytes=1)
    with admission.admit(100):
        pass


def test_what_is_refused_takes_up_nothing(admission: Admission, gauge: Gauge) -> None:
    with admission.admit(0) as first, admission.admit(0) as second:
        first.set_images(3)
        with pytest.raises(UnavailableError):
            second.set_images(2)
        assert gauge.values[-1] == 3
    assert gauge.values[-1] == 0


def test_more_images_than_the_bounds_can_ever_take_are_too_large(admission: Admission) -> None:
    with (
        admission.admit(0) as ticket,
        pytest.raises(TooLargeError, match="has 5 images; max_queue_images is 4: send smaller batches"),
    ):
        ticket.set_images(5)


def test_a_request_that_fails_gives_back_what_it_took(admission: Admission, gauge: Gauge) -> None:
    with pytest.raises(TooLargeError), admission.admit(100) as ticket:
        ticket.set_images(5)
    assert gauge.values[-1] == 0
    with admission.admit(100):
        pass


def test_a_thread_that_decodes_for_a_request_that_is_over_takes_up_nothing(
    admission: Admission, gauge: Gauge
) -> None:
    with admission.admit(0) as ticket:
        pass
    with pytest.raises(UnavailableError, match="over already"):
        ticket.set_images(3)
    assert gauge.values[-1] == 0


def test_the_bounds_hold_with_many_threads(admission: Admission, gauge: Gauge) -> None:
    start = threading.Barrier(8)

    def come_and_go(_: int) -> int:
        start.wait()
        admitted = 0
        for _ in range(200):
            try:
                with admission.admit(30) as ticket:
                    ticket.set_images(2)
                    admitted += 1
            except UnavailableError:
                pass
        return admitted

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(come_and_go, range(8))) > 0
    assert max(gauge.values) <= 4
    assert gauge.values[-1] == 0
