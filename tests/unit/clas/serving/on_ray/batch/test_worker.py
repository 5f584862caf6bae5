import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from clas.errors import ModelChangedError, UnavailableError
from clas.model.exported import read_exported_model
from clas.serving.on_ray.batch import worker
from clas.serving.on_ray.batch.job import Job, make_plan
from clas.serving.on_ray.batch.pool import _row
from clas.serving.on_ray.batch.reading import Reader
from clas.serving.on_ray.batch.worker import PartWorker
from clas.settings import load_settings

pytestmark = pytest.mark.usefixtures("logger_as_it_was")


@pytest.fixture
def job(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """Three images: red, green, and none."""
    monkeypatch.setattr(worker, "reserved_cores", lambda: 1)
    (tmp_path / "images").mkdir()
    for number, colour in enumerate([(0, 0, 255), (0, 255, 0)]):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), np.full((32, 32, 3), colour, np.uint8))
    (tmp_path / "images" / "2.png").touch()
    given: dict[str, object] = {"inference_model_dir": str(tiny_model), "class_id_map_file": "", "topk": 1}
    given |= {"crop_size": 32, "resize_short": 32}
    return Job(
        inputs=[str(tmp_path / "images")],
        output=str(tmp_path / "results"),
        format="jsonl",
        part_rows=10,
        column="",
        settings=given,
        fingerprint=read_exported_model(load_settings(given)).fingerprint.digest.hex(),
    )


def rows(job: Job) -> list[dict[str, Any]]:
    plan = make_plan(job, read_exported_model(load_settings(job.settings)))
    return [{"number": number, **_row(piece)} for number, piece in enumerate(plan.pieces)]


def test_a_part_is_written_and_then_only_counted(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    [row] = rows(job)
    first = PartWorker(job)(row)
    assert (first["number"], first["images"]) == (0, 3)
    assert sum(json.loads(first["reasons"]).values()) == 1
    written = [json.loads(line) for line in Path(job.part_name(0)).read_text().splitlines()]
    assert [line["class_ids"] for line in written] == [[0], [1], []]
    assert {line["model_version"] for line in written} == {job.fingerprint[:12]}
    monkeypatch.setattr(Reader, "images", None)
    assert PartWorker(job)(row) == first


def test_another_model_on_a_node_is_refused(job: Job, numbering_model: Path) -> None:
    object.__setattr__(job, "settings", {**job.settings, "inference_model_dir": str(numbering_model)})
    worker = PartWorker(job)
    with pytest.raises(ModelChangedError, match="of this node isn't that of the driver"):
        worker({"number": 0})


def test_a_storage_that_does_not_answer_is_asked_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    [row] = rows(job)
    whole, times = Reader.images, 0

    def fail_twice(*args: Any) -> Any:
        nonlocal times
        times += 1
        if times <= 2:
            raise ConnectionResetError
        return whole(*args)

    monkeypatch.setattr(Reader, "images", fail_twice)
    assert PartWorker(job)(row)["images"] == 3
    assert pauses == [1, 5]
    Path(job.part_name(0)).unlink()
    times = -10

    def fail(*_: Any) -> Any:
        raise ConnectionResetError

    monkeypatch.setattr(Reader, "images", fail)
    with pytest.raises(UnavailableError, match="part 0 can't be read or written"):
        PartWorker(job)(row)
    assert pauses == [1, 5, 1, 5, 15]
    assert not Path(job.part_name(0)).exists()
