"""Evaluations of results that tests make up."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from clas.commandline.evaluation.evaluation import Evaluation
from clas.commandline.evaluation.ground_truth import ListedTruth, locate_in
from clas.output.base import Prediction


def entry(*class_ids: int, scores: Sequence[float] | None = None, names: bool = False) -> Prediction:
    """A result of these classes, best first; the name of class 7 is `class 7`."""
    found = [0.5] * len(class_ids) if scores is None else list(scores)
    labels = [f"class {class_id}" for class_id in class_ids] if names else []
    return {"class_ids": list(class_ids), "scores": found, "label_names": labels}


def evaluate(
    folder: Path,
    truths: Mapping[str, object],
    results: Mapping[str, Prediction],
    num_classes: int | None = None,
) -> Evaluation:
    """What is counted of results by the images' names, with the true classes in a list."""
    file = folder / "truth.txt"
    file.write_text("".join(f"{name}\t{truth}\n" for name, truth in truths.items()), encoding="utf-8")
    evaluation = Evaluation(ListedTruth(file, locate_in(Path("images"))), num_classes)
    for name, prediction in results.items():
        evaluation.add(name, prediction)
    return evaluation
