"""What engines have in common: files, batches of one size, the warm-up, and the check of answers."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import ModelLoadError, PredictionError
from ..image.layout import image_shape, image_size
from ..image.operation_settings import operations_of
from ..image.operations import output_size
from ..model.files import ModelFiles
from ..model.score_range import ScoreRange
from ..model.signature import Signature
from ..settings import Settings
from .base import Batch, Scores
from .probes import probe_batches

_SCORES_RANK = 2  # [N, classes]
_SIDE = 224  # of an image, where it may be any


@contextlib.contextmanager
def same_bytes(files: ModelFiles) -> Iterator[None]:
    """Check that what is loaded in the block is what was loaded before.

    Raises:
        ModelChangedError: The files hold something else by now.
        ModelLoadError: They were changed during the block.
    """
    fingerprint = files.fingerprint and files.fingerprint.retake()
    yield
    if fingerprint:
        fingerprint.check_untouched()


def padded(batch: Batch, batch_size: int | None) -> Batch:
    """Fill a batch up with zeros; it is returned as it is if it is large enough, or any size will do."""
    missing = (batch_size or 0) - len(batch)
    if missing <= 0:
        return batch
    return np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), np.float32)])


def joined(outputs: Sequence[npt.NDArray[np.generic]], *, copy: bool = False) -> Scores:
    """Return one output of a model as float32, or several joined along axis 1.

    Args:
        outputs: One of any rank, or several [N, some scores].
        copy: Whether one output is copied even if it is float32.
    """
    if len(outputs) == 1:
        return outputs[0].astype(np.float32, copy=copy)
    return np.concatenate([output.astype(np.float32, copy=False) for output in outputs], axis=1)


def warm_up(
    run: Callable[[Batch], Scores], signature: Signature, settings: Settings, program: Path
) -> tuple[int, ScoreRange]:
    """Run a model on a few images, so that the first request isn't slow.

    Args:
        run: Runs the model on a batch.
        signature: Its input and output.
        settings: Read for the size of images, where the model accepts any.
        program: The model's file, for messages.

    Returns:
        The scores per image, and their range.

    Raises:
        ModelLoadError: It isn't a classifier.
    """
    shape = warm_up_shape(signature, settings)
    answers = [run(batch) for batch in probe_batches(shape, signature.image.dtype)]
    for scores in answers:
        if scores.ndim != _SCORES_RANK or len(scores) != shape[0]:
            raise ModelLoadError(
                f"{program} is not an image classifier: it answers {list(scores.shape)} "
                f"to an input of {shape}; [{shape[0]}, classes] was expected"
            )
    return answers[0].shape[1], ScoreRange.of(answers)


def warm_up_shape(signature: Signature, settings: Settings) -> list[int]:
    """Return the shape of the batches that `warm_up` runs."""
    wanted = signature.image.shape
    width, height = output_size(operations_of(settings))
    declared = image_size(signature.declared_shape or wanted)
    size = width or declared[0] or _SIDE, height or declared[1] or _SIDE
    sizes = zip(wanted[1:], image_shape(*size, wanted), strict=True)
    return [wanted[0] or 1, *(size or default for size, default in sizes)]


def check_scores(scores: Scores, count: int, num_outputs: int) -> None:
    """Check what a model has answered.

    Args:
        scores: Its answer.
        count: The images that it was given.
        num_outputs: Scores per image.

    Raises:
        PredictionError: It has another shape, or a value isn't finite.
    """
    if scores.shape != (count, num_outputs):
        raise PredictionError(
            f"the model answered {list(scores.shape)} to a batch of {count}; "
            f"[{count}, {num_outputs}] was expected"
        )
    if not np.isfinite(scores).all():
        raise PredictionError("the model's scores for this batch hold NaN or infinity")
