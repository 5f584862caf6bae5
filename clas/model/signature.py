"""Chooses the input and the output of a program that are used."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import ModelLoadError, SettingsError
from ..image.layout import image_size, size_axes
from .files import ModelFiles
from .program import Program, Tensor, read_program

_IMAGE_RANK: Final = 4
_SCORES_RANK: Final = 2
_IMAGE_DTYPES: Final = ("float32", "float64", "float16", "uint8")
_SCORE_DTYPES: Final = ("float32", "float64", "float16")
_INTEGERS: Final = ("int32", "int64")  # may be places, where the operator isn't known
_SORTING: Final = ("TopK", "topk", "top_k", "top_k_v2", "argsort")
"""Operators after which a score's place isn't its class any more."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """The input and the output that are used.

    Attributes:
        image: The input, of rank 4.
        scores: The output, or several whose scores are joined in this order.
        ignored: All other outputs.
        declared_shape: The shape of `image` that the program declares, if `with_image_size` has changed it.
    """

    image: Tensor
    scores: tuple[Tensor, ...]
    ignored: tuple[Tensor, ...]
    declared_shape: tuple[int | None, ...] = ()

    @property
    def of_other_size(self) -> str:
        """What is said where a model doesn't run, if it was to run on images of another size."""
        if not self.declared_shape:
            return ""
        used, declared = (
            " x ".join(str(side or "any") for side in image_size(shape))
            for shape in (self.image.shape, self.declared_shape)
        )
        return f" on images of {used}, as its inference.yml says (the program declares {declared})"

    def with_image_size(self, size: tuple[int | None, int | None] | None) -> "Signature":
        """Return the signature for images of another size than the program declares.

        Args:
            size: Width and height, each None if it depends on the image; None for those of the program.
        """
        if size is None:
            return self
        shape = list(self.image.shape)
        width, height = size
        for axis, side in zip(size_axes(shape), (height, width), strict=True):
            if shape[axis] is not None:
                shape[axis] = side
        if tuple(shape) == self.image.shape:
            return self
        image = dataclasses.replace(self.image, shape=tuple(shape))
        return dataclasses.replace(self, image=image, declared_shape=self.image.shape)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs with the scores."""
        return [output.name for output in self.scores]


def read_signature(files: ModelFiles, output_names: Sequence[str] = ()) -> Signature:
    """Read from the program which input and which outputs are used.

    Args:
        files: The model.
        output_names: The outputs with the scores; empty for the only one that can be.

    Raises:
        ModelLoadError: The program is damaged, has another input than one image, or no scores, or more than
            one output that may be the scores.
        SettingsError: There is no output of this name, or it has no scores.
    """
    return choose_signature(read_program(files), files.program, output_names)


def choose_signature(program: Program, path: Path, output_names: Sequence[str] = ()) -> Signature:
    """Choose which input and which outputs of a program are used.

    Args:
        program: What it takes and returns.
        path: Its file, for messages.
        output_names: As `read_signature`.

    Raises:
        ModelLoadError: As `read_signature`.
        SettingsError: As `read_signature`.
    """
    image = _image_input(program.inputs, path)
    scores = tuple(_named(program.outputs, name, path) for name in output_names)
    _check_ranks(scores)
    scores = scores or (_only_scores(program.outputs, path),)
    ignored = tuple(output for output in program.outputs if output not in scores)
    for output in scores:
        _check_order(output, ignored, path, is_named=bool(output_names))
    return Signature(image, scores, ignored)


def _image_input(inputs: Sequence[Tensor], program: Path) -> Tensor:
    if len(inputs) != 1 or len(inputs[0].shape) != _IMAGE_RANK:
        raise ModelLoadError(
            f"{program} is not an image classifier: its inputs are {_listed(inputs)}; "
            "one of rank 4 ([N, C, H, W]) was expected"
        )
    [image] = inputs
    if image.dtype not in _IMAGE_DTYPES:
        raise ModelLoadError(
            f"{program} has an input {image}, which is not supported; it takes {', '.join(_IMAGE_DTYPES)}"
        )
    return image


def _named(outputs: Sequence[Tensor], name: str, program: Path) -> Tensor:
    found = next((output for output in outputs if output.name == name), None)
    if found is None:
        raise SettingsError(f"output_name is {name!r}, but the outputs of {program} are {_listed(outputs)}")
    if found.dtype not in _SCORE_DTYPES:
        raise SettingsError(f"output_name is {name!r}, but {found} has no scores: they are floats")
    return found


def _check_ranks(outputs: Sequence[Tensor]) -> None:
    """Refuse to join what isn't [N, some scores]."""
    other = next((output for output in outputs if len(output.shape) != _SCORES_RANK), None)
    if len(outputs) > 1 and other:
        raise SettingsError(f"output_names has {other}, which can't be joined: it takes outputs [N, scores]")


def _only_scores(outputs: Sequence[Tensor], program: Path) -> Tensor:
    """Return the only output that may be the scores; if there is one only, the warm-up shows its shape."""
    floats = [output for output in outputs if output.dtype in _SCORE_DTYPES]
    possible = floats if len(outputs) == 1 else [out for out in floats if len(out.shape) == _SCORES_RANK]
    if not possible:
        raise ModelLoadError(
            f"{program} returns no scores: its outputs are {_listed(outputs)}; "
            "one of floats [N, classes] was expected: export the model without an argmax or top-k at its end"
        )
    if len(possible) > 1:
        raise ModelLoadError(
            f"{program} has several outputs that may be the scores: {_listed(possible)}; "
            "set output_name to the name of one of them, or output_names to join several"
        )
    return possible[0]


def _check_order(scores: Tensor, ignored: Sequence[Tensor], program: Path, *, is_named: bool) -> None:
    """Refuse scores that the program has sorted, so that a score's place isn't its class."""
    if scores.operator in _SORTING:
        raise ModelLoadError(
            f"{program} sorts its scores itself: the place in {scores} isn't the class; export the model "
            "without that operator"
        )
    alike = [out for out in ignored if out.shape == scores.shape]
    beside = next((out for out in alike if _may_be_places(out)), None)
    if beside and not is_named:
        raise ModelLoadError(
            f"{program} may have sorted its scores: {scores} comes with {beside}; "
            f"if the place in it is the class all the same, set output_name to {scores.name!r}, "
            "else export the model without that operator"
        )


def _may_be_places(output: Tensor) -> bool:
    """Whether an output may hold the places of sorted scores."""
    return output.operator in _SORTING or (not output.operator and output.dtype in _INTEGERS)


def _listed(tensors: Sequence[Tensor]) -> str:
    return ", ".join(map(str, tensors)) or "none"
