import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.commandline.csv_rows import CSV, columns_of, csv_with
from clas.commandline.formats import own_lines
from clas.commandline.rows import JSON_LINES
from clas_client.answer import read_results
from clas_client.reply import Reply, ServiceError
from scripted_service import envelope

ENTRY: dict[str, Any] = {"class_ids": [1], "scores": [0.5], "label_names": ["one"]}
HUGE = 10**400


def read(content: object, status: int = 200) -> Any:
    return read_results(Reply(status, "application/json", json.dumps(content).encode()))


def read_entry(entry: dict[str, Any]) -> Any:
    return read(envelope({"prediction": [entry], "elapse": 0.5}))["prediction"][0]


@pytest.mark.parametrize("score", [25.5, -7, 3e38, 0, 1])
def test_scores_that_are_no_probabilities_are_taken_as_they_are(score: float) -> None:
    assert read_entry({**ENTRY, "scores": [score]})["scores"] == [score]


@pytest.mark.parametrize(
    "changed",
    [
        {"scores": [HUGE]},
        {"scores": [-1e308]},
        {"scores": [True]},
        {"scores": []},
        {"scores": [0.5, 0.25]},
        {"class_ids": [HUGE]},
        {"class_ids": [1.0]},
        {"label_names": ["one", "two"]},
    ],
)
def test_numbers_that_no_model_gives_and_lists_of_other_lengths_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match=r"^the server's answer has no valid prediction and elapse: "):
        read_entry({**ENTRY, **changed})


@pytest.mark.parametrize("elapse", [HUGE, -1e308, "1", None])
def test_an_elapse_that_is_no_time_is_refused(elapse: object) -> None:
    with pytest.raises(ServiceError, match="no valid prediction and elapse"):
        read(envelope({"prediction": [ENTRY], "elapse": elapse}))


def test_fields_of_other_forms_of_result_are_kept() -> None:
    entry = {**ENTRY, "features": [0.25, [1, 2]]}
    assert read_entry(entry) == entry


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("dam\naged", "dam aged"),
        (["a\n=cmd", {"b": 1}], "['a\\n=cmd', {'b': 1}]"),
        ("", "the server gives no reason"),
        (None, "None"),
    ],
)
def test_an_image_with_an_error_has_no_classes(error: object, reason: str) -> None:
    failed = {"class_ids": [], "scores": [], "label_names": [], "error": reason}
    assert read_entry({**ENTRY, "error": error, "more": 1}) == failed


def test_a_token_that_is_missing_names_its_flag() -> None:
    refusal = envelope(status="101", msg="a valid token is needed")
    with pytest.raises(ServiceError, match="a valid token is needed; --token_file names the file"):
        read(refusal, 401)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-HUGE, HUGE) | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
GROUPS = VALUES | st.fixed_dictionaries(
    {"label": st.text(st.characters()), "class_id": st.integers(-HUGE, HUGE), "score": st.floats()}
)
ENTRIES = st.fixed_dictionaries(
    {
        "class_ids": st.just([1]) | st.just([1]) | st.lists(st.integers(-HUGE, HUGE), max_size=2) | VALUES,
        "scores": st.just([0.5]) | st.lists(st.floats() | st.integers(-HUGE, HUGE), max_size=2) | VALUES,
        "label_names": st.just([]) | st.lists(st.text(st.characters()), max_size=2) | VALUES,
    },
    optional={
        **dict.fromkeys(("file", "error", "more", "output"), VALUES),
        "attributes": st.lists(st.text(st.characters())) | st.text(st.characters()) | VALUES,
        "value": st.floats() | st.integers(-HUGE, HUGE) | VALUES,
        "feature": st.lists(st.floats(width=32), max_size=2) | VALUES,
        "groups": st.dictionaries(st.text(st.characters()), GROUPS, max_size=2) | VALUES,
    },
)
ELAPSES = st.just(0.5) | st.just(0) | VALUES
RESULTS = st.fixed_dictionaries({"prediction": st.lists(ENTRIES, max_size=2), "elapse": ELAPSES}) | VALUES
ENVELOPES = st.builds(envelope, RESULTS) | st.builds(envelope, RESULTS, VALUES, RESULTS)


@given(content=ENVELOPES | VALUES, status=st.sampled_from([200, 400, 401, 503]))
def test_any_answer_is_results_that_can_be_written_or_one_clear_line(content: object, status: int) -> None:
    try:
        results = read(content, status)
    except ServiceError as exc:
        assert str(exc).isprintable()  # either outcome is right
        assert len(str(exc)) < 3000
        return
    for entry in results["prediction"]:
        for form in (CSV, csv_with(columns_of(entry)), JSON_LINES):
            line = form.write("a.png", entry).encode("utf-8", "backslashreplace").decode()
            name, again = form.read(line)
            assert (name, again["scores"]) == ("a.png", entry["scores"])
        assert all(isinstance(line, str) for line in own_lines(entry))


@given(body=st.binary())
def test_any_bytes_are_one_clear_line(body: bytes) -> None:
    with contextlib.suppress(ServiceError):
        read_results(Reply(200, "application/json", body))
