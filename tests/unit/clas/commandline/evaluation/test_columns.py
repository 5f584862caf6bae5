import csv
import json
from pathlib import Path

import pytest

from clas.commandline.csv_rows import CSV
from clas.commandline.evaluation.columns import with_truth
from clas.commandline.rows import JSON_LINES
from clas.output.base import Prediction, failed_prediction
from evaluations import entry, evaluate


@pytest.mark.parametrize(
    ("truth", "prediction", "in_csv", "in_json"),
    [
        ("3", entry(3, 1), ("3", "true"), (3, True)),
        ("3", entry(1, 3), ("3", "false"), (3, False)),
        ("3", failed_prediction("a, b"), ("3", ""), (3, None)),
        ("class 3", entry(3, names=True), ("class 3", "true"), ("class 3", True)),
        ("=A3", entry(3, names=True), ("\\=A3", "false"), ("=A3", False)),
        ("1,0,1", entry(2, 0), ("[0, 2]", "true"), ([0, 2], True)),
    ],
)
def test_a_line_says_what_is_true_and_reads_as_before(
    tmp_path: Path,
    truth: str,
    prediction: Prediction,
    in_csv: tuple[str, str],
    in_json: tuple[object, object],
) -> None:
    evaluation = evaluate(tmp_path, {"a b.png": truth}, {})
    table, objects = (with_truth(rows, evaluation.judge) for rows in (CSV, JSON_LINES))
    line = table.write("a b.png", prediction)
    row = next(csv.DictReader([table.header, line]))
    assert (row["truth"], row["correct"]) == in_csv
    assert table.read(line) == ("a b.png", prediction)
    line = objects.write("a b.png", prediction)
    assert (json.loads(line)["truth"], json.loads(line)["correct"]) == in_json
    assert objects.read(line) == ("a b.png", prediction)


def test_without_a_true_class_the_cells_are_empty(tmp_path: Path) -> None:
    evaluation = evaluate(tmp_path, {"a.png": 3}, {})
    assert with_truth(CSV, evaluation.judge).write("b.png", entry(3)).endswith(",,")
    assert json.loads(with_truth(JSON_LINES, evaluation.judge).write("b.png", entry(3)))["truth"] is None


def test_fields_of_that_name_are_not_the_services_to_choose(tmp_path: Path) -> None:
    evaluation = evaluate(tmp_path, {"a.png": 3}, {})
    lying: Prediction = {**entry(1), "truth": 1, "correct": True}  # type: ignore[typeddict-unknown-key]
    row = json.loads(with_truth(JSON_LINES, evaluation.judge).write("a.png", lying))
    assert (row["truth"], row["correct"]) == (3, False)
