"""Converts the PostProcess of an inference.yml, or of a deployment configuration, to settings and labels."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from ..result_settings import ATTRIBUTE_FORMS, RESULT_OPTIONS
from ..settings import setting_value
from .transform_ops import InvalidEntryError, Values, take

_LOGGER: Final = logging.getLogger("clas_system")
_LABELLED: Final = ("Topk", "ThreshOutput", "MultiLabelThreshOutput", *ATTRIBUTE_FORMS)
"""Entries that may name their outputs."""
_FILES_NAMES: Final = {"binarize_method": "method"}
"""Setting -> option, where their names differ."""
_OWN: Final = ("allow_label_mismatch", "output_name", "output_names", "softmax")
"""Settings that PostProcess may have beside its entries; PaddleClas doesn't write them."""
_PASSED_OVER: Final = "SavePreLabel"
"""Copies images to folders on the machine that predicts."""
_DELIMITERS: Final = (None, " ", "\t")
"""Label files tell their delimiter themselves."""


def read_postprocess(
    section: Mapping[str, Any], main_indicator: str | None = None
) -> tuple[Values, dict[int, str]]:
    """Read PostProcess; only one of its entries is used.

    Args:
        section: The section.
        main_indicator: The entry to use if it was given for this start; None for the one that the section
            names, or its only one. If the section lacks it, the labels of the section's own are used.

    Returns:
        Settings by name, not yet validated; and class id -> name, if the section itself has names.

    Raises:
        InvalidEntryError: An entry or an option is invalid or not supported, or several entries may be meant.
    """
    own = {name: setting_value(name, section[name]) for name in _OWN if name in section}
    entries = {name: options for name, options in section.items() if name not in ("main_indicator", *_OWN)}
    if _PASSED_OVER in entries:
        _LOGGER.info("PostProcess.%s is passed over: images aren't kept", _PASSED_OVER)
        del entries[_PASSED_OVER]
    name = section.get("main_indicator") or (next(iter(entries)) if len(entries) == 1 else None)
    if main_indicator:
        is_there = main_indicator in entries
        values, labels = (
            _read_entry(main_indicator, entries[main_indicator]) if is_there else _labels_of(name, entries)
        )
        return {**({"main_indicator": name} if name else {}), **values, **own}, labels
    if name is None:
        if entries:
            found = ", ".join(map(str, entries))
            raise InvalidEntryError(f"PostProcess has {found}; main_indicator must name one of them")
        return own, {}
    values, labels = _read_entry(name, entries.get(name) if isinstance(name, str) else None)
    return {"main_indicator": name, **values, **own}, labels


def _read_entry(name: object, options: Any) -> tuple[Values, dict[int, str]]:  # noqa: ANN401  # as parsed
    if not isinstance(name, str) or name not in RESULT_OPTIONS:
        raise InvalidEntryError(f"PostProcess has {name!r}, which is not supported")
    if name == "groups":
        return {"groups": options}, {}
    if options is not None and not isinstance(options, Mapping):
        raise InvalidEntryError(f"{name} is {options!r:.80}; it takes an object")
    left = dict(options or {})
    labels: dict[int, str] = {}
    names = RESULT_OPTIONS[name]
    if name in _LABELLED:
        take(left, name, delimiter=_DELIMITERS)
        labels, names = _labels(left.pop("label_list", None)), (*names, "class_id_map_file")
    values = {key: left.pop(option) for key in names if (option := _FILES_NAMES.get(key, key)) in left}
    if left:
        raise InvalidEntryError(f"{name} has an option {next(iter(left))!r}, which is not supported")
    for key in ("label_0", "label_1"):
        if type(values.get(key)) is int:
            values[key] = str(values[key])
    return values, labels


def _labels_of(name: object, entries: Mapping[str, Any]) -> tuple[Values, dict[int, str]]:
    """Return the labels, or the name of their file, of an entry that isn't used otherwise."""
    options = entries.get(name) if isinstance(name, str) else None
    if not isinstance(options, Mapping):
        return {}, {}
    file = options.get("class_id_map_file")
    return {"class_id_map_file": file} if file is not None else {}, _labels(options.get("label_list"))


def _labels(names: object) -> dict[int, str]:
    if names is None:
        return {}
    if not isinstance(names, list):
        raise InvalidEntryError("label_list takes a list of names")
    for name in names:
        if type(name) not in (str, int):  # such as no and yes, which YAML reads as booleans
            raise InvalidEntryError(
                f"label_list has {name!r:.80}, which is not a string: put it in quotation marks"
            )
    return {number: str(name) for number, name in enumerate(names)}
