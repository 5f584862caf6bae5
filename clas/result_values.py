"""Settings of results that hold several values: thresholds, and groups of outputs."""

import dataclasses
import json
import reprlib
from collections.abc import Mapping
from typing import Any, Final

from .errors import SettingsError
from .fields import refuse_unknown

RESERVED_NAMES: Final = (
    *("attributes", "value", "file", "class_id", "label_name", "score"),
    *("class_ids", "label_names", "scores", "error"),
)
"""Names that groups can't have: a file of results has columns of these names."""

_DEFAULT: Final = "default"
_THRESHOLD: Final = "a number from 0 to 1, a list with one for each class, or {default: 0.5, 3: 0.2}"
_OPTIONS: Final = ("name", "outputs", "threshold", "labels")
_YES_OR_NO: Final = 2


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Thresholds that differ from class to class; hashable, as settings are.

    Attributes:
        by_class: Class id and threshold, in the order of the ids.
        default: That of all other classes; None if each class must have its own.
    """

    by_class: tuple[tuple[int, float], ...]
    default: float | None = None

    def of(self, num_classes: int) -> list[float]:
        """Return the threshold of each class.

        Raises:
            SettingsError: There are other classes than the model's, or one has no threshold.
        """
        given = dict(self.by_class)
        if self.default is None and len(given) != num_classes:
            raise SettingsError(f"threshold has {len(given)} numbers; the model has {num_classes} classes")
        if beyond := [class_id for class_id in given if class_id >= num_classes]:
            raise SettingsError(f"threshold has class {beyond[0]}; the model's are 0 to {num_classes - 1}")
        return [given.get(class_id, self.default or 0.0) for class_id in range(num_classes)]

    def as_json(self) -> object:
        """Return the thresholds as they are written in JSON: a list, or an object."""
        if self.default is None:
            return [threshold for _, threshold in self.by_class]
        return {_DEFAULT: self.default, **{str(class_id): number for class_id, number in self.by_class}}


@dataclasses.dataclass(frozen=True)
class Group:
    """Outputs of a model that answer one question.

    Attributes:
        name: Of the question.
        outputs: The places of the outputs, from 0.
        labels: A label for each of them; with a threshold those of no and yes.
        threshold: The one output means yes if its score is above it; None for the best of the outputs.
    """

    name: str
    outputs: tuple[int, ...]
    labels: tuple[str, ...]
    threshold: float | None = None

    def as_json(self) -> dict[str, object]:
        """Return the group as it is written in JSON."""
        own: dict[str, object] = {
            "name": self.name,
            "outputs": list(self.outputs),
            "labels": list(self.labels),
        }
        return own if self.threshold is None else {**own, "threshold": self.threshold}


def read_threshold(value: object) -> float | Thresholds | None:
    """Return one threshold or several, from JSON, YAML, Python, or a flag's text.

    Raises:
        SettingsError: The value is none of a number, a list of numbers, an object {default: .., id: ..}.
    """
    if value is None or isinstance(value, Thresholds):
        return value
    content: Any = _of_text(value)
    if _is_share(content):
        return content  # type: ignore[no-any-return]
    if _is_list(content) and all(map(_is_share, content)):
        return Thresholds(tuple(enumerate(content)))
    if isinstance(content, Mapping) and _DEFAULT in content and all(map(_is_share, content.values())):
        others = {_class_id(key): number for key, number in content.items() if key != _DEFAULT}
        return Thresholds(tuple(sorted(others.items())), content[_DEFAULT])
    raise SettingsError(f"threshold is {reprlib.repr(value)}; it takes {_THRESHOLD}")


def read_groups(value: object) -> tuple[Group, ...]:
    """Return groups from JSON, YAML, Python, or a flag's text; an empty value has none.

    Raises:
        SettingsError: The value is no list of groups, an option is unknown, or a name occurs twice.
    """
    content = _of_text(value)
    if content is None or content == "":
        return ()
    if not isinstance(content, list | tuple):
        raise SettingsError(f"groups is {reprlib.repr(content)}; it takes a list of groups")
    groups = tuple(each if isinstance(each, Group) else _group(each) for each in content)
    names = [group.name for group in groups]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SettingsError(f"groups has the name {twice[0]!r} twice")
    return groups


def read_names(value: object) -> tuple[str, ...]:
    """Return the names of outputs: a list, or the text of a flag with commas between them.

    Raises:
        SettingsError: The value is neither, or has a name twice.
    """
    names = [name for name in value.split(",") if name] if isinstance(value, str) else value
    if names is None:
        return ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise SettingsError(f"output_names is {reprlib.repr(value)}; it takes a list of names")
    if len(set(names)) < len(names):
        raise SettingsError(f"output_names is {list(names)}; it takes each name once")
    return tuple(names)


def _group(entry: object) -> Group:
    if not isinstance(entry, Mapping):
        raise SettingsError(
            f"groups holds {reprlib.repr(entry)}; it takes objects with name, outputs, labels"
        )
    refuse_unknown(map(str, entry), _OPTIONS, "groups")
    name: Any = entry.get("name")
    outputs: Any = entry.get("outputs")
    labels: Any = entry.get("labels")
    threshold = entry.get("threshold")
    if not isinstance(name, str) or not name or name in RESERVED_NAMES:
        raise SettingsError(
            f"groups has a name {reprlib.repr(name)}; it takes a text other than {', '.join(RESERVED_NAMES)}"
        )
    where = f"group {name!r}"
    if not _is_list(outputs) or not all(type(place) is int and place >= 0 for place in outputs):
        raise SettingsError(
            f"{where} has outputs {reprlib.repr(outputs)}; it takes a list of places from 0 on"
        )
    if not _is_list(labels) or not all(type(label) in (str, int) for label in labels):
        raise SettingsError(
            f"{where} has labels {reprlib.repr(labels)}; it takes a list of texts, in quotation marks"
        )
    if threshold is None and len(labels) != len(outputs):
        raise SettingsError(
            f"{where} has {len(outputs)} outputs and {len(labels)} labels; it takes one for each"
        )
    if threshold is not None and not _is_share(threshold):
        raise SettingsError(f"{where} has threshold {reprlib.repr(threshold)}; it takes a number from 0 to 1")
    if threshold is not None and (len(outputs), len(labels)) != (1, _YES_OR_NO):
        raise SettingsError(f"{where} has a threshold; it takes one output, and the labels of no and yes")
    return Group(name, tuple(outputs), tuple(map(str, labels)), threshold)


def _of_text(value: object) -> object:
    """Return what the JSON of a flag holds; any other value as it is, and a text that isn't JSON, too."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _class_id(key: object) -> int:
    """Return a class id, which is a text in JSON."""
    if isinstance(key, str) and key.isdecimal():
        return int(key)
    if type(key) is not int or key < 0:
        raise SettingsError(f"threshold has a class {reprlib.repr(key)}; it takes {_THRESHOLD}")
    return key


def _is_list(value: Any) -> bool:  # noqa: ANN401  # as parsed
    return isinstance(value, list | tuple) and len(value) > 0


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
