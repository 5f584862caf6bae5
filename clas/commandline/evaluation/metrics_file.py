"""The file of --metrics: all figures of an evaluation, as JSON or CSV."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..cells import csv_line, escape_cell
from .calibration import Calibration
from .errors import EvaluationError
from .evaluation import Evaluation
from .figures import Figures, macro_mean, ratio, weighted_mean
from .multi_label import MultiLabel
from .notes import notes_of

_CSV_COLUMNS: Final = ("figure", "of", "class", "label_name", "answer", "answer_name", "value")
_NOBODY: Final = ("",) * 4  # for figures of no class


def metrics_of(evaluation: Evaluation) -> dict[str, Any]:
    """Return all figures, for JSON; what can't be computed is null."""
    multi = evaluation.multi
    return {
        "truth": evaluation.truth.source,
        "kind": "multi_label" if multi else "single_label",
        "images": evaluation.images,
        "notes": notes_of(evaluation),
        **(_of_labels(evaluation, multi) if multi else _of_classes(evaluation)),
    }


def write_metrics(path: Path, evaluation: Evaluation) -> None:
    """Write the figures; the file's ending, `.json` or `.csv`, says the form.

    Raises:
        EvaluationError: The file can't be written.
    """
    metrics = metrics_of(evaluation)
    try:
        path.write_text(FORMATS[path.suffix.lower()](metrics), encoding="utf-8", errors="backslashreplace")
    except OSError as exc:
        raise EvaluationError(f"{path} can't be written: {exc.strerror}") from exc


def check_writable(path: Path) -> None:
    """Open a file to write to without changing it, before any image is classified.

    Raises:
        EvaluationError: It can't be written.
    """
    try:
        path.open("ab").close()
    except OSError as exc:
        raise EvaluationError(f"{path} can't be written: {exc.strerror}") from exc


def _of_classes(evaluation: Evaluation) -> dict[str, Any]:
    single = evaluation.single
    classes = single.classes()
    return {
        "top_k_accuracy": {str(top): ratio(single.hits(top), single.images) for top in single.tops()},
        "macro": _figures(macro_mean(classes.values())),
        "weighted": _figures(weighted_mean(classes.values())),
        "classes": [_named(evaluation, key) | _figures(figures) for key, figures in classes.items()],
        "confusions": [
            {
                "class": each.truth,
                "label_name": _name(evaluation, each.truth),
                "answer": each.answer,
                "answer_name": _name(evaluation, each.answer),
                "images": each.images,
            }
            for each in single.confusions()
        ],
        "calibration": _calibration(single.calibration),
    }


def _of_labels(evaluation: Evaluation, multi: MultiLabel) -> dict[str, Any]:
    labels = zip(multi.labels(), multi.average_precisions(), strict=True)
    return {
        "exact_match": ratio(multi.exact, multi.images),
        **{name: _figures(mean) for name, mean in multi.means().items()},
        "mean_average_precision": multi.mean_average_precision(),
        "score_step": multi.scores.step,
        "classes": [
            _named(evaluation, label) | _figures(figures) | {"average_precision": precision}
            for label, (figures, precision) in enumerate(labels)
        ],
        "calibration": _calibration(multi.calibration),
    }


def _calibration(calibration: Calibration) -> dict[str, Any]:
    bins = [each._asdict() for each in calibration.bins()]
    return {"expected_calibration_error": calibration.error(), "bins": bins}


def _named(evaluation: Evaluation, key: int | str) -> dict[str, Any]:
    return {"class": key, "label_name": _name(evaluation, key)}


def _name(evaluation: Evaluation, key: int | str | None) -> str | None:
    return evaluation.class_names.get(key) if isinstance(key, int) else key


def _figures(figures: Figures) -> dict[str, Any]:
    return figures._asdict()


def _json(metrics: Mapping[str, Any]) -> str:
    return json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"


def _csv(metrics: Mapping[str, Any]) -> str:
    """Return one row for each figure, which spreadsheets filter and pivot."""
    lines = [csv_line(_CSV_COLUMNS), *(csv_line([_cell(value) for value in row]) for row in _rows(metrics))]
    return "\ufeff" + "\n".join(lines) + "\n"


def _rows(metrics: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    for name, value in metrics.items():
        if name in _TABLES:
            yield from _TABLES[name](value)
        elif isinstance(value, dict):
            yield from ((figure, name, *_NOBODY, number) for figure, number in value.items())
        else:
            items = value if isinstance(value, list) else [value]
            yield from ((name, "all images", *_NOBODY, item) for item in items)


def _rows_of_classes(classes: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[object]]:
    for each in classes:
        figures = {key: value for key, value in each.items() if key not in ("class", "label_name")}
        for figure, value in figures.items():
            yield figure, "class", each["class"], each["label_name"], "", "", value


def _rows_of_confusions(confusions: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[object]]:
    yield from (("images", "confusion", *each.values()) for each in confusions)


def _rows_of_calibration(calibration: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    error = "expected_calibration_error"
    yield error, "calibration", *_NOBODY, calibration[error]
    for each in calibration["bins"]:
        of = f"scores from {each['least']}"
        yield from ((figure, of, *_NOBODY, each[figure]) for figure in ("answers", "score", "accuracy"))


def _cell(value: object) -> str:
    return "" if value is None else escape_cell(value) if isinstance(value, str) else str(value)


_TABLES: Final[Mapping[str, Callable[[Any], Iterator[Sequence[object]]]]] = {
    "classes": _rows_of_classes,
    "confusions": _rows_of_confusions,
    "calibration": _rows_of_calibration,
}
FORMATS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {".json": _json, ".csv": _csv}
"""By the ending of the file's name."""
