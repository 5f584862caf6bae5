"""Prints a line per image, then the averages, and what became of all files."""

import sys
from collections.abc import Sequence

from tqdm import tqdm

from clas.commandline.cells import shown_name, visible
from clas.commandline.file_totals import FileTotals
from clas.commandline.formats import own_lines
from clas.output.base import Prediction

from .image_count import ImageCount
from .log import LOGGER
from .sender import Answer


class ConsoleReport:
    """Prints results as they come, and the averages; its size doesn't grow with the number of images.

    Results and averages go to stdout, which ends with these as the original client's does; failures, what
    became of all files, and the progress bar, which is shown on a terminal only, to stderr.

    Args:
        count: How many images there will be, as far as that is known, for the progress bar.
        shows_results: Print a line for each image with a result.
        shows_failures: Log a line for each image, or batch, without one.

    Attributes:
        files: What became of all files; counts those that aren't taken.
        num_answered: Images with a result, so far.
        num_failed: Images without one, so far.
        num_skipped: Images with a result of an earlier run, so far.
    """

    def __init__(self, count: ImageCount, *, shows_results: bool = True, shows_failures: bool = True) -> None:
        self.files = FileTotals()
        self.num_failed = 0
        self.num_answered = 0
        self.num_skipped = 0
        self._elapse_s = 0.0
        self._latency_s = 0.0
        self._num_classified = 0
        self._top1_scores = 0.0
        self._values = 0.0
        self._count = count
        self._shows_results = shows_results
        self._shows_failures = shows_failures
        self._bar = tqdm(total=count.found or None, unit="image", file=sys.stderr, disable=None)

    @property
    def num_done(self) -> int:
        """How many images have a result, or won't have one."""
        return self.num_answered + self.num_failed + self.num_skipped

    @property
    def status(self) -> int:
        """The exit status: 0 if every image has a result, 1 if any has none or there are no images."""
        return int(self.num_failed > 0 or self.num_answered + self.num_skipped == 0)

    def add(self, names: Sequence[str], answer: Answer) -> None:
        """Print the results of one batch, in the order of `names`."""
        self._elapse_s += answer.elapse_s
        self._latency_s += answer.latency_s
        for name, entry in zip(names, answer.predictions, strict=True):
            if "error" in entry:
                self.fail([name], entry["error"])
                continue
            if self._shows_results:
                self._print(_result_line(name, entry))
            self.num_answered += 1
            self._num_classified += "value" not in entry and "feature" not in entry
            self._top1_scores += entry["scores"][0] if entry["scores"] else 0
            self._values += entry.get("value", 0)
            self._advance()

    def fail(self, names: Sequence[str], reason: object) -> None:
        """Log in one line that these images have no result, and why."""
        if self._shows_failures:
            shown = shown_name(names[0])
            if len(names) > 1:
                shown = f"{shown} ... {shown_name(names[-1])} ({len(names)} images)"
            with tqdm.external_write_mode(file=sys.stderr):
                LOGGER.error("%s: %s", shown, reason)
        self.num_failed += len(names)
        self._advance(len(names))

    def skip(self) -> None:
        """Count an image that has a result of an earlier run."""
        self.num_skipped += 1
        self._advance()

    def end_bar(self, *, is_whole: bool) -> None:
        """Finish the progress bar; it says how many images there were, if the run has come to its end."""
        if is_whole:
            self._bar.total = self.num_done
        self._bar.close()

    def close(
        self, more: Sequence[str] = (), table: Sequence[str] = (), *, is_whole: bool = True
    ) -> list[str]:
        """Print the averages over the images that were answered, and what became of all files.

        The latter is left out if each file has its result, unless it is all that is printed of the files.

        Args:
            more: Further lines to print after the averages.
            table: Lines to print after these.
            is_whole: Whether the run has come to its end.

        Returns:
            All lines that were printed, without the table.
        """
        self.end_bar(is_whole=is_whole)
        averages = [*self._averages(), *more]
        totals = self.files.line(self.num_answered, self.num_failed, self.num_skipped, is_whole=is_whole)
        if not self.num_answered + self.num_skipped:
            LOGGER.error("no image was answered")
        for line in (*averages, *table):
            self._print(line)
        is_all = is_whole and not self.num_failed and not self.files.num_skipped
        if not is_all or not self._shows_results:
            tqdm.write(totals, file=sys.stderr)
        return [*averages, totals]

    def _averages(self) -> list[str]:
        lines = []
        if self.num_answered:
            lines = [
                f"The average time of prediction cost: {self._elapse_s / self.num_answered:.3f} s/image",
                f"The average time cost: {self._latency_s / self.num_answered:.3f} s/image",
            ]
            if self._num_classified:
                lines.append(f"The average top-1 score: {self._top1_scores / self._num_classified:.3f}")
            elif self._values:
                lines.append(f"The average value: {self._values / self.num_answered:.3f}")
        if self.num_skipped:
            lines.append(f"Images with a result of an earlier run, not in these averages: {self.num_skipped}")
        return lines

    def _advance(self, images: int = 1) -> None:
        self._bar.total = max(self._count.found, self.num_done) or None
        self._bar.update(images)

    def _print(self, line: str) -> None:
        tqdm.write(line, file=sys.stdout)


def _result_line(name: str, entry: Prediction) -> str:
    return (
        f"File:{shown_name(name)}, The result(s): class_ids: {entry['class_ids']}, "
        f"label_names: {entry['label_names']}, scores: {entry['scores']}{_own(entry)}"
    )


def _own(entry: Prediction) -> str:
    """Return what a result says besides classes, to print; of features only how many they are."""
    if "feature" in entry:
        return f", feature: {', '.join(own_lines(entry))}"
    fields = ("attributes", "output", "groups", "value")
    return "".join(f", {name}: {visible(str(value))}" for name, value in entry.items() if name in fields)
