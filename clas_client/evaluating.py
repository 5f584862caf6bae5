"""The sink that compares answers with true classes, for --label_file and --labels_from_folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clas.commandline.evaluation.evaluation import Evaluation
from clas.commandline.evaluation.ground_truth import FolderTruth, GroundTruth, ListedTruth, locate_in
from clas.commandline.evaluation.metrics_file import check_writable, write_metrics

from .resume_check import MODEL_PREFIX
from .settings import ClientSettings
from .sink import Outcome


class EvaluationSink:
    """Counts outcomes, and writes the file of --metrics in the end.

    Args:
        evaluation: What counts.
        metrics: The file; None for none. An existing one is kept until the end, and then replaced.

    Raises (also later):
        EvaluationError: The file can't be written.
    """

    def __init__(self, evaluation: Evaluation, metrics: Path | None) -> None:
        self._evaluation = evaluation
        self._metrics = metrics
        if metrics:
            check_writable(metrics)

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count one batch."""
        for image, prediction in outcomes:
            self._evaluation.add(image.name, prediction)

    def close(self, summary: Sequence[str]) -> None:  # noqa: ARG002  # the interface is Sink's
        """Write the figures."""
        if self._metrics:
            write_metrics(self._metrics, self._evaluation)


def has_truth(settings: ClientSettings) -> bool:
    """Return whether the true classes are known."""
    return settings.label_file is not None or settings.labels_from_folders


def make_evaluation(settings: ClientSettings, model_facts: Mapping[str, Any]) -> Evaluation | None:
    """Return what compares answers with the true classes; None if these aren't known.

    Args:
        settings: Read for image_file, label_file and labels_from_folders.
        model_facts: See `ServerInfo.model_facts`.

    Raises:
        EvaluationError: The true classes can't be read.
    """
    if not has_truth(settings):
        return None
    locate = locate_in(settings.root)
    truth: GroundTruth = (
        ListedTruth(settings.label_file, locate)
        if settings.label_file
        else FolderTruth([settings.root], locate)
    )
    classes = model_facts.get(f"{MODEL_PREFIX}classes")
    return Evaluation(truth, classes if type(classes) is int else None)
