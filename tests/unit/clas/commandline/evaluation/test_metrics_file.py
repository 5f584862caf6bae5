import csv
import json
from pathlib import Path
from typing import Any

import pytest

from clas.commandline.evaluation.errors import EvaluationError
from clas.commandline.evaluation.evaluation import Evaluation
from clas.commandline.evaluation.metrics_file import check_writable, write_metrics
from evaluations import entry, evaluate


@pytest.fixture
def single(tmp_path: Path) -> Evaluation:
    truths = {"0.png": 1, "1.png": 1, "2.png": 2, "3.png": 1, "missing.png": 1}
    results = {
        "0.png": entry(1, 2, scores=[0.75, 0.25], names=True),
        "1.png": entry(2, 1, scores=[0.75, 0.25], names=True),
        "2.png": entry(2, 1, scores=[0.75, 0.25], names=True),
        "3.png": entry(),
    }
    return evaluate(tmp_path, truths, results, 3)


@pytest.fixture
def multi(tmp_path: Path) -> Evaluation:
    results = {"0.png": entry(0, 1, scores=[0.9, 0.6]), "1.png": entry(0, scores=[0.8])}
    return evaluate(tmp_path, {"0.png": "1,0,0", "1.png": "1,1,0"}, results)


def written(tmp_path: Path, evaluation: Evaluation) -> dict[str, Any]:
    write_metrics(tmp_path / "m.json", evaluation)
    found: dict[str, Any] = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    return found


def test_json_has_all_figures_of_classes(tmp_path: Path, single: Evaluation) -> None:
    metrics = written(tmp_path, single)
    assert (metrics["kind"], metrics["images"]) == ("single_label", 4)
    assert metrics["top_k_accuracy"] == {"1": 0.5}
    assert metrics["notes"] == [
        f"{tmp_path}/truth.txt has 1 images that didn't occur in this run",
        "1 answers have no class, and count as wrong",
    ]
    assert metrics["classes"] == [
        {
            "class": 1,
            "label_name": "class 1",
            "precision": 1,
            "recall": pytest.approx(1 / 3),
            "f1": 0.5,
            "images": 3,
        },
        {
            "class": 2,
            "label_name": "class 2",
            "precision": 0.5,
            "recall": 1,
            "f1": pytest.approx(2 / 3),
            "images": 1,
        },
    ]
    assert metrics["macro"]["precision"] == 0.75
    assert metrics["weighted"]["precision"] == 0.875
    assert [tuple(each.values()) for each in metrics["confusions"]] == [
        (1, "class 1", 2, "class 2", 1),
        (1, "class 1", None, None, 1),
    ]
    assert metrics["calibration"]["expected_calibration_error"] == pytest.approx(0.75 - 2 / 3)
    assert metrics["calibration"]["bins"][0]["answers"] == 3


def test_json_has_all_figures_of_labels(tmp_path: Path, multi: Evaluation) -> None:
    metrics = written(tmp_path, multi)
    assert metrics["kind"] == "multi_label"
    assert (metrics["exact_match"], metrics["mean_average_precision"]) == (0, 0.75)
    assert metrics["micro"]["precision"] == pytest.approx(2 / 3)
    assert [each["average_precision"] for each in metrics["classes"]] == [1, 0.5, None]


def test_csv_has_a_row_for_each_figure_of_the_json(tmp_path: Path, single: Evaluation) -> None:
    write_metrics(tmp_path / "m.csv", single)
    with (tmp_path / "m.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    values = {(row["figure"], row["of"], row["class"], row["answer"]): row["value"] for row in rows}
    assert [row["figure"] for row in rows].count("notes") == 2
    assert len(values) == len(rows) - 1
    assert values["1", "top_k_accuracy", "", ""] == "0.5"
    assert values["precision", "macro", "", ""] == "0.75"
    assert values["f1", "class", "1", ""] == "0.5"
    assert values["images", "confusion", "1", "2"] == "1"
    assert values["accuracy", "scores from 0.7", "", ""].startswith("0.666")
    assert next(row for row in rows if row["class"] == "2")["label_name"] == "class 2"


def test_csv_has_the_figures_of_labels_and_no_formula(tmp_path: Path, multi: Evaluation) -> None:
    multi.class_names[0] = "=1+1"
    write_metrics(tmp_path / "m.csv", multi)
    text = (tmp_path / "m.csv").read_text(encoding="utf-8-sig")
    assert "average_precision,class,0,\\=1+1,,,1.0\n" in text
    assert "average_precision,class,2,,,,\n" in text


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path, single: Evaluation) -> None:
    for write in (check_writable, lambda path: write_metrics(path, single)):
        with pytest.raises(EvaluationError, match=r"nowhere/m.json can't be written: No such file"):
            write(tmp_path / "nowhere" / "m.json")


def test_looking_whether_a_file_can_be_written_keeps_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("of yesterday")
    check_writable(tmp_path / "m.json")
    assert (tmp_path / "m.json").read_text() == "of yesterday"
