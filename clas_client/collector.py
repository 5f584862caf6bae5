"""Passes answers on to the console, and to --output, --report and --label_file."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from clas.commandline.evaluation.evaluation import Evaluation
from clas.commandline.evaluation.notes import notes_of
from clas.commandline.evaluation.table import accuracy_lines, table_lines
from clas.commandline.report.html_report import HtmlReport
from clas.commandline.report.thumbnail import make_thumbnail
from clas.errors import ClasError
from clas.image.sources import ImageSource, from_file
from clas.output.base import failed_prediction

from .console_report import ConsoleReport
from .evaluating import EvaluationSink, make_evaluation
from .interrupt import interrupt_deferred
from .log import LOGGER
from .reply import WrongAddressError, in_one_line
from .results_file import ResultsFile, key_of
from .resume_check import check_settings, note_settings
from .sender import Answer
from .server_info import ServerInfo
from .settings import ClientSettings
from .sink import Outcome, Pending, Sink

_NOTED: Final = (
    *("wire", "preprocess", "resize_short", "crop_size", "normalize", "to_chw"),
    *("reduced_decode", "top_k"),
)
"""The settings that change the answers."""


class Collector:
    """Passes outcomes on to the console report and to all sinks.

    Args:
        settings: The client settings.
        console: Prints results and averages.
        server: What the service says about itself.

    Raises (also later):
        OutputError: A file can't be written or resumed.
        EvaluationError: The true classes can't be read, or the file of --metrics can't be written.
    """

    def __init__(
        self,
        settings: ClientSettings,
        console: ConsoleReport,
        server: ServerInfo,
    ) -> None:
        model_facts = server.model_facts()
        self.console = console
        self._root = settings.root
        self._evaluation = evaluation = make_evaluation(settings, model_facts)
        counts = EvaluationSink(evaluation, settings.metrics) if evaluation else None
        self._results = (
            _open_results(settings, settings.output, model_facts, evaluation) if settings.output else None
        )
        title = settings.image_file.resolve().name
        self._page = (
            HtmlReport(settings.report, title, evaluation, facts=server.head_facts(), locate=self._locate)
            if settings.report
            else None
        )
        sinks: tuple[Sink | None, ...] = (self._results, counts, self._page)
        self._sinks = [sink for sink in sinks if sink is not None]
        if settings.resume and self._results and (self._page or evaluation):
            self._take_over(self._results)

    def prepare(self, source: ImageSource) -> Pending:
        """Return what is kept of an image until its result is known; safe to call from any thread."""
        return Pending(source.name, make_thumbnail(source) if self._page else b"")

    def is_done(self, name: str) -> bool:
        """Return whether an earlier run has a result for this image, which is then counted."""
        if self._results is None or key_of(name) not in self._results.done:
            return False
        self.console.skip()
        return True

    def add(self, images: Sequence[Pending], answer: Answer | ClasError) -> None:
        """Collect the answer to one batch, or the reason why there is none.

        Raises:
            KeyboardInterrupt: After Ctrl-C, when all of the batch is written and printed.
            WrongAddressError: It is the reason; nothing is collected.
        """
        if isinstance(answer, WrongAddressError):
            raise answer
        names = [image.name for image in images]
        with interrupt_deferred():
            if isinstance(answer, Answer):
                self._pass_on(list(map(Outcome, images, answer.predictions)))
                self.console.add(names, answer)
            else:
                entry = failed_prediction(in_one_line(str(answer)))
                self._pass_on([Outcome(image, entry) for image in images])
                self.console.fail(names, answer)

    def close(self, *, is_whole: bool = True) -> None:
        """Print averages and the evaluation, and finish all files.

        Args:
            is_whole: Whether the run has come to its end.
        """
        summary = self.console.close(*_lines_of(self._evaluation), is_whole=is_whole)
        with ExitStack() as stack:  # each is finished, whatever becomes of the others
            for sink in reversed(self._sinks):
                stack.callback(sink.close, summary)

    def abandon(self) -> None:
        """Finish all files of a run in which nothing was answered, and print nothing.

        That of --metrics isn't written: one of an earlier run stays.
        """
        self.console.end_bar(is_whole=False)
        for sink in self._sinks:
            if not isinstance(sink, EvaluationSink):
                sink.close(())

    def _locate(self, name: str) -> Path:
        return self._root / name

    def _pass_on(self, outcomes: Sequence[Outcome]) -> None:
        for sink in self._sinks:
            sink.add(outcomes)

    def _take_over(self, results: ResultsFile) -> None:
        """Pass the results of earlier runs on to page and evaluation, so that these cover all images."""
        for outcome in self._earlier(results):
            for sink in self._sinks:
                if sink is not results:
                    sink.add([outcome])

    def _earlier(self, results: ResultsFile) -> Iterator[Outcome]:
        for name, prediction in results.earlier():
            yield Outcome(self.prepare(from_file(self._locate(name), name)), prediction)


def _lines_of(evaluation: Evaluation | None) -> tuple[Sequence[str], Sequence[str]]:
    """Return the lines of the summary and those of the table; log what must be known to read them."""
    if evaluation is None:
        return (), ()
    for note in notes_of(evaluation):
        LOGGER.warning("%s", note)
    return accuracy_lines(evaluation), table_lines(evaluation)


def _open_results(
    settings: ClientSettings, output: Path, model_facts: Mapping[str, Any], evaluation: Evaluation | None
) -> ResultsFile:
    folder = str(settings.image_file.resolve())
    noted = {"image_file": folder, **{name: getattr(settings, name) for name in _NOTED}}
    noted |= model_facts
    if settings.resume:
        noted = check_settings(output, noted)
    results = ResultsFile(output, resume=settings.resume, judge=evaluation.judge if evaluation else None)
    note_settings(output, noted)
    return results
