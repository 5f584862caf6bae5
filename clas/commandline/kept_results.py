"""What becomes of the results of `python -m clas` besides being printed: evaluation and page."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TextIO

from ..image.sources import from_file
from ..output.base import Prediction
from .cells import visible
from .evaluation.columns import add_to_csv, add_to_json, csv_header
from .evaluation.evaluation import Evaluation, Verdict
from .evaluation.ground_truth import FolderTruth, GroundTruth, ListedTruth, locate_below
from .evaluation.metrics_file import check_writable, write_metrics
from .evaluation.notes import notes_of
from .evaluation.table import accuracy_lines, table_lines
from .formats import Format
from .report.html_report import HtmlReport
from .report.outcome import Outcome, Pending
from .report.thumbnail import make_thumbnail
from .terminal import LOGGER


class KeptResults:
    """The evaluation and the page of a run.

    Nothing is written before `begin`, so that a model that can't be loaded leaves an earlier page as it is.

    Args:
        args: The flags.

    Raises (also later):
        EvaluationError: The true classes can't be read, or the file of --metrics can't be written.
        OutputError: The page can't be written.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._evaluation = _make_evaluation(args)
        self._page: HtmlReport | None = None
        self._has_begun = False

    def begin(self, num_classes: int | None, facts: Mapping[str, str] = MappingProxyType({})) -> None:
        """Open the page.

        Args:
            num_classes: How many classes the model has; None if that isn't known.
            facts: What the head of the page says; see `HtmlReport`.
        """
        self._has_begun = True
        if self._evaluation:
            self._evaluation.num_classes = num_classes
        if self._args.report:
            title = ", ".join(path.resolve().name for path in self._args.paths)
            self._page = HtmlReport(self._args.report, title, self._evaluation, facts=facts)

    def judged(self, name: str, form: Format) -> Format:
        """Return a format of results that says of each image what is true, where that is known.

        Args:
            name: `csv`, `json` or `text`.
            form: The format of that name.
        """
        if not self._evaluation:
            return form
        header = csv_header(form.header) if name == "csv" else form.header
        return Format(header, partial(_judged_lines, _ADD[name], form, self._evaluation))

    def add(self, name: str, prediction: Prediction) -> None:
        """Count the result of an image, and add it to the page."""
        if self._evaluation:
            self._evaluation.add(name, prediction)
        if self._page:
            # What was refused, for its size perhaps, isn't decoded once more.
            thumbnail = b"" if "error" in prediction else make_thumbnail(from_file(Path(name)))
            self._page.add([Outcome(Pending(name, thumbnail), prediction)])

    def close(self) -> None:
        """Print the figures, finish the files, and log what must be known to read the figures.

        They go to stdout for results as text, and to stderr beside JSON and CSV, which programs read.
        """
        if not self._has_begun:
            return
        with ExitStack() as stack:  # each is finished, whatever becomes of the others
            if self._page:
                stack.callback(self._page.close, [])
            if self._evaluation and self._args.metrics:
                stack.callback(write_metrics, self._args.metrics, self._evaluation)
            if self._evaluation:
                _print_figures(self._evaluation, sys.stdout if self._args.format == "text" else sys.stderr)


def _make_evaluation(args: argparse.Namespace) -> Evaluation | None:
    """Return what compares results with the true classes that the flags name; None if they name none."""
    locate = locate_below(args.paths)
    truth: GroundTruth
    if args.label_file:
        truth = ListedTruth(args.label_file, locate)
    elif args.labels_from_folders:
        truth = FolderTruth([path for path in args.paths if path.is_dir()] or args.paths, locate)
    else:
        return None
    if args.metrics:
        check_writable(args.metrics)
    return Evaluation(truth)


def _print_figures(evaluation: Evaluation, stream: TextIO) -> None:
    lines = (*accuracy_lines(evaluation), *table_lines(evaluation))
    stream.writelines(f"{line}\n" for line in lines)
    stream.flush()
    for note in notes_of(evaluation):
        LOGGER.warning("%s", note)


def _judged_lines(
    add: "_Add", form: Format, evaluation: Evaluation, name: str, prediction: Prediction
) -> Iterable[str]:
    return add(form.lines(name, prediction), evaluation.judge(name, prediction))


def _add_to_text(lines: Iterable[str], verdict: Verdict) -> Iterator[str]:
    yield from lines
    if verdict.is_correct is not None:
        yield f"  {'right' if verdict.is_correct else 'wrong'}: the truth is {visible(verdict.shown)}"


_Add = Callable[[Iterable[str], Verdict], Iterable[str]]
_ADD: Final[Mapping[str, _Add]] = {
    "csv": lambda lines, verdict: [add_to_csv(line, verdict) for line in lines],
    "json": lambda lines, verdict: [add_to_json(line, verdict) for line in lines],
    "text": _add_to_text,
}
"""Format -> from its lines to those that say what is true."""
