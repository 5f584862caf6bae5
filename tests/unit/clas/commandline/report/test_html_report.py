import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

from clas.commandline.report.html_report import HtmlReport
from clas.commandline.report.outcome import Outcome, Pending
from clas.output.base import Prediction, failed_prediction

EVIL = '</h2><script>alert("x")</script>\'&"'
ENTRY: Prediction = {"class_ids": [7, 8], "scores": [0.75, 0.125], "label_names": ["seven", EVIL]}


class Parsed(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def write(file: Path, *outcomes: Outcome, title: str = "images") -> str:
    page = HtmlReport(file, title)
    page.add(outcomes)
    page.close(["The average top-1 score: 0.750"])
    return file.read_text(encoding="utf-8")


def test_each_image_has_its_name_thumbnail_and_bars(tmp_path: Path) -> None:
    page = write(tmp_path / "page.html", Outcome(Pending("图 a.png", b"jpeg"), ENTRY))
    parsed = Parsed(page)
    [image] = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert image["src"] == f"data:image/jpeg;base64,{base64.b64encode(b'jpeg').decode()}"
    bars = [attributes["value"] for tag, attributes in parsed.tags if tag == "meter"]
    assert bars == ["0.75000", "0.12500"]
    for text in ("图 a.png", "7 seven", "75.0%", "12.5%", "The average top-1 score: 0.750"):
        assert text in parsed.text


def test_foreign_texts_are_escaped(tmp_path: Path) -> None:
    names = (EVIL, "caf\udce9.png", "two\nlines", "left\u202eright")
    outcomes = [Outcome(Pending(name), failed_prediction(EVIL)) for name in names]
    page = write(tmp_path / "page.html", *outcomes, Outcome(Pending(EVIL), ENTRY), title=EVIL)
    parsed = Parsed(page)
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    assert parsed.text.count(EVIL) == 1 + 1 + 4 + 1 + 1
    for shown in ("caf\\udce9.png", "two\\nlines", "left\\u202eright"):
        assert shown in parsed.text


def test_the_policy_admits_just_this_style_and_script_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = write(tmp_path / "page.html", Outcome(Pending("a.png", b"jpeg"), ENTRY))
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for kind in ("style", "script"):
        [text] = re.findall(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|url\(|@import|style=|\bon\w+=", page)


def test_a_page_holds_at_most_ten_classes_of_an_image(tmp_path: Path) -> None:
    many: Prediction = {"class_ids": list(range(50)), "scores": [0.02] * 50, "label_names": []}
    assert write(tmp_path / "page.html", Outcome(Pending("a.png"), many)).count("<meter") == 10


def test_an_answer_without_any_class_is_shown(tmp_path: Path) -> None:
    none: Prediction = {"class_ids": [], "scores": [], "label_names": []}
    page = write(tmp_path / "page.html", Outcome(Pending("a.png"), none))
    assert "a.png" in page
    assert "<meter" not in page


def test_what_is_said_besides_classes_has_its_lines(tmp_path: Path) -> None:
    usual: Prediction = {"class_ids": [7], "scores": [0.75], "label_names": [EVIL]}
    none: Prediction = {"class_ids": [], "scores": [], "label_names": []}
    entries: list[Prediction] = [
        {**usual, "attributes": ["Male", EVIL], "output": [1]},
        {**usual, "groups": {EVIL: {"label": "old", "class_id": 7, "score": 0.75}}},
        {**none, "value": -2.5},
        {**none, "feature": [0.5] * 512},
    ]
    page = write(tmp_path / "page.html", *(Outcome(Pending("a.png"), entry) for entry in entries))
    parsed = Parsed(page)
    assert "<meter" not in page
    for text in ("Male", EVIL, f"{EVIL}: old  0.75000", "-2.5", "a feature of 512 numbers"):
        assert text in parsed.text
    shown = [(tag["data-best"], tag["data-score"]) for _, tag in parsed.tags if "data-best" in tag]
    assert shown == [
        (f"Male; {EVIL}", "0.75"),
        (f"{EVIL}: old  0.75000", "0.75"),
        ("-2.5", "-2.5"),
        ("", "0"),
    ]


def test_failed_images_are_marked_and_counted(tmp_path: Path) -> None:
    page = write(
        tmp_path / "page.html",
        Outcome(Pending("bad.png"), failed_prediction("damaged")),
        Outcome(Pending("a.png"), ENTRY),
        Outcome(Pending("b.png"), ENTRY),
    )
    items = re.findall(r"<li (data-best.*?)</section>", page)
    assert ['data-score=""' in item for item in items] == [True, False, False]
    assert "No result</b>: damaged" in items[0]
    assert "<dd>3: 2 answered, 1 failed</dd>" in page


def test_a_name_is_a_link_to_its_file(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    page = HtmlReport(file, "images", locate=lambda name: tmp_path / "images" / name)
    page.add([Outcome(Pending("a b.png"), ENTRY), Outcome(Pending('"><b>'), failed_prediction("damaged"))])
    page.close([])
    parsed = Parsed(file.read_text(encoding="utf-8"))
    links = [attributes["href"] for tag, attributes in parsed.tags if tag == "a"]
    assert links == ["images/a%20b.png", "images/%22%3E%3Cb%3E"]


def test_the_head_has_the_facts_that_are_known(tmp_path: Path) -> None:
    HtmlReport(tmp_path / "page.html", "images", facts={"model": EVIL}).close([])
    parsed = Parsed((tmp_path / "page.html").read_text(encoding="utf-8"))
    words = [attributes.get("data-word") for tag, attributes in parsed.tags if tag == "dt"]
    assert words == ["date", "model", "images"]
    assert EVIL in parsed.text


def test_scores_that_are_no_shares_are_shown_as_they_are(tmp_path: Path) -> None:
    logits: Prediction = {"class_ids": [7, 8], "scores": [12.3456, -0.5], "label_names": []}
    page = write(tmp_path / "page.html", Outcome(Pending("a.png"), logits))
    assert re.findall("<b>(.*?)</b>", page) == ["12.346", "-0.500"]
