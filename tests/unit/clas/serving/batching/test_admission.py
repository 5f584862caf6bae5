import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from clas.errors import TooLargeError, UnavailableError
from clas.serving.batching.admission import Admission, Room, Ticket


class Gauge:
    """Keeps all values that it was given."""

    def __init__(self) -> None:
        self.values = [0]

    def __call__(self, value: int) -> None:
        self.values.append(value)


def come_and_go(models: Sequence[Admission], grow: Callable[[Ticket], None]) -> int:
    """Have threads send requests of 30 bytes for all models; returns how many were admitted."""
    start = threading.Barrier(8)

    def send(number: int) -> int:
        start.wait()
        admitted = 0
        for _ in range(200):
            try:
                with models[number % len(models)].admit(30) as ticket:
                    grow(ticket)
                    admitted += 1
            except UnavailableError:
                pass
        return admitted

    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(send, range(8)))


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


@pytest.fixture
def admission(gauge: Gauge) -> Admission:
    return Admission(max_images=4, room=Room(100), max_bytes=100, on_change=gauge)


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
    assert come_and_go([admission], lambda ticket: ticket.set_images(2)) > 0
    assert max(gauge.values) <= 4
    assert gauge.values[-1] == 0


# Several models


def test_a_model_leaves_the_part_of_the_room_that_is_not_its_own_to_the_others() -> None:
    room = Room(100)
    rose, lily = (Admission(4, room, 60, lambda _: None) for _ in range(2))
    with rose.admit(60) as first:
        first.grow(num_bytes=60)
        with (
            pytest.raises(UnavailableError, match="the queue is full: 60 of 60 bytes"),
            rose.admit(1),
        ):
            pytest.fail("it was admitted")
        with lily.admit(40) as second:
            second.grow(num_bytes=40)
            with pytest.raises(UnavailableError, match="the queue is full: 100 of 100 bytes"):
                second.grow(num_bytes=1)
    with lily.admit(60) as ticket:
        ticket.grow(num_bytes=60)


def test_images_are_counted_for_each_model() -> None:
    room = Room(100)
    gauges = Gauge(), Gauge()
    rose, lily = (Admission(4, room, 60, gauge) for gauge in gauges)
    with rose.admit(0) as first, lily.admit(0) as second:
        first.set_images(4)
        second.set_images(3)
        assert [gauge.values[-1] for gauge in gauges] == [4, 3]
    assert [gauge.values[-1] for gauge in gauges] == [0, 0]


def test_what_has_no_room_beside_others_takes_up_nothing_of_its_models_own() -> None:
    room = Room(100)
    rose = Admission(4, room, 60, lambda _: None)
    with room.hold(80), rose.admit(20) as ticket:
        with pytest.raises(UnavailableError, match="the queue is full: 80 of 100 bytes"):
            ticket.grow(images=1, num_bytes=60)
        ticket.grow(images=4, num_bytes=20)
    with rose.admit(60) as ticket:
        ticket.grow(images=4, num_bytes=60)
    room.check(100)


def test_a_response_is_counted_even_if_there_is_no_room_for_it() -> None:
    """It is there already; there is no room for requests then."""
    room = Room(100)
    with room.hold(150):
        for function in (room.check, room.change):
            with pytest.raises(UnavailableError, match="the queue is full: 150 of 100 bytes"):
                function(1)
        room.check(0)
        room.change(0)
    room.check(100)
    with pytest.raises(UnavailableError, match="the queue is full: 0 of 100 bytes"):
        room.check(101)


def test_a_response_that_fails_is_counted_no_longer() -> None:
    room = Room(100)
    with pytest.raises(ZeroDivisionError), room.hold(100):
        raise ZeroDivisionError
    room.check(100)


def test_the_room_is_bounded_for_all_models_with_many_threads() -> None:
    room = Room(100)
    most: list[int] = []
    models = [Admission(100, room, 60, lambda _: most.append(room._bytes)) for _ in range(4)]
    assert come_and_go(models, lambda ticket: ticket.grow(images=1, num_bytes=30)) > 0
    assert max(most) <= 100
    room.check(100)
