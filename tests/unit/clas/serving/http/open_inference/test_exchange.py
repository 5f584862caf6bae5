from typing import Any

import numpy as np
import pytest
from starlette.requests import Request

from clas.serving.http.inference import Result
from clas.serving.http.open_inference.exchange import Exchange
from clas.serving.http.open_inference.outputs import RequestedOutput


def exchange(json_bytes: int | None = None) -> Exchange:
    headers = [] if json_bytes is None else [(b"inference-header-content-length", str(json_bytes).encode())]
    return Exchange(Request({"type": "http", "headers": headers, "query_string": b""}), "model", 8)


@pytest.mark.parametrize(
    ("json_bytes", "num_bytes", "is_quick"),
    [
        (None, 10_000, True),
        (None, 20_000, False),
        (300, 600_000, True),
        (300, 2_000_000, False),
        (600_000, 600_000, False),  # JSON numbers, whatever the header says of them
    ],
)
def test_only_short_json_is_read_in_the_event_loop(
    json_bytes: int | None, num_bytes: int, *, is_quick: bool
) -> None:
    assert exchange(json_bytes).is_quick(num_bytes) is is_quick


@pytest.mark.parametrize(
    ("num_scores", "class_count", "is_quick"), [(1000, 0, True), (20_000, 0, False), (1000, 1000, False)]
)
def test_only_few_scores_are_written_in_the_event_loop(
    num_scores: int, class_count: int, *, is_quick: bool
) -> None:
    one = exchange()
    request: Any = type("", (), {"outputs": [RequestedOutput("scores", False, class_count)]})
    one._request = request
    result = Result(np.zeros((1, num_scores), np.float32), [None], 5, 0.0, "")
    assert one.is_quick_answer(result) is is_quick
