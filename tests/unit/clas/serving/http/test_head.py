import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.serving.http.head import MAX_HEAD_BYTES, HeadWatcher

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nUPGRADE: h2c\r\nContent-Length: 9\r\n\r\n"
SEEN = b"POST / HTTP/1.1\r\nHost: x\r\nx-ignored: h2c\r\nContent-Length: 9\r\n\r\n"


def passed_on(watcher: HeadWatcher, *reads: bytes) -> bytes:
    """What the parser gets of some reads."""
    parts = [watcher.feed(data) for data in reads]
    assert all(part is not None for part in parts)
    return b"".join(part for part in parts if part)


def test_a_whole_head_passes_with_what_follows_and_without_its_wish_to_upgrade() -> None:
    assert passed_on(HeadWatcher(), HEAD + b"body\r\nUpgrade: x") == SEEN + b"body\r\nUpgrade: x"


def test_a_head_may_be_split_anywhere() -> None:
    for cut in range(len(HEAD) + 1):
        assert passed_on(HeadWatcher(), HEAD[:cut], HEAD[cut:] + b"body") == SEEN + b"body", cut
    assert passed_on(HeadWatcher(), *(HEAD[place : place + 1] for place in range(len(HEAD)))) == SEEN


@given(st.lists(st.integers(0, len(HEAD)), max_size=6))
def test_a_head_may_be_split_into_any_parts(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(HEAD)]
    reads = [HEAD[start:end] for start, end in itertools.pairwise(places)]
    assert passed_on(HeadWatcher(), *reads) == SEEN


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_large_body_behind_a_split_end_is_no_head(cut: int) -> None:
    body = bytes(2 * MAX_HEAD_BYTES)
    assert passed_on(HeadWatcher(), HEAD[:-cut], HEAD[-cut:] + body) == SEEN + body


def test_a_head_has_a_largest_size() -> None:
    line = b"a: b\r\n"
    whole = b"GET / HTTP/1.1\r\n" + line * ((MAX_HEAD_BYTES - 18) // len(line))
    padded = whole[:-2] + b"c" * (MAX_HEAD_BYTES - len(whole) - 2) + b"\r\n\r\n"
    assert len(padded) == MAX_HEAD_BYTES
    assert HeadWatcher().feed(padded) == padded
    assert HeadWatcher().feed(padded[:-4] + b"c\r\n\r\n") is None
    watcher = HeadWatcher()
    assert watcher.feed(b"a" * MAX_HEAD_BYTES) is not None
    assert watcher.feed(b"a") is None


def test_the_next_request_starts_anew() -> None:
    watcher = HeadWatcher()
    for _ in range(3):
        assert watcher.feed(b"a" * (MAX_HEAD_BYTES - 4) + b"\r\n\r\n") is not None
        watcher.reset()
