import sys
from collections.abc import Iterator

import numpy as np
import pytest

from clas.serving.batching.batch_memory import BatchMemory, StaleContentError, create_memory
from limits import file_size_limit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs memfd_create")
ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def memory() -> Iterator[BatchMemory]:
    created = create_memory()
    yield created
    created.close()


def test_what_was_put_under_a_number_is_there_under_that_number(memory: BatchMemory) -> None:
    memory.put(7, [ARRAY, ARRAY + 10])
    np.testing.assert_array_equal(memory.get(7, (4, 3)), np.concatenate([ARRAY, ARRAY + 10]))


@pytest.mark.parametrize("number", [0, -7, 6, 8])
def test_nothing_is_there_under_another_number(memory: BatchMemory, number: int) -> None:
    memory.put(7, [ARRAY])
    with pytest.raises(StaleContentError, match=f"the shared memory holds 7, not {number}"):
        memory.get(number, (2, 3))


def test_no_more_is_there_than_was_put(memory: BatchMemory) -> None:
    with pytest.raises(StaleContentError, match=r"too small for \[2, 3\]"):
        memory.get(0, (2, 3))
    memory.put(7, [ARRAY])
    with pytest.raises(StaleContentError, match=r"too small for \[2000, 3\]"):
        memory.get(7, (2000, 3))


def test_another_object_for_it_has_the_same_content_however_often_it_grows(memory: BatchMemory) -> None:
    other = memory.duplicate()
    for number in range(1, 5):
        wanted = np.full((10**number, 3), number, np.float32)
        memory.put(number, [wanted])
        np.testing.assert_array_equal(other.get(number, wanted.shape), wanted)
        other.put(-number, [wanted + 1])
        np.testing.assert_array_equal(memory.get(-number, wanted.shape), wanted + 1)
    other.close()


def test_the_answer_finds_its_room(memory: BatchMemory) -> None:
    other = memory.duplicate()
    memory.put(1, [ARRAY], room=50_000)
    with file_size_limit(1000):
        other.get(1, (2, 3))
        other.put(-1, [np.ones((5, 10_000), np.float32)])
    assert memory.get(-1, (5, 10_000)).sum() == 50_000
    other.close()


def test_an_array_from_before_it_grew_can_still_be_read(memory: BatchMemory) -> None:
    memory.put(1, [ARRAY])
    array = memory.get(1, (2, 3))
    memory.put(2, [np.zeros((1000, 3), np.float32)])
    assert array.sum() == 0


def test_no_room_is_an_error_before_anything_is_written(memory: BatchMemory) -> None:
    memory.put(1, [ARRAY])
    with file_size_limit(10_000), pytest.raises(OSError, match="File too large"):
        memory.put(2, [np.zeros((1000, 3), np.float32)])
    np.testing.assert_array_equal(memory.get(1, (2, 3)), ARRAY)
