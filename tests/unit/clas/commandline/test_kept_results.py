"""Evaluation and page of `python -m clas`, with a tiny model."""

import csv
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.commandline.cli import main

pytestmark = pytest.mark.usefixtures("logger_as_it_was")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the classes 0, 1 and 2 for the tiny model, in folders that say 0, 1 and 1."""
    for channel, true_id in enumerate("011"):
        file = tmp_path / "images" / true_id / f"{channel}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = np.zeros((32, 32, 3), np.uint8)
        image[:, :, 2 - channel] = 255
        file.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return tmp_path / "images"


@pytest.fixture
def flags(tiny_model: Path) -> list[str]:
    return [
        *("--inference_model_dir", str(tiny_model), "--resize_short", "32", "--crop_size", "32"),
        *("--class_id_map_file", ""),
    ]


def test_results_as_text_are_followed_by_the_figures(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), "--labels_from_folders", *flags]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert "The top-1 accuracy: 0.667 (2 of 3 images)" in lines
    assert lines[-2:] == ["The confusions, true class -> answer:", "       1  1 -> 2"]
    assert lines.count("  right: the truth is 1") == 1
    assert lines.count("  wrong: the truth is 1") == 1
    assert shown.err == ""


@pytest.mark.parametrize("form", ["json", "csv"])
def test_results_for_programs_have_the_truth_and_the_figures_go_to_stderr(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    labels = folder / "labels.csv"
    labels.write_text("file,class_id\n0/0.png,0\n1/1.png,1\n1/2.png,7\nmissing.png,0\n")
    assert main([str(folder), "--label_file", str(labels), "--format", form, *flags]) == 0
    shown = capsys.readouterr()
    rows: list[dict[str, object]]
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(shown.out)))
    else:
        rows = list(map(json.loads, shown.out.splitlines()))
    assert [str(row["correct"]).lower() for row in rows] == ["true", "true", "false"]
    assert [int(str(row["truth"])) for row in rows] == [0, 1, 7]
    assert "The top-1 accuracy: 0.667 (2 of 3 images)" in shown.err
    assert "WARNING: the model has the class ids 0 to 5, but not 7, of 1 images" in shown.err
    assert f"WARNING: {labels} has 1 images that didn't occur in this run" in shown.err


def test_all_figures_go_into_a_file(folder: Path, flags: list[str], tmp_path: Path) -> None:
    metrics = tmp_path / "metrics.json"
    assert main([str(folder), "--labels_from_folders", "--metrics", str(metrics), *flags]) == 0
    assert json.loads(metrics.read_text())["top_k_accuracy"]["1"] == pytest.approx(2 / 3)


def test_several_labels_are_compared_for_a_model_that_answers_them(
    folder: Path, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = tmp_path / "metrics.json"
    (tmp_path / "truth.txt").write_text("0/0.png\t1,0,0,0,0,0\n1/1.png\t0,1,0,0,0,0\n1/2.png\t0,1,0,0,0,0\n")
    own = ["--label_file", str(tmp_path / "truth.txt"), "--metrics", str(metrics)]
    form = ["--main_indicator", "MultiLabelThreshOutput", "--threshold", "0.5"]
    assert main([str(folder), *own, *form, "--format", "json", *flags]) == 0
    shown = capsys.readouterr()
    rows = list(map(json.loads, shown.out.splitlines()))
    assert [row["truth"] for row in rows] == [[0], [1], [1]]
    expected = [set(row["class_ids"]) == set(row["truth"]) for row in rows]
    assert [row["correct"] for row in rows] == expected == [True, True, False]
    found = json.loads(metrics.read_text())
    assert (found["kind"], found["exact_match"]) == ("multi_label", pytest.approx(2 / 3))
    assert [each["recall"] for each in found["classes"][:3]] == [1, 0.5, 0]
    assert found["mean_average_precision"] is not None
    assert "All labels right: 0.667 (2 of 3 images)" in shown.err


def test_the_page_has_all_images_and_their_true_classes(
    folder: Path, flags: list[str], tmp_path: Path
) -> None:
    (folder / "1" / "broken.png").write_text("no image")
    page = tmp_path / "page.html"
    assert main([str(folder), "--labels_from_folders", "--report", str(page), *flags]) == 1
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == 3
    assert text.count("<li data-truth=") == 4
    assert '<section id="evaluation">' in text
    assert text.endswith("</html>\n")
    assert main([str(folder), "--report", str(page), *flags]) == 1
    text = page.read_text(encoding="utf-8")
    assert text.count("<img ") == 3
    assert "data-truth" not in text.partition('<ol id="images">')[2]


def test_a_model_that_can_not_be_loaded_leaves_page_and_figures_of_earlier_runs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [tmp_path / "page.html", tmp_path / "metrics.json"]
    for file in kept:
        file.write_text("of yesterday")
    own = ["--labels_from_folders", "--report", str(kept[0]), "--metrics", str(kept[1])]
    assert main([str(folder), *own, "--inference_model_dir", str(tmp_path / "nowhere")]) == 1
    assert [file.read_text() for file in kept] == ["of yesterday"] * 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (["--metrics", "m.json"], (2, "--metrics needs the true classes")),
        (["--metrics", "m.txt"], (2, "'m.txt' doesn't end in .json or .csv")),
        (
            ["--label_file", "truth.txt", "--labels_from_folders"],
            (2, "both say the true classes: remove one"),
        ),
        (
            ["--label_file", "truth.txt"],
            (1, "CRITICAL: EvaluationError: truth.txt, line 2 is 'b.png'; it takes"),
        ),
        (["--report", "page.csv"], (2, "'page.csv' doesn't end in .html")),
        (["--report", "nowhere/page.html"], (1, "OutputError: nowhere/page.html can't be written")),
        (["--labels_from_folders", "--metrics", "nowhere/m.json"], (1, "nowhere/m.json can't be written")),
    ],
)
def test_wrong_flags_and_files_are_one_line_before_anything_is_classified(
    folder: Path,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own: list[str],
    expected: tuple[int, str],
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("truth.txt").write_text("a.png 1\nb.png\n")
    try:
        found = main([str(folder), *own, *flags])
    except SystemExit as exc:
        found = int(exc.code or 0)
    shown = capsys.readouterr()
    assert (found, shown.out) == (expected[0], "")
    assert expected[1] in shown.err
    assert shown.err.count("\n") == 1
