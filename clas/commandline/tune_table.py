"""The table of `python -m clas tune`."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..settings import Settings
from .trial.agreement import Agreement, compare_scores
from .trial.runs import Measurement

_MIB: Final = 2**20
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


@dataclasses.dataclass
class Run:
    """One line of the table.

    Attributes:
        settings: What was measured.
        measurement: What was found; None if it failed.
        error: Why it failed.
        agreement: How far its scores agree with those of the reference; None if that isn't known.
    """

    settings: Settings
    measurement: Measurement | None
    error: str = ""
    agreement: Agreement | None = None

    @property
    def name(self) -> str:
        """Engine, version, precision and threads."""
        engine, precision, threads = self._how()
        return f"{engine} {precision}, threads: {threads}"

    @property
    def images_per_s(self) -> float:
        """Images per second under load; 0 if it failed."""
        return self.measurement.images_per_s_under_load if self.measurement else 0.0

    @property
    def agrees(self) -> bool:
        """Whether its scores agree with those of the reference."""
        return self.agreement is not None and self.agreement.holds(self._how()[1])

    def compare_with(self, reference: "Run | None") -> None:
        """Compare its scores with those of another run."""
        if self.measurement and reference and reference.measurement:
            self.agreement = compare_scores(
                self.measurement.answers.scores, reference.measurement.answers.scores
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the line as JSON values."""
        engine, precision, threads = self._how()
        line: dict[str, Any] = {
            "engine": self.settings.engine,
            "version": engine.partition(" ")[2],
            "precision": precision,
            "threads": threads,
        }
        if not self.measurement:
            return {**line, "error": self.error}
        found, agreement = self.measurement, self.agreement
        memory = found.memory_bytes
        return {
            **line,
            "device": found.answers.info.device,
            "images_per_s_alone": round(found.images_per_s, 1),
            "images_per_s_under_load": round(found.images_per_s_under_load, 1),
            "p50_ms": round(found.p50_ms, 2),
            "memory_mib": None if memory is None else round(memory / _MIB),
            "same_best": agreement and agreement.same_best_share,
            "largest_difference": agreement and agreement.largest_difference,
            "agrees": self.agrees,
        }

    def _how(self) -> tuple[str, str, int]:
        """Engine with version, precision and threads; as they came out, if it ran."""
        if not self.measurement:
            return self.settings.engine, self.settings.precision, self.settings.cpu_num_threads
        info = self.measurement.answers.info
        return f"{info.name} {info.version}", info.precision, info.num_threads


def as_text(runs: Sequence[Run], best: Run | None) -> Iterator[str]:
    """Yield the lines of the table; `*` marks the best."""
    rows = [_cells(run.as_dict(), is_best=run is best) for run in runs]
    widths = [max(len(row[column]) for row in [_HEAD, *rows]) for column in range(len(_HEAD))]
    for row, run in zip([_HEAD, *rows], [None, *runs], strict=True):
        cells = [
            cell.ljust(width) if column <= _HEAD.index("precision") else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip() + (f"  failed: {run.error}" if run and run.error else "")


def _cells(line: dict[str, Any], *, is_best: bool) -> tuple[str, ...]:
    name = f"{line['engine']} {line['version']}".strip()
    start = ("*" if is_best else "", name, line["precision"], str(line["threads"] or "all"))
    if "error" in line:
        return (*start, *("" for _ in _HEAD[len(start) :]))
    memory, share, difference = line["memory_mib"], line["same_best"], line["largest_difference"]
    return (
        *start,
        f"{line['images_per_s_alone']:.1f}",
        f"{line['images_per_s_under_load']:.1f}",
        f"{line['p50_ms']:.2f}",
        "-" if memory is None else str(memory),
        "-" if share is None else f"{100 * share:.1f} %",
        "-" if difference is None else f"{difference:.1g}",
    )
