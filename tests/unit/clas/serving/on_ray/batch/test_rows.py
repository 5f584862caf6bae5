import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clas.commandline.batches import Answered
from clas.output.base import Prediction, failed_prediction
from clas.serving.on_ray.batch.rows import FORMATS

CLASSES: dict[str, Any] = {"main_indicator": "Topk", "postprocess": {}}
CAT: Prediction = {"class_ids": [281, 5], "scores": [0.5, 0.25], "label_names": ["tabby, cat", ""]}
ANSWERS = [Answered("a\n,.jpg", CAT), Answered("b\udcff.jpg", failed_prediction("it is damaged"))]
OWN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"main_indicator": "PersonAttribute"}, {"attributes": ["Male", "Hat: no"], "output": [1, 0]}),
    ({"main_indicator": "ScoreOutput"}, {"value": 0.125}),
    ({"main_indicator": "features", "postprocess": {"feature_format": "list"}}, {"feature": [0.5, 1.0]}),
    ({"main_indicator": "features", "postprocess": {"feature_format": "base64"}}, {"feature": "AAAA"}),
    (
        {"main_indicator": "groups", "postprocess": {"groups": [{"name": "age"}]}},
        {"groups": {"age": {"label": "old", "class_id": 1, "score": 0.5}}},
    ),
]


def written(name: str, model: dict[str, Any], answers: list[Answered]) -> io.BytesIO:
    file = io.BytesIO()
    writer = FORMATS[name].writer(file, model, "0123")
    writer.add(answers[:1])
    writer.add(answers[1:])
    writer.close()
    return io.BytesIO(file.getvalue())


@pytest.mark.parametrize("name", FORMATS)
def test_rows_are_read_as_they_were_written(name: str) -> None:
    (first, cat), (_, failed) = FORMATS[name].read(written(name, CLASSES, ANSWERS))
    assert (first, cat) == ANSWERS[0]
    assert failed == ANSWERS[1].prediction
    assert [*FORMATS[name].errors(written(name, CLASSES, ANSWERS))] == [None, "it is damaged"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_part_without_images_has_no_rows(name: str) -> None:
    assert [*FORMATS[name].read(written(name, CLASSES, []))] == []


@pytest.mark.parametrize("name", ["parquet", "jsonl"])
@pytest.mark.parametrize(("model", "fields"), OWN)
def test_each_form_of_results_has_its_columns(
    name: str, model: dict[str, Any], fields: dict[str, Any]
) -> None:
    answer = Answered("a.jpg", {**CAT, **fields})  # type: ignore[typeddict-item]
    model = {"postprocess": {}, **model}
    assert next(FORMATS[name].read(written(name, model, [answer, ANSWERS[1]]))) == answer


def test_the_columns_are_those_of_the_manual() -> None:
    columns = ["path", "class_ids", "scores", "label_names", "error", "model_version"]
    table = pq.read_table(written("parquet", CLASSES, ANSWERS))
    assert table.column_names == columns
    assert table["path"].to_pylist() == ["a\n,.jpg", "b\\udcff.jpg"]
    assert table["model_version"].to_pylist() == ["0123", "0123"]
    header, *lines = written("csv", CLASSES, ANSWERS).read().decode().splitlines()
    assert header == "path,class_id,label_name,score,class_ids,label_names,scores,error,model_version"
    assert len(lines) == 2
    assert lines[1].endswith(",it is damaged,0123")


def test_a_text_of_attributes_is_a_list_in_parquet(tmp_path: Path) -> None:
    model = {"main_indicator": "FaceAttribute", "postprocess": {}}
    answer = Answered("a.jpg", {**CAT, "attributes": "Female", "output": [0]})
    (tmp_path / "x").write_bytes(written("parquet", model, [answer]).read())
    assert pq.read_table(tmp_path / "x")["attributes"].to_pylist() == [["Female"]]


@pytest.mark.parametrize("line", [b'{"class_ids": []}', b'{"path": "a", "class_ids": 1}', b"[", b"5"])
def test_what_is_no_row_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"class_ids|Expecting|5"):
        list(FORMATS["jsonl"].read(io.BytesIO(line)))
