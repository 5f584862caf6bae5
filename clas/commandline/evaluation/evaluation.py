"""Judges and counts the results of images whose true classes are known."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ...output.base import Prediction
from .ground_truth import GroundTruth
from .multi_label import MultiLabel
from .single_label import ClassKey, SingleLabel
from .truth_file import Kind, Truth


class Verdict(NamedTuple):
    """What is true of an image.

    Attributes:
        truth: Its true class or labels; None if they aren't known.
        is_correct: Whether the best class is the true one, or all labels are; None if that can't be said: the
            truth isn't known, the image failed, or the answer has no names to compare with.
    """

    truth: Truth | None
    is_correct: bool | None

    @property
    def shown(self) -> str:
        """The truth as a text; empty if it isn't known."""
        if self.truth is None:
            return ""
        return json.dumps(self.truth) if isinstance(self.truth, tuple) else str(self.truth)


class Evaluation:
    """Compares results with true classes, and keeps counts only.

    Args:
        truth: The true classes.
        num_classes: How many classes the model has; None if that isn't known.

    Attributes:
        truth: As given.
        num_classes: As given.
        single: The counts of models with one class for each image; without images if there are labels.
        multi: The counts of models with several labels; None if images have one class.
        class_names: Class id -> name, of the classes in the answers.
        num_unknown: Answered images without a true class.
        num_failed: Images with a true class, but without an answer.
        num_nameless: Images that were answered without names, while the true classes are names.
        true_classes: How many answered images each true class has.
        renumbered: A class whose name is another number than its id, and that name; None if there is none.
    """

    def __init__(self, truth: GroundTruth, num_classes: int | None = None) -> None:
        self.truth = truth
        self.num_classes = num_classes
        self.single = SingleLabel()
        self.multi = MultiLabel(truth.num_labels) if truth.kind is Kind.LABELS else None
        self.class_names: dict[int, str] = {}
        self.num_unknown = 0
        self.num_failed = 0
        self.num_nameless = 0
        self.true_classes: Counter[ClassKey] = Counter()
        self.renumbered: tuple[int, str] | None = None
        self._ids: dict[str, int] = {}
        self._shared_names: set[str] = set()

    @property
    def images(self) -> int:
        """How many images were counted."""
        return self.multi.images if self.multi else self.single.images

    def judge(self, name: str, prediction: Prediction) -> Verdict:
        """Return what is true of an image, and whether its result is; counts nothing."""
        truth = self.truth.of(name)
        classes = None if truth is None or "error" in prediction else self.classes_of(prediction)
        if classes is None:
            return Verdict(truth, None)
        if isinstance(truth, tuple):
            return Verdict(truth, set(classes) == set(truth))
        return Verdict(truth, classes[:1] == [truth])

    def add(self, name: str, prediction: Prediction) -> None:
        """Count the result of an image."""
        truth = self.truth.of(name)
        if "error" in prediction:
            self.num_failed += truth is not None
            return
        self._note_names(prediction)
        if truth is None:
            self.num_unknown += 1
        elif isinstance(truth, tuple):
            if self.multi:
                self.multi.add(truth, prediction["class_ids"], prediction["scores"])
        elif (classes := self.classes_of(prediction)) is None:
            self.num_nameless += 1
        else:
            self.true_classes[truth] += 1
            self.single.add(truth, classes, prediction["scores"])

    def classes_of(self, prediction: Prediction) -> list[ClassKey] | None:
        """Return the classes of a result as the true ones are written; None if it has ids without names."""
        if self.truth.kind is not Kind.NAME:
            return [*prediction["class_ids"]]
        if prediction["class_ids"] and not prediction["label_names"]:
            return None
        return [*prediction["label_names"]]

    def title(self, key: ClassKey | None) -> str:
        """Return a class as people see it: its id, and its name if answers have one."""
        if isinstance(key, int):
            return f"{key} {self.class_names.get(key, '')}".rstrip()
        return "(no class)" if key is None else key

    def strangers(self) -> list[ClassKey]:
        """Return the true classes that the model doesn't have, or that no answer names, in order."""
        if self.truth.kind is Kind.NAME:
            return sorted((key for key in self.true_classes if key not in self._ids), key=str)
        if self.num_classes is None:
            return []
        return sorted(key for key in self.true_classes if isinstance(key, int) and key >= self.num_classes)

    def shared_names(self) -> Sequence[str]:
        """Return the names that several classes of the model have, if classes are compared by name."""
        return sorted(self._shared_names) if self.truth.kind is Kind.NAME else ()

    def _note_names(self, prediction: Prediction) -> None:
        for class_id, name in zip(prediction["class_ids"], prediction["label_names"], strict=False):
            if not name or self.class_names.setdefault(class_id, name) != name:
                continue
            if self._ids.setdefault(name, class_id) != class_id:
                self._shared_names.add(name)
            if name.isdecimal() and name.lstrip("0") != str(class_id).lstrip("0"):
                self.renumbered = self.renumbered or (class_id, name)
