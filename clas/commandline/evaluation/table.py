"""An evaluation in lines to read on a terminal."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from ..cells import visible
from .evaluation import Evaluation
from .figures import Figures, macro_mean, ratio, weighted_mean
from .multi_label import MultiLabel
from .notes import TOP

MOST_LINES: Final = 10
"""The classes and the confusions that are shown."""


def accuracy_lines(evaluation: Evaluation) -> list[str]:
    """Return the figures over all images, a line each; none if no image was counted."""
    if not evaluation.images:
        return []
    if evaluation.multi:
        return list(_label_lines(evaluation.multi))
    single = evaluation.single
    shown = [top for top in single.tops() if top in (1, TOP)]
    figures = single.classes().values()
    return [
        *(f"The top-{top} accuracy: {_share(single.hits(top), single.images)}" for top in shown),
        _means("The macro mean over classes", macro_mean(figures)),
        _means("The mean weighted by images", weighted_mean(figures)),
    ]


def table_lines(evaluation: Evaluation) -> list[str]:
    """Return the worst classes and the largest confusions; none if no image was counted."""
    if not evaluation.images:
        return []
    return list(
        itertools.chain(_class_lines(evaluation), () if evaluation.multi else _confusion_lines(evaluation))
    )


def worst_first(evaluation: Evaluation) -> list[tuple[int | str, Figures]]:
    """Return the classes or labels that images have, each with its figures, by F1 from the worst on."""
    multi = evaluation.multi
    classes = enumerate(multi.labels()) if multi else evaluation.single.classes().items()
    found: list[tuple[int | str, Figures]] = [each for each in classes if each[1].images]
    return sorted(found, key=lambda each: (each[1].f1, -each[1].images))


def _label_lines(multi: MultiLabel) -> Iterator[str]:
    yield f"All labels right: {_share(multi.exact, multi.images)}"
    means = multi.means()
    yield _means("All labels of all images", means["micro"])
    yield _means("The macro mean over labels", means["macro"])
    yield _means("The mean weighted by images", means["weighted"])
    if (precision := multi.mean_average_precision()) is not None:
        yield f"The mean average precision: {precision:.3f}"


def _class_lines(evaluation: Evaluation) -> Iterator[str]:
    worst = worst_first(evaluation)
    what = "labels" if evaluation.multi else "classes"
    yield f"The worst of {len(worst)} {what}, by F1:" if len(worst) > MOST_LINES else f"The {what}, by F1:"
    yield "     F1  precision  recall  images"
    for key, figures in worst[:MOST_LINES]:
        yield (
            f"  {figures.f1:.3f}  {figures.precision:9.3f}  {figures.recall:6.3f}  {figures.images:6}  "
            f"{visible(evaluation.title(key))}"
        )


def _confusion_lines(evaluation: Evaluation) -> Iterable[str]:
    confusions = evaluation.single.confusions()
    if not confusions:
        return []
    count = f"The {MOST_LINES} largest of {len(confusions)}" if len(confusions) > MOST_LINES else "The"
    titles = [tuple(visible(evaluation.title(key)) for key in each[:2]) for each in confusions[:MOST_LINES]]
    return [
        f"{count} confusions, true class -> answer:",
        *(
            f"  {each.images:6}  {truth} -> {answer}"
            for each, (truth, answer) in zip(confusions, titles, strict=False)
        ),
    ]


def _share(part: int, whole: int) -> str:
    return f"{ratio(part, whole):.3f} ({part} of {whole} images)"


def _means(title: str, mean: Figures) -> str:
    return f"{title}: precision {mean.precision:.3f}, recall {mean.recall:.3f}, F1 {mean.f1:.3f}"
