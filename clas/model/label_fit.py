"""Fits the labels to the number of classes, which is known once the model is loaded."""

from collections.abc import Mapping
from typing import Final

from ..errors import LabelFileError
from ..settings import Settings
from .exported import ExportedModel

_TWO: Final = 2


def fit_labels(model: ExportedModel, num_classes: int) -> tuple[Mapping[int, str], str]:
    """Return the labels of a model's classes, and what isn't right about those that were found.

    Labels with the ids 1 to `num_classes` count from 1: there is no class of the last id, and all classes
    have names only if each id is one too high. The built-in list is dropped if it doesn't fit.

    With ThreshOutput, the two classes of a model with one or two outputs have label_0 and label_1, unless the
    model's inference.yml has a list of labels and these weren't set.

    Args:
        model: Its labels, and the settings.
        num_classes: The number of the model's outputs.

    Returns:
        Class id -> name, empty for a service without labels; and a warning, empty if there is none.

    Raises:
        LabelFileError: There is no label file; or the ids aren't 0 to `num_classes` - 1, and the settings
            don't allow that.
    """
    if model.settings.main_indicator == "ThreshOutput" and (two := _of_thresh_output(model, num_classes)):
        return two, ""
    if model.label_error:
        raise model.label_error
    labels, ids = model.labels, set(model.labels)
    if not labels or ids == set(range(num_classes)):
        return labels, ""
    if ids == set(range(1, num_classes + 1)):
        warning = (
            f"the labels of {_name(model)} count from 1: 1 is taken for class 0, and {num_classes} for class "
            f"{num_classes - 1}"
        )
        return {class_id - 1: name for class_id, name in sorted(labels.items())}, warning
    found = (
        f"{len(labels)} labels with ids {min(ids)} to {max(ids)}, "
        f"but the model has {num_classes} classes, 0 to {num_classes - 1}"
    )
    if model.settings.allow_label_mismatch:
        return labels, f"{_name(model)} has {found}"
    if model.has_built_in_labels:
        return (
            {},
            f"the built-in label list isn't used: it has {found}; set class_id_map_file to the model's own",
        )
    raise LabelFileError(
        f'{model.label_file} has {found}: set class_id_map_file to the labels of this model, or to "" for '
        "none, or set allow_label_mismatch to true to use these labels for the classes that have their ids"
    )


def _of_thresh_output(model: ExportedModel, num_classes: int) -> Mapping[int, str]:
    """Return the names of two classes; empty if more classes, or a list in inference.yml, have others."""
    two = (model.settings.label_0, model.settings.label_1)
    is_listed = bool(model.config and model.config.labels) and two == (Settings.label_0, Settings.label_1)
    is_two = num_classes < _TWO or (num_classes == _TWO and not is_listed)
    return dict(enumerate(two)) if is_two else {}


def _name(model: ExportedModel) -> str:
    """The name of the label file, without the folders of this machine."""
    return model.label_file.name if model.label_file else "the settings"
