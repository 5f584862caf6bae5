import multiprocessing
import os
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from clas.errors import PredictionError
from clas.serving.batching.channel import Channel, WrongMessageError, open_channel
from limits import file_size_limit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs sockets that time out")
SPAWN = multiprocessing.get_context("spawn")
BATCH = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
REDUCED = "there is no shared memory for batches, they go through a pipe, which is slower: "

Ends = tuple[Channel, Channel]


def ends_of(timeout_s: float = 10) -> Iterator[Ends]:
    ours, theirs = open_channel(SPAWN, timeout_s)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    yield from ends_of()


@pytest.fixture
def ends_without_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    yield from ends_of(0.01)


def check_both_ways(ends: Ends) -> None:
    for sender, receiver in (ends, ends[::-1]):
        sender.send_array(3, [BATCH, BATCH + 20])
        number, array = receiver.receive()
        np.testing.assert_array_equal(array, np.concatenate([BATCH, BATCH + 20]))
        sender.send(-4, PredictionError("as a test"))
        other_number, error = receiver.receive(10)
        assert (number, other_number, str(error)) == (3, -4, "as a test")


def test_arrays_and_objects_arrive_with_their_numbers(ends: Ends) -> None:
    check_both_ways(ends)


def test_without_shared_memory_they_arrive_too_and_the_log_says_so(
    ends_without_memory: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    check_both_ways(ends_without_memory)
    messages = [record.getMessage() for record in caplog.get_records("setup")]
    assert messages == [REDUCED + "this system has no memfd_create"]
    assert caplog.messages == []


def test_when_memory_is_full_they_arrive_too_and_the_log_says_so_once(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    check_both_ways(ends)
    large = np.ones((100, 100, 3), np.float32)
    ours, theirs = ends
    with file_size_limit(1000):
        for number in (1, 2):
            ours.send_array(number, [large])
            received, array = theirs.receive()
            assert (received, array.sum()) == (number, large.sum())
    assert caplog.messages == [REDUCED + "[Errno 27] File too large"]
    ours.send_array(3, [large])
    assert theirs.receive()[1].sum() == large.sum()


def test_an_array_that_was_replaced_before_it_was_read_is_noticed(ends: Ends) -> None:
    ours, theirs = ends
    ours.send_array(1, [BATCH])
    ours.send_array(2, [BATCH + 1])
    with pytest.raises(WrongMessageError, match="the shared memory holds 2, not 1"):
        theirs.receive()
    assert theirs.receive()[0] == 2


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\x80\x05N.", b"\x80\x05K\x01K\x02\x86."])
def test_what_is_no_message_is_noticed(ends: Ends, garbage: bytes) -> None:
    ours, theirs = ends
    ours._connection.send_bytes(garbage)
    with pytest.raises(WrongMessageError):
        theirs.receive()


def test_waiting_for_a_message_ends_in_time(ends: Ends) -> None:
    for timeout_s in (0.01, 0.02):
        with pytest.raises(TimeoutError):
            ends[0].receive(timeout_s)
    ends[1].send(1)
    assert ends[0].receive(0.02) == (1, None)


def test_sending_to_an_end_that_does_not_read_ends_in_time(ends_without_memory: Ends) -> None:
    with pytest.raises(BlockingIOError):
        ends_without_memory[0].send_array(1, [np.zeros(10**6, np.float32)])


def test_a_closed_end_is_noticed(ends: Ends) -> None:
    ours, theirs = ends
    theirs.close()
    with pytest.raises(EOFError):
        ours.receive(10)
    with pytest.raises(OSError, match="Broken pipe"):
        ours.send(1)
