"""What `python -m clas tune` has found, as a table or as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..engine.devices import available_cores
from .trial.agreement import CLEAR_LEAD, RULE
from .trial.images import WEAK_SIGN, TrialImages
from .tune_run import Run

_HEAD: Final = (
    "",
    "engine",
    "precision",
    "threads",
    "images/s alone",
    "under load",
    "p50 ms",
    "MiB",
    "same best",
    "difference",
)
_TEXTS: Final = 3  # the first columns, which are aligned left
_NO_VALUE: Final = "-"


class Report:
    """What was found.

    Args:
        directory: The model's.
        images: What the engines were tried on.
        runs: The engines that were tried.
        passed_over: Those that weren't, with the reasons.

    Attributes:
        reference: The run that the others are compared with: the first in fp32; None if there is none.
        best: The one with the most images/s under load among those whose scores agree; None if there is none.
    """

    def __init__(
        self, directory: Path, images: TrialImages, runs: Sequence[Run], passed_over: Mapping[str, str]
    ) -> None:
        self._directory = directory
        self._images = images
        self._runs = runs
        self._passed_over = passed_over
        self.reference = next((run for run in runs if run.measurement and run.precision == "fp32"), None)
        for run in runs:
            run.compare_with(self.reference)
        self.best = max(filter(self._may_be_best, runs), key=lambda run: run.images_per_s, default=None)

    def as_json(self) -> str:
        """Return it as JSON."""
        best, reference = self.best, self.reference
        facts: dict[str, Any] = {
            "model": str(self._directory),
            "cores": available_cores(),
            "images": self._images.count,
            "generated": not self._images.files,
            "reference": str(reference) if reference else None,
            "rule": RULE,
            "runs": [{**run.as_dict(), "best": run is best} for run in self._runs],
            "passed_over": dict(self._passed_over),
            "best": {"init_args": best.init_args(), "flags": best.flags()} if best else None,
        }
        return json.dumps(facts, indent=2)

    def as_text(self) -> Iterator[str]:
        """Yield its lines; `*` marks the best."""
        remark = "" if self._images.files else f"; {WEAK_SIGN}"
        yield f"model: {self._directory}; cores: {available_cores()}; {self._images}{remark}"
        yield ""
        yield from self._table() if self._runs else ["no engine could be measured"]
        for name, reason in self._passed_over.items():
            yield f"not measured: {name}: {reason}"
        if self.reference:
            yield ""
            yield f"compared with {self.reference}; {RULE}"
        others = (run for run in self._runs if run.agreement and not self._may_be_best(run))
        fastest = max(others, key=lambda run: run.images_per_s, default=None)
        if fastest and fastest.images_per_s > self._best_rate:
            yield f"faster than the best, but {self._objection(fastest)}: {fastest}"
        if self.best:
            yield f"best: {self.best}"
            yield f"  init_args: {json.dumps(self.best.init_args())}"
            yield f"  flags:     {self.best.flags()}"

    def _table(self) -> Iterator[str]:
        rows = [_HEAD, *(_cells(run, is_best=run is self.best) for run in self._runs)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row, run in zip(rows, [None, *self._runs], strict=True):
            error = f"  failed: {run.error}" if run and run.error else ""
            yield _aligned(row, widths).rstrip() + error

    @property
    def _best_rate(self) -> float:
        return self.best.images_per_s if self.best else 0.0

    def _may_be_best(self, run: Run) -> bool:
        """Whether its scores agree; generated images can't show that where fewer digits decide."""
        return run.agrees and (run.precision == "fp32" or bool(self._images.files))

    def _objection(self, run: Run) -> str:
        """Say why a run can't be the best."""
        if run.agrees or not run.agreement:
            return "only images of your own can show whether it agrees"
        found = run.agreement
        clear = f"{found.same_clear} of the {found.clear} whose best class leads by more than {CLEAR_LEAD:g}"
        return f"its scores don't agree ({found}; same best class for {clear})"


def _cells(run: Run, *, is_best: bool) -> tuple[str, ...]:
    start = ("*" if is_best else "", run.engine, run.precision, str(run.threads or "all"))
    if not run.measurement:
        return (*start, *("" for _ in _HEAD[len(start) :]))
    line, agreement = run.as_dict(), run.agreement
    return (
        *start,
        f"{line['images_per_s_alone']:.1f}",
        f"{line['images_per_s_under_load']:.1f}",
        f"{line['p50_ms']:.2f}",
        _NO_VALUE if line["memory_mib"] is None else str(line["memory_mib"]),
        f"{100 * agreement.same_best_share:.1f} %" if agreement else _NO_VALUE,
        f"{agreement.largest_difference:.1g}" if agreement else _NO_VALUE,
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    texts = [cell.ljust(width) for cell, width in zip(cells[:_TEXTS], widths[:_TEXTS], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(cells[_TEXTS:], widths[_TEXTS:], strict=True)]
    return "  ".join([*texts, *numbers])
