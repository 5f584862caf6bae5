import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from clas_client.batches import map_ahead


def test_results_come_in_order_with_few_under_way() -> None:
    taken = []
    is_free = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            is_free.wait(10)
        return number

    def numbers() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            if number == 3:
                is_free.set()
            yield number

    with ThreadPoolExecutor(4) as executor:
        results = map_ahead(executor, work, numbers(), 4)
        assert next(results) == 0
        assert len(taken) == 5
        assert list(results) == list(range(1, 50))


def test_without_threads_nothing_is_done_ahead() -> None:
    done: list[int] = []
    results = map_ahead(None, done.append, range(9), 4)
    next(results)
    assert done == [0]
