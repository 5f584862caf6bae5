"""The part of the page of --report that compares answers with true classes."""

from collections.abc import Iterable
from typing import Final

from ..evaluation.calibration import NUM_BINS, Calibration
from ..evaluation.evaluation import Evaluation
from ..evaluation.notes import notes_of
from ..evaluation.table import accuracy_lines, worst_first
from .confusion_page import confusion_parts
from .html_text import json_attribute, shown, table_heads, table_row
from .outcome import Outcome

_MOST_CLASSES: Final = 1000  # in the table; --metrics has all


def judged_item(item: str, evaluation: Evaluation, outcome: Outcome) -> str:
    """Return the item of an image with its true class, for people and for the script.

    Args:
        item: From `<li ` to `</section></li>`.
        evaluation: What judges it.
        outcome: The image and its result.
    """
    image, prediction = outcome
    verdict = evaluation.judge(image.name, prediction)
    if verdict.truth is None:
        return item
    keys = verdict.truth if isinstance(verdict.truth, tuple) else (verdict.truth,)
    data = f'data-truth="{json_attribute(verdict.truth)}"'
    mark = ""
    if verdict.is_correct is not None:
        classes = evaluation.classes_of(prediction) or []
        answer = classes if evaluation.multi else classes[0] if classes else None
        data += f' data-answer="{json_attribute(answer)}" data-correct="{json_attribute(verdict.is_correct)}"'
        mark = "right" if verdict.is_correct else "wrong"
    titles = ", ".join(map(evaluation.title, keys))
    truth = f'<p class="truth {mark}"><span data-text="truth">True class</span>: {shown(titles)}</p>'
    start, end = "<li ", "</section></li>\n"
    return f"{start}{data} {item.removeprefix(start).removesuffix(end)}{truth}{end}"


def evaluation_section(evaluation: Evaluation) -> str:
    """Return the figures, the classes from the worst on, what is confused, and the calibration."""
    if not evaluation.images:
        parts = [_paragraphs(notes_of(evaluation), "note")]
    else:
        multi = evaluation.multi
        parts = [
            _paragraphs(accuracy_lines(evaluation)),
            _paragraphs(notes_of(evaluation), "note"),
            *([] if multi else confusion_parts(evaluation)),
            _class_table(evaluation),
            _calibration_table((multi or evaluation.single).calibration),
        ]
    heading = '<h2 data-text="evaluation">Evaluation</h2>'
    return f'<section id="evaluation">{heading}\n{"".join(parts)}</section>\n'


def _paragraphs(lines: Iterable[str], kind: str = "figure") -> str:
    return "".join(f'<p class="{kind}">{shown(line)}</p>\n' for line in lines)


def _class_table(evaluation: Evaluation) -> str:
    worst = worst_first(evaluation)
    precisions = evaluation.multi.average_precisions() if evaluation.multi else []
    rows = []
    for key, figures in worst[:_MOST_CLASSES]:
        cells = [f"{each:.3f}" for each in (figures.f1, figures.precision, figures.recall)]
        if isinstance(key, int) and precisions:
            precision = precisions[key]
            cells.append("" if precision is None else f"{precision:.3f}")
        title = shown(evaluation.title(key))
        button = f'<button type="button" data-class="{json_attribute(key)}">{title}</button>'
        rows.append(table_row([button, *cells, str(figures.images)]))
    average = [("ap", "Average precision")] if precisions else []
    names = (("class", "Class"), ("f1", "F1"), ("precision", "Precision"), ("recall", "Recall"))
    heads = table_heads(*names, *average, ("images", "Images"))
    left_out = f" <small>{_MOST_CLASSES} / {len(worst)}</small>" if len(worst) > _MOST_CLASSES else ""
    return (
        f'<h3><span data-text="worst">Classes, the worst first</span>{left_out}</h3>\n'
        f'<div class="scroll"><table class="classes">{heads}{"".join(rows)}</table></div>\n'
    )


def _calibration_table(calibration: Calibration) -> str:
    bins = calibration.bins()
    error = calibration.error()
    if error is None:
        return ""
    rows = "".join(
        table_row(
            [
                f"{each.least:.1f} - {each.least + 1 / NUM_BINS:.1f}",
                f"{each.score:.3f}",
                f'{each.accuracy:.3f} <meter max="1" value="{each.accuracy:.5f}"></meter>',
                str(each.answers),
            ]
        )
        for each in reversed(bins)
    )
    heads = table_heads(
        ("scores", "Scores"), ("score", "Mean"), ("accuracy", "Right"), ("answers", "Answers")
    )
    return (
        '<h3><span data-text="calibration">Accuracy by score</span> '
        f'<small><span data-text="error">Expected calibration error</span>: {error:.3f}</small></h3>\n'
        f'<div class="scroll"><table class="calibration">{heads}{rows}</table></div>\n'
    )
