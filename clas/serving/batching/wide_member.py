"""A pool member that has all cores, for a request that is alone.

Several members that share the cores serve parallel requests best, but leave a lone request on a part of
them. The wide member takes it instead: a lone client's p50 is 7 ms in place of 10 on 2 cores
(`benchmarks/bench.py --only standalone`). It costs another copy of the model: 1.4 GB in place of 1.0 (RSS, 2
cores, default model).
"""

from collections.abc import Collection, Sequence
from typing import Protocol


class Member(Protocol):
    """What the policy needs to know of a pool member."""

    is_wide: bool
    busy_since: float | None


def threads_of_members(cores: int, count: int, *, with_wide: bool) -> tuple[int, ...]:
    """Share the cores between `count` members, and give all of them to one more in front if it is wanted.

    Returns:
        CPU threads of each member.
    """
    share = max(1, cores // count)
    return ((cores,) if with_wide and cores > share else ()) + (share,) * count


def is_turn_of(member: Member, members: Collection[Member], queue_length: int) -> bool:
    """Whether a member may take from the queue: the wide one if a request is alone, else those that share."""
    is_alone = queue_length == 1 and all(other.busy_since is None for other in members)
    kinds = {other.is_wide for other in members}
    return len(kinds) == 1 or member.is_wide == is_alone


def is_wide(threads: Sequence[int], number: int) -> bool:
    """Whether the member of this number is the wide one, by the threads of all members."""
    return number == 0 and threads[0] > threads[-1]
