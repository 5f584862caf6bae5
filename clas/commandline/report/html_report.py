"""The page of --report: one HTML file with all images and their classes, to look through in a browser."""

import base64
import hashlib
import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ...output.base import Prediction
from ..appended_file import AppendedFile
from ..csv_rows import JOINT
from ..evaluation.evaluation import Evaluation
from ..evaluation.table import accuracy_lines
from ..formats import own_lines
from .evaluation_page import evaluation_section, judged_item
from .file_link import file_link
from .html_text import shown
from .outcome import Outcome
from .page_head import end_facts, head_facts

_MOST_CLASSES: Final = 10  # per image: nobody looks through more
_HERE: Final = Path(__file__).parent

_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>clas_system</title>
<style>{style}</style>
<script>{script}</script>
</head>
<body>
{controls}
<ol id="images">
"""
_CONTROLS: Final = """<header>
<h1>{title}</h1>
{facts}
<form id="controls" hidden>
<label><span data-word="find">Name or class</span> <input id="find" type="search"></label>
<label><span data-word="best">Best class</span> <select id="best"></select></label>
<label><span data-word="from">Score from</span> \
<input id="least" type="number" step="0.05"></label>
<label><span data-word="to">to</span> \
<input id="most" type="number" step="0.05"></label>
<label><span data-word="sort">Order</span> <select id="sort"></select></label>
<label><span data-word="view">View</span> <select id="view"></select></label>
<output id="count"></output>
</form>
</header>"""


class HtmlReport:
    """A sink that writes the page while images are answered, and keeps none of them in memory.

    If the client is killed, a browser shows the page as far as it was written.

    Args:
        path: The file; an existing one is replaced.
        title: The heading of the page.
        evaluation: Judges each image, and has the figures that the end of the page shows; None for a page
            without true classes.
        facts: What the head says beside the date: `server`, `model` and `engine`, as far as known.
        locate: From an image's name to its file, to which the name is a link.

    Raises (also later):
        OutputError: It can't be written.
    """

    def __init__(
        self,
        path: Path,
        title: str,
        evaluation: Evaluation | None = None,
        *,
        facts: Mapping[str, str] = MappingProxyType({}),
        locate: Callable[[str], Path] = Path,
    ) -> None:
        self._path = path
        self._locate = locate
        self._answered = 0
        self._failed = 0
        self._file = AppendedFile(path, is_new=True)
        self._evaluation = evaluation
        parts = ("html_report", "evaluation_page") if evaluation else ("html_report",)
        style, script = (
            "\n".join((_HERE / f"{part}.{kind}").read_text(encoding="utf-8") for part in parts)
            for kind in ("css", "js")
        )
        policy = (
            f"default-src 'none'; img-src data:; style-src {_source_of(style)}; "
            f"script-src {_source_of(script)}; base-uri 'none'; form-action 'none'"
        )
        controls = _CONTROLS.format(title=shown(title), facts=head_facts(facts))
        head = _HEAD.format(policy=policy, style=style, script=script, controls=controls)
        self._file.append(head.encode())

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Add the images of one batch."""
        failed = sum("error" in outcome.prediction for outcome in outcomes)
        self._failed += failed
        self._answered += len(outcomes) - failed
        self._file.append("".join(map(self._item, outcomes)).encode())

    def close(self, summary: Sequence[str]) -> None:
        """Write the end of the page."""
        lines = "".join(f"<p>{shown(line)}</p>\n" for line in summary)
        accuracy = accuracy_lines(self._evaluation) if self._evaluation else ()
        totals = end_facts(self._answered, self._failed, accuracy)
        section = evaluation_section(self._evaluation) if self._evaluation else ""
        self._file.append(f"</ol>\n{totals}{section}<footer>\n{lines}</footer>\n</body>\n</html>\n".encode())
        self._file.close()

    def _item(self, outcome: Outcome) -> str:
        item = _entry(outcome, file_link(self._locate(outcome.image.name), self._path))
        return judged_item(item, self._evaluation, outcome) if self._evaluation else item


def _entry(outcome: Outcome, link: str) -> str:
    """Return an image as an item of the list, with the data by which the script sorts and filters."""
    image, prediction = outcome
    name = f'<a href="{html.escape(link)}">{shown(image.name)}</a>'
    thumbnail = ""
    if image.thumbnail:
        data = base64.b64encode(image.thumbnail).decode()
        thumbnail = f'<img src="data:image/jpeg;base64,{data}" alt="">'
    if "error" in prediction:
        reason = f'<p class="error"><b data-word="failed">No result</b>: {shown(prediction["error"])}</p>'
        return _item("", "", thumbnail, name, reason)
    lines = own_lines(prediction)
    if lines:
        return _own_item(lines, prediction, thumbnail, name)
    classes = _classes(prediction)
    form = ".1%" if all(0 <= score <= 1 for _, score in classes) else ".3f"
    bars = "".join(
        f"<li><span>{shown(title)}</span><b>{score:{form}}</b>"
        f'<meter max="1" value="{score:.5f}">{score:{form}}</meter></li>'
        for title, score in classes[:_MOST_CLASSES]
    )
    best, best_score = classes[0] if classes else ("", "")
    return _item(best, str(best_score), thumbnail, name, f"<ol>{bars}</ol>")


def _own_item(lines: Sequence[str], prediction: Prediction, thumbnail: str, name: str) -> str:
    """Return an image of which the model says more than classes: line by line, without bars."""
    texts = "".join(f"<li><span>{shown(line)}</span></li>" for line in lines)
    best = "" if "feature" in prediction else JOINT.join(lines)
    score = prediction.get("value", prediction["scores"][0] if prediction["scores"] else 0)
    return _item(best, str(score), thumbnail, name, f"<ol>{texts}</ol>")


def _item(best: str, score: str, thumbnail: str, name: str, rest: str) -> str:
    """Return an item; thumbnail, name and rest are HTML."""
    data = f'data-best="{shown(best)}" data-score="{shown(score)}"'
    return f"<li {data}><div>{thumbnail}</div><section><h2>{name}</h2>{rest}</section></li>\n"


def _classes(prediction: Prediction) -> list[tuple[str, float]]:
    """Return each class's id and name, which alone needn't be unique, and its score."""
    names = prediction["label_names"] or [""] * len(prediction["class_ids"])
    titles = [
        f"{class_id} {name}".rstrip() for class_id, name in zip(prediction["class_ids"], names, strict=False)
    ]
    return list(zip(titles, prediction["scores"], strict=False))


def _source_of(text: str) -> str:
    """Return the name of an inline style or script in the policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
