from clas.serving.process.backoff import Backoff


def test_the_first_start_is_at_once_and_each_further_one_later_up_to_30_s() -> None:
    backoff = Backoff()
    assert [backoff.next_wait_s(1) for _ in range(9)] == [0, 1, 2, 4, 8, 16, 30, 30, 30]
    assert all(backoff.next_wait_s(1) == 30 for _ in range(2000))


def test_it_begins_anew_after_a_time_of_good_service_or_when_it_is_told() -> None:
    backoff = Backoff()
    assert [backoff.next_wait_s(59) for _ in range(4)] == [0, 1, 2, 4]
    assert [backoff.next_wait_s(60), backoff.next_wait_s(0)] == [0, 1]
    backoff.reset()
    assert backoff.next_wait_s(0) == 0
