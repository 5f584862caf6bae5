from pathlib import Path

import pytest

from clas.output.base import Prediction, failed_prediction
from clas_client.accuracy import Accuracy
from clas_client.ground_truth import GroundTruth
from clas_client.sink import Outcome, Pending


def entry(*class_ids: int) -> Prediction:
    scores = [0.5] * len(class_ids)
    return {"class_ids": list(class_ids), "scores": scores, "label_names": []}


def accuracy(tmp_path: Path, labels: str, *entries: Prediction) -> Accuracy:
    """Of images that are called 0.png, 1.png ..."""
    (tmp_path / "labels.txt").write_text(labels)
    counted = Accuracy(GroundTruth(tmp_path / "labels.txt", Path("images")))
    counted.add([Outcome(Pending(f"{number}.png"), each) for number, each in enumerate(entries)])
    return counted


def test_first_and_best_five_are_told_apart(tmp_path: Path) -> None:
    counted = accuracy(
        tmp_path,
        "0.png 3\n1.png 3\n2.png 3\n3.png 3\n",
        entry(3, 1, 2, 4, 5),
        entry(1, 3, 2, 4, 5),
        entry(1, 2, 4, 5, 3),
        entry(1, 2, 4, 5, 6, 3),  # sixth
    )
    assert counted.summary() == [
        "The top-1 accuracy: 0.250 (1 of 4 images)",
        "The top-5 accuracy: 0.750 (3 of 4 images)",
    ]


def test_failed_images_do_not_count(tmp_path: Path) -> None:
    counted = accuracy(tmp_path, "0.png 3\n1.png 3\n", failed_prediction("damaged"), entry(3, 1, 2, 4, 5))
    assert counted.summary()[0] == "The top-1 accuracy: 1.000 (1 of 1 images)"


def test_with_fewer_than_five_classes_there_is_no_top_5(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counted = accuracy(tmp_path, "0.png 3\n1.png 3\n", entry(1, 2, 3, 4, 5), entry(3, 1))
    assert counted.summary() == ["The top-1 accuracy: 0.500 (1 of 2 images)"]
    assert (
        "top-5 accuracy needs 5 classes in each answer; one has 2: if the model has 5, use --top_k 5"
        in caplog.text
    )


def test_images_that_the_list_does_not_have_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counted = accuracy(tmp_path, "elsewhere.png 3\n", entry(1), entry(2))
    assert counted.summary() == []
    assert "labels.txt has no class for 2 answered images" in caplog.text
