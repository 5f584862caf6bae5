"""A line in the table of `python -m clas tune`."""

import dataclasses
from typing import Any, Final

from ..errors import PredictionError
from ..settings import Settings
from .trial.agreement import Agreement, compare_scores
from .trial.runs import Measurement

_MIB: Final = 2**20


@dataclasses.dataclass
class Run:
    """An engine that was tried.

    Attributes:
        settings: What was to be measured.
        measurement: What was found; None if it failed.
        error: Why it failed.
        agreement: How far its scores agree with those of the reference; None if that isn't known.
    """

    settings: Settings
    measurement: Measurement | None
    error: str = ""
    agreement: Agreement | None = None

    @property
    def engine(self) -> str:
        """Engine and, if it ran, version."""
        info = self.measurement and self.measurement.answers.info
        return f"{info.name} {info.version}" if info else self.settings.engine

    @property
    def precision(self) -> str:
        """The precision that it computes in, or should have."""
        return self.measurement.answers.info.precision if self.measurement else self.settings.precision

    @property
    def threads(self) -> int:
        """Its threads; 0 for all, if it failed."""
        if self.measurement:
            return self.measurement.answers.info.num_threads
        return self.settings.cpu_num_threads

    @property
    def images_per_s(self) -> float:
        """Images per second under load; 0 if it failed."""
        return self.measurement.images_per_s_under_load if self.measurement else 0.0

    @property
    def failures(self) -> list[str]:
        """A line for each image that can't be decoded."""
        return self.measurement.answers.failures if self.measurement else []

    @property
    def agrees(self) -> bool:
        """Whether its scores agree with those of the reference."""
        return self.agreement is not None and self.agreement.holds(self.precision)

    def __str__(self) -> str:
        threads = "" if self.settings.use_gpu else f", threads: {self.threads or 'all'}"
        return f"{self.engine} {self.precision}{threads}"

    def compare_with(self, reference: "Run | None") -> None:
        """Compare its scores with those of another run; it has failed if they are of another model."""
        if not (self.measurement and reference and reference.measurement):
            return
        try:
            self.agreement = compare_scores(
                self.measurement.answers.scores, reference.measurement.answers.scores
            )
        except PredictionError as exc:
            self.measurement, self.error = None, str(exc)

    def as_dict(self) -> dict[str, Any]:
        """Return the line as JSON values."""
        line: dict[str, Any] = {
            "engine": self.settings.engine,
            "version": self.engine.partition(" ")[2],
            "precision": self.precision,
            "threads": self.threads,
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
            "agreement": agreement and agreement._asdict(),
            "agrees": self.agrees,
        }

    def init_args(self) -> dict[str, object]:
        """Return the settings to paste; all cores are the default, which a server shares out."""
        settings = self.settings
        names = ["engine", "precision"]
        if settings.use_gpu:
            names += ["use_gpu", *(["use_tensorrt"] if settings.use_tensorrt else [])]
        elif settings.cpu_num_threads:
            names.append("cpu_num_threads")
        if settings.engine == "paddle" and not settings.use_gpu:
            names.append("enable_mkldnn")  # which the shipped config.json switches off
        return {name: getattr(settings, name) for name in names}

    def flags(self) -> str:
        """Return the same as flags."""
        words = []
        for name, value in self.init_args().items():
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            words.append(f"--{name}" if name == "use_gpu" else f"--{name} {shown}")
        return " ".join(words)
