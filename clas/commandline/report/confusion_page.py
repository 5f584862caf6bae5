"""What is confused with what, in the page of --report."""

from collections.abc import Iterator
from typing import Final

from ..evaluation.confusion_matrix import ConfusionMatrix, matrix_of
from ..evaluation.evaluation import Evaluation
from ..evaluation.figures import ratio
from ..evaluation.single_label import ClassKey
from .html_text import json_attribute, shown, table_heads

_MOST_CONFUSIONS: Final = 200
_MOST_CLASSES: Final = 40
_LEVELS: Final = 9
_DIAGONAL: Final = ' class="diagonal"'


def confusion_parts(evaluation: Evaluation) -> Iterator[str]:
    """Yield the matrix as a heat map, and the largest confusions as a list; nothing if all is right."""
    matrix = matrix_of(evaluation.single, _MOST_CLASSES)
    if not matrix.rows:
        return
    yield (
        f'<h3><span data-text="confusions">Confusions</span> <small>{len(matrix.classes)} / '
        f'{matrix.num_confused} <span data-text="confused">classes that are confused</span></small></h3>\n'
    )
    yield f'<div class="scroll high"><table class="matrix">{_matrix(evaluation, matrix)}</table></div>\n'
    rows = "".join(
        f"<tr><td>{each.images}</td><td>{shown(evaluation.title(each.truth))}</td>"
        f"<td>{_button(shown(evaluation.title(each.answer)), each.truth, each.answer)}</td></tr>\n"
        for each in evaluation.single.confusions()[:_MOST_CONFUSIONS]
    )
    heads = table_heads(("images", "Images"), ("truth", "True class"), ("answer", "Answer"))
    yield (
        '<details><summary data-text="list">As a list, the largest first</summary>'
        f'<div class="scroll"><table>{heads}{rows}</table></div></details>\n'
    )


def _matrix(evaluation: Evaluation, matrix: ConfusionMatrix) -> str:
    """Return the rows of true classes, each cell darker the larger its share of the row is."""
    heads = "".join(_head(evaluation, key, "col") for key in matrix.classes)
    rows = []
    for key, counts, others in matrix.rows:
        total = sum(counts) + others
        cells = "".join(
            f"<td{_DIAGONAL if answer == key else ''}>{_cell(evaluation, key, answer, count, total)}</td>"
            for answer, count in zip(matrix.classes, counts, strict=True)
        )
        rest = _button(str(others), key, level=_level(others, total), is_rest=True) if others else ""
        rows.append(f"<tr>{_head(evaluation, key, 'row')}{cells}<td>{rest}</td></tr>\n")
    corner = '<th><span data-text="corner">True class / answer</span></th>'
    last = '<th scope="col"><span data-text="others">others</span></th>'
    return f"<thead><tr>{corner}{heads}{last}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _head(evaluation: Evaluation, key: ClassKey, scope: str) -> str:
    title = shown(evaluation.title(key))
    return f'<th scope="{scope}" title="{title}"><span>{title}</span></th>'


def _cell(evaluation: Evaluation, truth: ClassKey, answer: ClassKey | None, count: int, total: int) -> str:
    if not count:
        return ""
    title = f"{evaluation.title(truth)} → {evaluation.title(answer)}: {count} / {total}"
    return _button(str(count), truth, answer, title=title, level=_level(count, total))


def _button(
    text: str,
    truth: ClassKey,
    answer: ClassKey | None = None,
    *,
    title: str = "",
    level: int = 0,
    is_rest: bool = False,
) -> str:
    """Return what shows the images of a true class with an answer, or with one beside the matrix."""
    kind = f' class="level{level}"' if level else ""
    tip = f' title="{shown(title)}"' if title else ""
    wanted = "data-rest" if is_rest else f'data-answer="{json_attribute(answer)}"'
    return f'<button type="button"{kind}{tip} data-truth="{json_attribute(truth)}" {wanted}>{text}</button>'


def _level(count: int, total: int) -> int:
    """Return the shade of a share, from 1 to 9."""
    return max(1, min(_LEVELS, round(ratio(count, total) * _LEVELS)))
