import json
from pathlib import Path

import pytest

from clas.commandline.evaluation.errors import EvaluationError
from clas.commandline.evaluation.truth_file import Kind
from clas_client.evaluating import EvaluationSink, make_evaluation
from clas_client.settings import ClientSettings
from clas_client.sink import Outcome, Pending
from evaluations import entry, evaluate


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images" / "cat").mkdir(parents=True)
    return tmp_path / "images"


def test_the_true_classes_come_from_a_list_or_from_folders(root: Path) -> None:
    labels = root / "labels.txt"
    labels.write_text("cat/a.png 7\n")
    given = ClientSettings(server_url="http://host/", image_file=root)
    assert make_evaluation(given, {}) is None
    listed = make_evaluation(ClientSettings(server_url="", image_file=root, label_file=labels), {})
    assert listed is not None
    assert listed.truth.of("cat/a.png") == 7
    by_folder = make_evaluation(ClientSettings(server_url="", image_file=root, labels_from_folders=True), {})
    assert by_folder is not None
    assert (by_folder.truth.kind, by_folder.truth.of("cat/a.png")) == (Kind.NAME, "cat")


@pytest.mark.parametrize(
    ("facts", "num_classes"), [({}, None), ({"model's classes": 5}, 5), ({"model's classes": "5"}, None)]
)
def test_the_number_of_classes_is_the_services(
    root: Path, facts: dict[str, object], num_classes: int | None
) -> None:
    settings = ClientSettings(server_url="", image_file=root, labels_from_folders=True)
    evaluation = make_evaluation(settings, facts)
    assert evaluation is not None
    assert evaluation.num_classes == num_classes


def test_batches_are_counted_and_figures_written_in_the_end(tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.json"
    metrics.write_text("of yesterday")
    evaluation = evaluate(tmp_path, {"a.png": 1, "b.png": 1}, {})
    sink = EvaluationSink(evaluation, metrics)
    sink.add([Outcome(Pending("a.png"), entry(1)), Outcome(Pending("b.png"), entry(2))])
    assert evaluation.images == 2
    assert metrics.read_text() == "of yesterday"
    sink.close([])
    assert json.loads(metrics.read_text())["top_k_accuracy"] == {"1": 0.5}


def test_a_file_that_can_not_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="can't be written: Is a directory"):
        EvaluationSink(evaluate(tmp_path, {"a.png": 1}, {}), tmp_path)
