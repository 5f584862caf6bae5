import json
from pathlib import Path
from typing import Any

import pytest

from clas.errors import SettingsError
from clas.model.exported import read_exported_model
from clas.serving.on_ray.batch.inputs import Piece
from clas.serving.on_ray.batch.job import Job, Plan, make_plan, remove_unfinished
from clas.settings import load_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images that are none."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(5):
        (images / f"{number}.jpg").touch()
    return images


def plan(folder: Path, model: Path, settings: dict[str, object] | None = None, **changes: Any) -> Plan:
    given = {"inference_model_dir": str(model), "class_id_map_file": "", **(settings or {})}
    job = Job(
        **{
            "inputs": [str(folder)],
            "output": str(folder.parent / "results"),
            "format": "jsonl",
            "part_rows": 2,
            "column": "",
            "settings": given,
            **changes,
        }
    )
    return make_plan(job, read_exported_model(load_settings(given)))


def test_parts_that_are_there_are_not_computed(folder: Path, tiny_model: Path) -> None:
    first = plan(folder, tiny_model)
    assert (len(first.pieces), first.missing) == (3, [0, 1, 2])
    (folder.parent / "results" / "part-000001.jsonl").touch()
    (folder / "new.jpg").touch()
    assert plan(folder, tiny_model) == Plan(first.pieces, [0, 2])


def test_the_names_of_a_part_are_in_a_file(folder: Path, tiny_model: Path) -> None:
    found = plan(folder, tiny_model).pieces[1]
    assert found == Piece(
        0, "images", str(folder.parent / "results" / "_run" / "names-000001.jsonl"), 0, 0, []
    )
    names = [json.loads(line) for line in Path(found.source).read_text().splitlines()]
    assert names == [str(folder / "2.jpg"), str(folder / "3.jpg")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {"topk": 3}}, r"another topk \(5; now it is 3\): name another --output"),
        ({"settings": {"mean": [0, 0, 0]}}, "another mean"),
        ({"part_rows": 3}, r"another part_rows \(2; now it is 3\)"),
        ({"format": "csv"}, "another format"),
        ({"inputs": ["/"]}, "another input"),
    ],
)
def test_what_was_asked_for_otherwise_is_refused(
    folder: Path, tiny_model: Path, changes: dict[str, Any], message: str
) -> None:
    plan(folder, tiny_model)
    with pytest.raises(SettingsError, match=message):
        plan(folder, tiny_model, **changes)


def test_another_model_is_refused_and_the_same_elsewhere_is_not(
    folder: Path, tiny_model: Path, numbering_model: Path, tmp_path: Path
) -> None:
    before = plan(folder, tiny_model)
    with pytest.raises(SettingsError, match="another model"):
        plan(folder, numbering_model)
    (tmp_path / "copy").mkdir()
    for file in tiny_model.iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    assert plan(folder, tmp_path / "copy", {"cpu_num_threads": 2}) == before


def test_a_plan_that_was_not_finished_is_made_again(folder: Path, tiny_model: Path) -> None:
    plan(folder, tiny_model)
    (folder.parent / "results" / "_run" / "run.json").unlink()
    (folder / "5.jpg").touch()
    (folder / "6.jpg").touch()
    assert len(plan(folder, tiny_model).pieces) == 4


def test_parts_of_something_else_are_not_mixed_with_new_ones(folder: Path, tiny_model: Path) -> None:
    (folder.parent / "results").mkdir()
    (folder.parent / "results" / "part-000000.jsonl").touch()
    with pytest.raises(SettingsError, match="has parts already, but no _run"):
        plan(folder, tiny_model)


def test_an_output_that_can_not_be_written_is_refused(folder: Path, tiny_model: Path) -> None:
    with pytest.raises(SettingsError, match=r"the output .*0\.jpg/x can't be used"):
        plan(folder, tiny_model, output=f"{folder}/0.jpg/x")


def test_what_killed_processes_leave_is_removed(folder: Path, tiny_model: Path) -> None:
    plan(folder, tiny_model)
    output = folder.parent / "results"
    (output / "_unfinished").mkdir()
    (output / "_unfinished" / "x-part-000000.jsonl").touch()
    job = Job(inputs=[], output=str(output), format="csv", part_rows=1, column="", settings={})
    remove_unfinished(job)
    assert not [*output.rglob("_unfinished")]
