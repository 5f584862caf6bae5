import dataclasses

import pytest

from clas.serving.batching.wide_member import is_turn_of, is_wide, threads_of_members


@dataclasses.dataclass(eq=False)
class Member:
    is_wide: bool
    busy_since: float | None = None


@pytest.mark.parametrize(
    ("cores", "count", "with_wide", "threads"),
    [
        (2, 2, True, (2, 1, 1)),
        (2, 2, False, (1, 1)),
        (16, 4, True, (16, 4, 4, 4, 4)),
        (7, 3, True, (7, 2, 2, 2)),
        (2, 3, True, (2, 1, 1, 1)),
        (1, 2, True, (1, 1)),
        (4, 1, True, (4,)),
    ],
)
def test_the_cores_are_shared_and_the_wide_one_has_all(
    cores: int, count: int, with_wide: bool, threads: tuple[int, ...]
) -> None:
    assert threads_of_members(cores, count, with_wide=with_wide) == threads


@pytest.mark.parametrize(
    ("threads", "wide"),
    [
        ((2, 1, 1), [True, False, False]),
        ((1, 1), [False, False]),
        ((0,), [False]),
        ((4,), [False]),
        ((3, 3), [False, False]),
    ],
)
def test_the_first_is_wide_if_it_has_more_threads_than_the_others(
    threads: tuple[int, ...], wide: list[bool]
) -> None:
    assert [is_wide(threads, number) for number in range(len(threads))] == wide


@pytest.mark.parametrize(
    ("queue_length", "is_busy", "wides_turn"),
    [(1, False, True), (2, False, False), (1, True, False), (5, True, False)],
    ids=["a lone request", "several", "one beside a busy one", "several beside a busy one"],
)
def test_the_wide_one_takes_what_is_alone_and_the_others_all_else(
    queue_length: int, is_busy: bool, wides_turn: bool
) -> None:
    wide, narrow, other = Member(True), Member(False), Member(False, 0.0 if is_busy else None)
    members = [wide, narrow, other]
    assert is_turn_of(wide, members, queue_length) is wides_turn
    assert is_turn_of(narrow, members, queue_length) is not wides_turn


@pytest.mark.parametrize("is_wide", [True, False])
@pytest.mark.parametrize("queue_length", [1, 2])
def test_members_of_one_kind_take_everything(is_wide: bool, queue_length: int) -> None:
    """While the others are loaded, for the first time or again."""
    members = [Member(is_wide), Member(is_wide, 0.0)]
    assert is_turn_of(members[0], members, queue_length)
