import html
import json
import re
from pathlib import Path

from clas.commandline.report.html_report import HtmlReport
from clas.commandline.report.outcome import Outcome, Pending
from clas.output.base import failed_prediction
from evaluations import entry, evaluate

EVIL = '<script>alert("x")</script>\'&'


def page_of(folder: Path, truths: dict[str, object], outcomes: list[Outcome]) -> str:
    """The page of --report, whose evaluation counts what the page shows."""
    evaluation = evaluate(folder, truths, {outcome.image.name: outcome.prediction for outcome in outcomes})
    page = HtmlReport(folder / "page.html", "images", evaluation)
    page.add(outcomes)
    page.close([])
    return (folder / "page.html").read_text(encoding="utf-8")


def items(page: str) -> list[dict[str, object]]:
    """What the script knows of each image."""
    found = re.findall(r'<li ((?:data-\w+="[^"]*" ?)+)>', page)
    return [
        {
            name: json.loads(html.unescape(value))
            for name, value in re.findall(r'data-(truth|answer|correct)="(.*?)"', attributes)
        }
        for attributes in found
    ]


def test_each_image_has_its_true_class(tmp_path: Path) -> None:
    outcomes = [
        Outcome(Pending("right.png"), entry(3, 1, names=True)),
        Outcome(Pending("wrong.png"), entry(1, 3, names=True)),
        Outcome(Pending("failed.png"), failed_prediction("damaged")),
        Outcome(Pending("unlisted.png"), entry(3)),
    ]
    page = page_of(tmp_path, {"right.png": 3, "wrong.png": 3, "failed.png": 3}, outcomes)
    assert items(page) == [
        {"truth": 3, "answer": 3, "correct": True},
        {"truth": 3, "answer": 1, "correct": False},
        {"truth": 3},
        {},
    ]
    assert page.count("True class</span>: 3") == 3
    assert page.count('class="truth wrong"') == 1


def test_names_are_escaped(tmp_path: Path) -> None:
    evil = entry(1)
    evil["label_names"] = [EVIL]
    outcomes = [Outcome(Pending("a.png"), evil), Outcome(Pending("b.png"), evil)]
    page = page_of(tmp_path, {"a.png": EVIL, "b.png": "cat"}, outcomes)
    assert items(page)[0] == {"truth": EVIL, "answer": EVIL, "correct": True}
    assert "<script>alert" not in page
    assert "style=" not in page


def test_the_figures_stand_at_the_end_the_worst_class_first(tmp_path: Path) -> None:
    outcomes = [Outcome(Pending(f"{number}.png"), entry(1, scores=[0.75], names=True)) for number in range(3)]
    page = page_of(tmp_path, {"0.png": 1, "1.png": 1, "2.png": 2}, outcomes)
    section = page.partition('<section id="evaluation">')[2].partition("</section>")[0]
    assert "The top-1 accuracy: 0.667 (2 of 3 images)" in section
    assert "top-5 accuracy needs 5 classes" in section
    assert re.findall(r'data-class="(\d)"', section) == ["2", "1"]
    assert "<td>0.7 - 0.8</td><td>0.750</td><td>0.667 " in section


def test_an_image_has_its_labels(tmp_path: Path) -> None:
    outcomes = [
        Outcome(Pending("a.png"), entry(2, scores=[0.9], names=True)),
        Outcome(Pending("b.png"), entry(0, scores=[0.8])),
    ]
    page = page_of(tmp_path, {"a.png": "1,0,1", "b.png": "1,0,0"}, outcomes)
    assert items(page) == [
        {"truth": [0, 2], "answer": [2], "correct": False},
        {"truth": [0], "answer": [0], "correct": True},
    ]
    assert "True class</span>: 0, 2 class 2" in page
    section = page.partition('<section id="evaluation">')[2].partition("</section>")[0]
    assert "Average precision" in section
    assert "matrix" not in section


def test_without_a_known_image_the_page_says_why(tmp_path: Path) -> None:
    page = page_of(tmp_path, {"b.png": 1}, [Outcome(Pending("a.png"), entry(1))])
    assert "has no class for 1 answered images" in page
