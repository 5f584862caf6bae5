"""What must be known of an evaluation to read its figures: what couldn't be counted, and what is odd."""

from collections.abc import Iterator, Sequence
from typing import Final

from .evaluation import Evaluation
from .multi_label import MultiLabel
from .single_label import ClassKey
from .truth_file import Kind

TOP: Final = 5
"""The k of the accuracy that is shown beside the top-1."""
_SHOWN_CLASSES: Final = 5


def notes_of(evaluation: Evaluation) -> list[str]:
    """Return the notes, a line each; none if all images could be counted."""
    multi = evaluation.multi
    own = _on_multi(multi, evaluation) if multi else _on_single(evaluation)
    return [*_on_images(evaluation), *_on_classes(evaluation), *own]


def _on_images(evaluation: Evaluation) -> Iterator[str]:
    source = evaluation.truth.source
    if evaluation.num_unknown:
        yield f"{source} has no class for {evaluation.num_unknown} answered images, which don't count"
    if evaluation.num_failed:
        yield f"{evaluation.num_failed} images with a true class have no result, and don't count"
    if unused := evaluation.truth.num_unused():
        yield f"{source} has {unused} images that didn't occur in this run"
    if evaluation.num_nameless:
        yield (
            f"{evaluation.num_nameless} answers have no names of classes, and the true classes are names: "
            "use ids, or a model with labels"
        )
    if empty := evaluation.single.num_empty:
        yield f"{empty} answers have no class, and count as wrong"


def _on_classes(evaluation: Evaluation) -> Iterator[str]:
    if strangers := evaluation.strangers():
        count = sum(evaluation.true_classes[key] for key in strangers)
        shown = _shown(strangers)
        if evaluation.truth.kind is Kind.NAME:
            yield f"no answer names the class {shown}, of {count} images, which count as wrong"
        else:
            yield (
                f"the model has the class ids 0 to {(evaluation.num_classes or 0) - 1}, but not {shown}, of "
                f"{count} images, which count as wrong: are the true ids counted from 1?"
            )
    if shared := evaluation.shared_names():
        yield f"several classes have the name {_shown(shared)}, and count as one: true classes are names"
    if evaluation.truth.kind is Kind.ID and evaluation.renumbered:
        class_id, name = evaluation.renumbered
        yield (
            f"class {class_id} has the name {name!r}, another number: "
            "true classes are taken for ids, not names"
        )


def _on_single(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.single.calibration.are_probabilities:
        yield "scores aren't between 0 and 1: there is no calibration"
    has_enough = evaluation.num_classes is None or evaluation.num_classes >= TOP
    if evaluation.images and has_enough and evaluation.single.fewest_classes < TOP:
        yield (
            f"top-{TOP} accuracy needs {TOP} classes in each answer; one has "
            f"{evaluation.single.fewest_classes}: if the model has {TOP}, use --top_k {TOP}, or set topk of "
            "the service"
        )


def _on_multi(multi: MultiLabel, evaluation: Evaluation) -> Iterator[str]:
    labels, classes = evaluation.truth.num_labels, evaluation.num_classes
    if classes is not None and classes != labels:
        yield f"the model has {classes} classes, but {evaluation.truth.source} has {labels} labels"
    if multi.num_beyond:
        yield f"{multi.num_beyond} answers have class ids beyond the {labels} labels, which don't count"
    if multi.is_ranked:
        yield (
            "all answers have the same number of classes, as of a model that ranks them, and all of these "
            "count as answered labels: set main_indicator to MultiLabelThreshOutput"
        )
    elif multi.has_all_labels:
        yield (
            "all answers have all labels, as with a threshold of 0, so that precision, recall and F1 say "
            "nothing; the mean average precision does"
        )
    elif multi.num_shortened:
        yield (
            "labels that an answer leaves out have score 0 in the mean average precision; with a threshold "
            "of 0, answers leave out none"
        )
    if not multi.scores.are_probabilities:
        yield "scores aren't between 0 and 1: there is no calibration, and no mean average precision"


def _shown(classes: Sequence[ClassKey]) -> str:
    more = f" and {len(classes) - _SHOWN_CLASSES} more" if len(classes) > _SHOWN_CLASSES else ""
    return ", ".join(map(repr, classes[:_SHOWN_CLASSES])) + more
