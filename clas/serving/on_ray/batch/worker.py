"""The actor of Ray's pool: computes and writes one part after the other."""

import dataclasses
import logging
import time
from typing import Any, Final

from pyarrow.fs import FileType

from ....classifier import Classifier
from ....commandline.terminal import LOGGER, show_log
from ....errors import ClasError, ModelChangedError, UnavailableError
from ....model.fingerprint import VERSION_DIGITS
from ....settings import load_settings
from ..cores import reserved_cores
from .ahead import classify_ahead
from .inputs import Piece
from .job import Job
from .reading import Reader
from .storage import open_storage
from .totals import Totals, encode

_PAUSES_S: Final = (1, 5, 15)  # before a storage that hasn't answered is asked again


class PartWorker:
    """Keeps one engine.

    If the model can't be loaded here, its first part fails rather than the actor: of an actor that fails, Ray
    prints the whole stack, and starts it again.

    Args:
        job: The run.
    """

    def __init__(self, job: Job) -> None:
        show_log(logging.WARNING)
        self._job = job
        self._cores = reserved_cores()
        self._failure: ClasError | None = None
        try:
            self._load()
        except ClasError as exc:
            self._failure = exc

    def _load(self) -> None:
        settings = load_settings(self._job.settings)
        if not (settings.use_gpu or settings.cpu_num_threads):
            settings = dataclasses.replace(settings, cpu_num_threads=self._cores)
        self._classifier = Classifier(settings)
        if self._classifier.fingerprint != self._job.fingerprint:
            raise ModelChangedError("the model in inference_model_dir of this node isn't that of the driver")
        self._model = self._classifier.describe()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Compute a part, unless it is there.

        Args:
            row: The part's `number`, and the fields of its `Piece`.

        Returns:
            The number, and what became of the images.

        Raises:
            StartupError: The model can't be loaded here, or isn't the one that the run began with.
            PredictionError: The model failed.
            UnavailableError: A storage doesn't answer, though it was asked several times.
        """
        if self._failure:
            raise self._failure
        piece = Piece(*(row[name] for name in Piece._fields[:-1]))
        number, pauses_s = row["number"], iter(_PAUSES_S)
        while True:
            try:
                return {"number": number, **encode(self._ensure(number, piece))}
            except OSError as exc:
                pause_s = next(pauses_s, None)
                if pause_s is None:
                    raise UnavailableError(f"part {number} can't be read or written: {exc}") from exc
                LOGGER.warning("part %d is tried again in %d s: %s", number, pause_s, exc)
                time.sleep(pause_s)

    def _ensure(self, number: int, piece: Piece) -> Totals:
        """Write a part, if it isn't there: whoever computed it may have been lost with its answer."""
        (storage, _), form, name = self._job.open_output(), self._job.form, self._job.part_name(number)
        totals = Totals()
        if storage.kind(name) is FileType.File:
            with storage.open(name) as file:
                totals.add(form.errors(file))
            return totals
        home, _ = open_storage(self._job.inputs[piece.place])
        images = Reader(home, self._job.column).images(piece, storage)
        with storage.writing(name) as file:
            writer = form.writer(file, self._model, self._job.fingerprint[:VERSION_DIGITS])
            for answers in classify_ahead(self._classifier, images, 2 * self._cores):
                writer.add(answers)
                totals.add(prediction.get("error") for _, prediction in answers)
            writer.close()
        return totals
