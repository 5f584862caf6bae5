"""All that is made of the answers: what is printed, and what --output, --report and --label_file ask for."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from clas.errors import ClasError
from clas.output.topk import failed_prediction

from .accuracy import Accuracy, Truth
from .answer import in_one_line
from .outcome import Keeper, Outcome, Picture
from .report import Report
from .report_page import ReportPage
from .results_file import ResultsFile, key_of
from .run_settings import check_settings, note_settings
from .sender import Answer
from .thumbnails import make_thumbnail

_SETTINGS: Final = (
    *("wire", "preprocess", "resize_short", "crop_size", "normalize", "to_chw"),
    *("reduced_decode", "top_k"),
)
"""Flags of the client that change the answers."""


class Record:
    """Passes outcomes on to the report on stdout and to all keepers.

    Args:
        args: The client's flags.
        report: Prints results and averages.
        ask_for_model: Says what tells the service's model from another; called only if it matters.

    Raises (also later):
        OutputError: A file can't be written, or not be gone on with.
        TruthError: The list of true classes can't be read.
    """

    def __init__(
        self, args: argparse.Namespace, report: Report, ask_for_model: Callable[[], Mapping[str, Any]]
    ) -> None:
        self.report = report
        self._root = args.image_file if args.image_file.is_dir() else args.image_file.parent
        self._accuracy = Accuracy(Truth(args.label_file)) if args.label_file else None
        self._results = self._open_results(args, ask_for_model) if args.output else None
        self._page = ReportPage(args.report, args.image_file.resolve().name) if args.report else None
        keepers: tuple[Keeper | None, ...] = (self._results, self._page, self._accuracy)
        self._keepers = [keeper for keeper in keepers if keeper is not None]
        if args.resume and self._results and (self._page or self._accuracy):
            self._take_over(self._results)

    def prepare(self, picture: Picture) -> Picture:
        """Add to a picture what will be kept of it; for any thread."""
        return picture._replace(thumbnail=make_thumbnail(picture.path)) if self._page else picture

    def is_done(self, picture: Picture) -> bool:
        """Whether an earlier run has a result of this picture; it is counted then."""
        if self._results is None or key_of(picture.name) not in self._results.done:
            return False
        self.report.skip()
        return True

    def add(self, pictures: Sequence[Picture], answer: Answer | ClasError) -> None:
        """Take the answer to one batch, or why there is none."""
        names = [picture.name for picture in pictures]
        if isinstance(answer, Answer):
            outcomes = list(map(Outcome, pictures, answer.predictions))
            self._keep([_without_line_breaks(outcome) for outcome in outcomes])
            self.report.add(names, answer)
        else:
            entry = failed_prediction(in_one_line(str(answer)))
            self._keep([Outcome(picture, entry) for picture in pictures])
            self.report.fail(names, answer)

    def close(self) -> None:
        """Print averages and accuracy, and end all files."""
        summary = self.report.close(self._accuracy.summary() if self._accuracy else ())
        for keeper in self._keepers:
            keeper.close(summary)

    def _keep(self, outcomes: Sequence[Outcome]) -> None:
        for keeper in self._keepers:
            keeper.add(outcomes)

    def _open_results(
        self, args: argparse.Namespace, ask_for_model: Callable[[], Mapping[str, Any]]
    ) -> ResultsFile:
        folder = str(args.image_file.resolve())
        settings = {"image_file": folder, **{name: getattr(args, name) for name in _SETTINGS}}
        settings |= ask_for_model()
        if args.resume:
            settings = check_settings(args.output, settings)
        results = ResultsFile(args.output, resume=args.resume)
        note_settings(args.output, settings)
        return results

    def _take_over(self, results: ResultsFile) -> None:
        """Have page and accuracy cover what an earlier run has sent, too."""
        for outcome in self._earlier(results):
            for keeper in self._keepers:
                if keeper is not results:
                    keeper.add([outcome])

    def _earlier(self, results: ResultsFile) -> Iterator[Outcome]:
        for name, prediction in results.earlier():
            yield Outcome(self.prepare(Picture(name, self._root / Path(name))), prediction)


def _without_line_breaks(outcome: Outcome) -> Outcome:
    """With the service's word about a picture that it couldn't decode in one line."""
    entry = outcome.prediction
    if "error" not in entry:
        return outcome
    return outcome._replace(prediction={**entry, "error": in_one_line(str(entry["error"]))})
