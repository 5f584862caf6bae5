import re
from datetime import datetime, timedelta

from clas.commandline.report.page_head import end_facts, facts_of, head_facts


def test_the_head_says_when_and_with_what_a_page_was_made() -> None:
    head = head_facts({"server": "http://a/?<b>", "model": "tiny"})
    rows = re.findall(r'<dt data-word="(\w+)">\w+</dt><dd>(.*?)</dd>', head)
    assert rows[1:] == [("server", "http://a/?&lt;b&gt;"), ("model", "tiny")]
    word, date = rows[0]
    assert word == "date"
    assert abs(datetime.fromisoformat(date) - datetime.now().astimezone()) < timedelta(minutes=1)


def test_the_end_says_what_became_of_the_images_and_how_many_results_are_right() -> None:
    accuracy = ["The top-1 accuracy: 0.500 (1 of 2 images)", "The macro mean"]
    assert "<dd>5: 3 answered, 2 failed</dd>" in end_facts(3, 2, accuracy)
    assert "<dd>The top-1 accuracy: 0.500 (1 of 2 images)</dd>" in end_facts(3, 2, accuracy)
    assert "accuracy" not in end_facts(3, 2, ())


def test_a_model_is_described_as_far_as_it_describes_itself() -> None:
    described = {"name": "tiny", "engine": "openvino", "engine_version": "2026.1", "device": "CPU"}
    assert facts_of(described) == {"model": "tiny", "engine": "openvino 2026.1, CPU"}
    assert facts_of({"name": 5, "engine": "paddle"}) == {"model": "5", "engine": "paddle"}
    assert facts_of({}) == {}
