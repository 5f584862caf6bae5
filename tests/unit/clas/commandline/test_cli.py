import csv
import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from clas.commandline import cli as command
from clas.commandline.cli import COMMANDS, main
from clas.commandline.terminal import LOGGER
from tiny_models import needs_paddle

pytestmark = pytest.mark.usefixtures("logger_as_it_was")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, of the classes 0 to 2 for the tiny model."""
    directory = tmp_path / "images"
    directory.mkdir()
    for channel in range(3):
        image = np.zeros((32, 32, 3), np.uint8)
        image[:, :, 2 - channel] = 255
        cv2.imwrite(str(directory / f"{channel}.png"), image)
    return directory


@pytest.fixture
def flags(tiny_model: Path) -> list[str]:
    return [
        *("--inference_model_dir", str(tiny_model), "--resize_short", "32", "--crop_size", "32"),
        *("--class_id_map_file", ""),
    ]


def classes(out: str) -> list[tuple[str, int]]:
    return [(Path(entry["file"]).name, entry["class_ids"][0]) for entry in map(json.loads, out.splitlines())]


def test_files_and_folders_are_answered_in_the_order_they_are_named(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder / "2.png"), str(folder), *flags, "--format", "json"]) == 0
    shown = capsys.readouterr()
    assert classes(shown.out) == [("2.png", 2), ("0.png", 0), ("1.png", 1), ("2.png", 2)]
    assert shown.err == ""


@pytest.mark.parametrize("name", ["--top_k", "--topk"])
def test_top_k_is_taken_by_either_name(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main([str(folder), *flags, "--format", "json", name, "4"]) == 0
    assert [len(json.loads(line)["scores"]) for line in capsys.readouterr().out.splitlines()] == [4, 4, 4]


def test_a_broken_file_has_its_own_line_and_the_status_is_1(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "1.png").write_text("no image")
    assert main([str(folder), *flags, "--top_k", "1"]) == 1
    shown = capsys.readouterr()
    assert [line for line in shown.out.splitlines() if line.endswith(":")] == [
        f"{folder / '0.png'}:",
        f"{folder / '2.png'}:",
    ]
    assert shown.err.splitlines() == [
        f"ERROR: {folder / '1.png'}: the image can't be decoded: it is none of JPEG, PNG, BMP, WEBP",
        "3 files: 2 answered, 1 failed",
    ]


def test_a_folder_without_images_is_an_error(
    tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").touch()
    assert main([str(tmp_path), *flags, "--format", "csv"]) == 1
    shown = capsys.readouterr()
    assert shown.out == "file,class_id,label_name,score,class_ids,label_names,scores,error\n"
    assert shown.err.splitlines() == [
        f"ERROR: there is no image in {tmp_path}",
        "1 file: 0 answered, 1 not read (1 .txt)",
    ]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--top_k", "7"], "CRITICAL: RequestError: top_k is 7; it takes a whole number from 1 to 6"),
        (["--inference_model_dir", "/nowhere"], "CRITICAL: ModelNotFoundError: there is no model"),
        (["--max_batch_size", "-1"], "CRITICAL: SettingsError: max_batch_size is -1; it takes"),
        (["--crop_size", "24"], "CRITICAL: RequestError: the shape of the preprocessed images is"),
    ],
)
def test_what_ends_the_run_is_told_in_one_line(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert main([str(folder), *flags, *more]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    [line] = [line for line in shown.err.splitlines() if not line.startswith("WARNING")]
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: PATH"),
        (["/nowhere"], "there is no file or folder '/nowhere'"),
        (["x" * 300], "File name too long"),
        (
            [".", "--inference_model", "x"],
            "there is no flag --inference_model; did you mean --inference_model_dir?",
        ),
        ([".", "--format", "xml"], "invalid choice: 'xml'"),
        ([".", "--top_k", "many"], "'many' is not a whole number of at least 1"),
        ([".", "--enable_mkldnn", "maybe"], "'maybe' is neither true nor false"),
        ([".", "--threshold", "much"], "threshold is 'much'; it takes a number from 0 to 1"),
        ([".", "--groups", '[{"name": 5}]'], "groups has a name 5; it takes a text"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m clas: error: ")
    assert message in line


@needs_paddle
def test_the_log_of_the_start_is_shown_on_request(
    folder: Path, flags: list[str], tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), *flags, "--verbose"]) == 0
    assert f"INFO: model: {tiny_model}, format: pdmodel\n" in capsys.readouterr().err


def test_a_folder_that_can_not_be_read_is_told_and_the_others_are_answered(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(path: Path, on_error: object, _: object) -> list[Path]:  # root may read everything
        assert callable(on_error)
        on_error(PermissionError(13, "Permission denied", str(path / "locked")))
        return [path / "0.png"]

    monkeypatch.setattr(command, "find_images", locked)
    assert main([str(folder), *flags, "--format", "json"]) == 1
    shown = capsys.readouterr()
    assert classes(shown.out) == [("0.png", 0)]
    assert shown.err.splitlines() == [
        f"ERROR: {folder / 'locked'}: Permission denied",
        "2 files: 1 answered, 1 failed",
    ]


def test_a_log_that_is_set_up_already_stays_as_it_is(folder: Path, flags: list[str]) -> None:
    handler = logging.NullHandler()
    LOGGER.addHandler(handler)
    assert main([str(folder), *flags]) == 0
    assert LOGGER.handlers == [handler]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_first_word_that_is_a_command_is_the_command(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m clas {command} ")


def test_a_folder_with_the_name_of_a_command_is_classified_by_its_path(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    folder.rename("tune")
    assert main(["./tune", *flags, "--format", "json"]) == 0
    assert classes(capsys.readouterr().out) == [("0.png", 0), ("1.png", 1), ("2.png", 2)]


def test_the_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(f"  {command:15}{does}\n" in out for command, does in COMMANDS.items())


def test_every_form_of_results_is_printed(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--main_indicator", "TableAttribute", "--source_threshold", "0.9"]
    assert main([str(folder / "0.png"), *flags, *more]) == 0
    texts = ["Scanned", "Numerous", "Multicolor", "Blurry", "With-Obstacles", "Tilted"]
    name, *said = capsys.readouterr().out.splitlines()
    assert (Path(name).name, said) == ("0.png:", [f"  {text}" for text in texts])
    assert main([str(folder / "0.png"), *flags, *more, "--format", "csv"]) == 0
    [row] = csv.DictReader(capsys.readouterr().out.splitlines())
    assert row["attributes"] == "; ".join(texts)
    groups = json.dumps([{"name": "channel", "outputs": [0, 1, 2], "labels": ["red", "green", "blue"]}])
    more = ["--main_indicator", "groups", "--groups", groups, "--format", "csv"]
    assert main([str(folder), *flags, *more]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["channel"] for row in rows] == ["red", "green", "blue"]
    assert main([str(folder / "0.png"), *flags, "--main_indicator", "features", "--format", "csv"]) == 0
    shown = capsys.readouterr()
    assert "feature" not in shown.out
    assert "WARNING: CSV has no column for features: use --format json" in shown.err


def test_what_a_server_does_not_take_is_read_here(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    image = cv2.imread(str(folder / "2.png"))
    assert image is not None
    (folder / "3.tiff").write_bytes(cv2.imencode(".tiff", image)[1].tobytes())
    assert main([str(folder), *flags, "--format", "json"]) == 0
    assert classes(capsys.readouterr().out)[-1] == ("3.tiff", 2)
    assert main([str(folder), *flags, "--format", "json", "--max_image_pixels", "1000"]) == 1
    assert f"{folder / '3.tiff'}: the image has 32 x 32 pixels; max_image_pixels" in capsys.readouterr().err


def test_what_is_not_read_is_told_for_folders_and_names_are_escaped(
    folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "._0.png").touch()
    (folder / "a.gif").touch()
    (folder / "2.png").rename(folder / "two\nlines\x1b[31m.png")
    assert main([str(folder), *flags]) == 0
    shown = capsys.readouterr()
    assert f"{folder}/two\\nlines\\u001b[31m.png:\n" in shown.out
    assert shown.err == "5 files: 3 answered, 2 not read (1 .gif, 1 hidden or thumbnails)\n"
    assert main([str(folder / "0.png"), *flags]) == 0
    assert capsys.readouterr().err == ""
