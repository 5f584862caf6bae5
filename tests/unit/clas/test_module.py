import base64
import inspect
import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

from clas.errors import ModelNotFoundError, RequestError, SettingsError
from clas.module import ClasSystem, _try_out
from tiny_models import solid_batch
from wire import encode

LOGGER = logging.getLogger("clas_system")
pytestmark = pytest.mark.usefixtures("logger_as_it_was")


@pytest.fixture
def init_args(tiny_model: Path) -> dict[str, object]:
    return {
        "inference_model_dir": str(tiny_model),
        "crop_size": 32,
        "resize_short": 32,
        "class_id_map_file": "",
    }


@pytest.fixture
def module(init_args: dict[str, object]) -> Any:
    return ClasSystem(**init_args)


def test_methods_show_what_they_take_and_return_in_spite_of_paddlehubs_wrapper(module: Any) -> None:
    assert list(inspect.signature(module.classification).parameters) == [
        "images",
        "paths",
        "batch_size",
        "top_k",
    ]
    assert list(inspect.signature(module.predict).parameters) == ["inputs", "top_k"]
    assert module.classification.__doc__.startswith("Classify images, as PaddleHub's image modules do.")
    assert module.predict.__name__ == "predict"


def test_predict_takes_a_list_of_arrays(module: Any) -> None:
    results = module.predict(list(solid_batch(2, 1)), top_k=2)
    assert [entry["class_ids"][0] for entry in results["prediction"]] == [2, 1]
    assert results["elapse"] > 0


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "inputs is [0]; the model takes [N, 3, 32, 32]"),
        ([np.zeros((3, 32, 32)), np.zeros((3, 24, 24))], "inputs holds arrays of different shapes"),
        (["text"], "inputs is of type <U4; it takes arrays of numbers"),
        (None, "inputs is of type object"),
        ([np.zeros((3, 24, 24), np.float32)], "use --resize_short 32 --crop_size 32"),
    ],
)
def test_predict_refuses_what_is_no_batch(module: Any, inputs: Any, message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        module.predict(inputs)


def test_the_serving_method_answers_the_tensor_form(module: Any) -> None:
    results = module.serving_method(**encode(solid_batch(0, 2)), top_k=1)
    assert [entry["class_ids"] for entry in results["prediction"]] == [[0], [2]]
    assert results["elapse"] > 0


def test_the_shape_on_the_wire_is_named_as_there(module: Any) -> None:
    with pytest.raises(RequestError, match=r"revert_params\.shape is \[1, 3, 24, 24\]; the model takes"):
        module.serving_method(**encode(solid_batch(0, side=24)))


def test_the_serving_method_answers_the_encoded_form(module: Any) -> None:
    results = module.serving_method(images=["AAAA"])
    assert results["prediction"][0]["error"].startswith("the image can't be decoded")


@pytest.mark.parametrize("name", ["foo", "self", "inputs"])
def test_unknown_fields_are_refused_by_name(module: Any, name: str) -> None:
    with pytest.raises(RequestError, match=f"unknown field '{name}'"):
        module.serving_method(**encode(solid_batch(1)), **{name: 1})


def test_paddlehubs_own_gpu_mode_is_refused_with_what_to_do_instead(module: Any) -> None:
    with pytest.raises(RequestError, match="is not supported; set use_gpu in init_args instead"):
        module.serving_method(**encode(solid_batch(1)), use_gpu=True)


def test_init_args_takes_every_leaf_of_params_py(init_args: dict[str, object]) -> None:
    module = ClasSystem(**init_args, enable_mkldnn=False, use_gpu=False, topk=2)
    results = module.predict(list(solid_batch(1)))
    assert len(results["prediction"][0]["class_ids"]) == 2
    with pytest.raises(SettingsError, match="'enable_mkldn'; did you mean 'enable_mkldnn'"):
        ClasSystem(enable_mkldn=True)


def test_an_init_arg_of_any_name_is_refused_as_what_it_is() -> None:
    with pytest.raises(SettingsError, match="init_args has an unknown name 'self'"):
        ClasSystem(self=1)


def test_elapse_is_the_time_of_this_prediction(module: Any) -> None:
    start = time.perf_counter()
    elapse = module.predict(list(solid_batch(1)))["elapse"]
    assert 0 < elapse <= time.perf_counter() - start


def test_the_module_tells_paddlehub_what_it_is() -> None:
    facts: Any = ClasSystem
    assert (facts.name, str(facts.version)) == ("clas_system", "1.0.0")
    assert facts.type.startswith("cv/")
    assert not hasattr(facts, "_initialize")


def test_the_log_is_shown_once_and_only_if_nobody_has_set_it_up(
    init_args: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    ClasSystem(**init_args)
    ClasSystem(**init_args)
    assert capsys.readouterr().err.count("clas_system: code: ") == 2
    LOGGER.handlers[:] = [logging.NullHandler()]
    ClasSystem(**init_args)
    assert "clas_system: code: " not in capsys.readouterr().err


def test_trying_it_out_prints_the_top_5(
    default_model_dir: Path,
    photographs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(default_model_dir)
    assert _try_out([str(photographs / "coffee.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{photographs / 'coffee.png'}:"
    assert re.fullmatch(r"  0\.951\d\d   967  espresso", lines[1])
    assert len(lines) == 6


def test_trying_it_out_without_an_image_takes_a_grey_one(
    default_model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(default_model_dir)
    assert _try_out([]) == 0
    assert capsys.readouterr().out.startswith("(a plain grey image):\n  0.")


def test_trying_it_out_says_in_one_line_what_is_wrong(
    default_model_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(default_model_dir)
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    assert _try_out([str(text)]) == 1
    assert (
        capsys.readouterr().out == f"{text}: the image can't be decoded: it is none of JPEG, PNG, BMP, WEBP\n"
    )
    assert _try_out([str(tmp_path / "nowhere.jpg")]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("FileNotFoundError: ")


def test_a_missing_model_ends_the_construction(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="there is no model"):
        ClasSystem(inference_model_dir=str(tmp_path / "nowhere"))


def test_reading_the_module_imports_no_more_than_it_may(repository: Path) -> None:
    """PaddleHub reports any import error as one of the connection to its makers' server."""
    code = """
import sys, paddlehub, numpy, cv2
before = set(sys.modules)
import clas.module
new = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(sorted(new))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "['clas', 'pybase64']"


def test_an_image_can_be_sent_as_any_client_would(module: Any) -> None:
    grey = base64.b64encode(b"\x00").decode()
    assert (
        module.serving_method(images=[grey], revert_params=None, top_k=None)["prediction"][0]["scores"] == []
    )


def solid_image(channel: int) -> Any:
    """An image [32, 32, 3], BGR, whose red (green, blue) is brightest: of class 0 (1, 2)."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, :, 2 - channel] = 255
    return image


@pytest.fixture
def image_files(tmp_path: Path) -> list[str]:
    for channel in range(3):
        cv2.imwrite(str(tmp_path / f"{channel}.png"), solid_image(channel))
    return [str(tmp_path / f"{channel}.png") for channel in range(3)]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_classification_answers_the_images_then_the_files(
    module: Any, image_files: list[str], batch_size: int
) -> None:
    images = [solid_image(2), solid_image(0)]
    entries = module.classification(images=images, paths=image_files, batch_size=batch_size, top_k=2)
    assert [entry["class_ids"][0] for entry in entries] == [2, 0, 0, 1, 2]
    assert all(sorted(entry) == ["class_ids", "label_names", "scores"] for entry in entries)
    assert all(len(entry["scores"]) == 2 for entry in entries)


def test_classification_takes_images_in_one_array(module: Any) -> None:
    entries = module.classification(np.stack([solid_image(1), solid_image(2)]))
    assert [entry["class_ids"][0] for entry in entries] == [1, 2]


def test_classification_takes_one_image_or_one_file_outside_a_list(
    module: Any, image_files: list[str]
) -> None:
    pillows = PIL.Image.fromarray(cv2.cvtColor(solid_image(1), cv2.COLOR_BGR2RGB))
    grey = np.full((40, 40), 90, np.uint8)
    [entry] = module.classification(solid_image(0), top_k=1)
    [other] = module.classification(pillows, top_k=1)
    assert [entry["class_ids"], other["class_ids"]] == [[0], [1]]
    assert module.classification(grey) == module.classification([cv2.merge([grey] * 3)])
    assert module.classification(paths=image_files[2]) == module.classification(paths=[image_files[2]])


def test_classification_of_what_is_on_disk_and_in_memory_is_the_same(module: Any, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), image)
    first, second = module.classification([image], [tmp_path / "noise.png"])
    assert first == second


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            ["text"],
            "the image is of type str; it takes an array [H, W, 3] or [H, W] of uint8, or an image of",
        ),
        ([np.zeros((8, 8, 2), np.uint8)], "the image is [8, 8, 2] of uint8;"),
        ([np.zeros((8, 8, 3), np.float32)], "the image is [8, 8, 3] of float32;"),
        ([np.zeros((0, 8, 3), np.uint8)], "the image is [0, 8, 3] of uint8;"),
        ([None], "the image is of type NoneType;"),  # what cv2.imread gives for a missing file
    ],
)
def test_one_bad_image_does_not_fail_the_others(module: Any, images: list[Any], message: str) -> None:
    bad, good = module.classification([*images, solid_image(1)])
    assert bad["error"].startswith(message)
    assert bad["class_ids"] == bad["scores"] == bad["label_names"] == []
    assert good["class_ids"][0] == 1


def test_one_bad_file_does_not_fail_the_others(module: Any, image_files: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    bad = [str(tmp_path / "text.jpg"), str(tmp_path / "nowhere.jpg"), str(tmp_path), 7]
    entries = module.classification(paths=[*bad, image_files[1]])
    assert [entry.get("error", "").partition(":")[0] for entry in entries] == [
        "the image can't be decoded",
        "the file can't be read",
        "the file can't be read",
        "the path is of type int; it takes a file name",
        "",
    ]
    assert entries[-1]["class_ids"][0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither images nor paths is given"),
        ({"paths": 5}, "paths is of type int; it takes a list of file names"),
        ({"images": "cat.jpg"}, "images is of type str; it takes a list of arrays"),
        ({"paths": [], "batch_size": 0}, "batch_size is 0; it takes a whole number from 1"),
        ({"images": [solid_image(0)], "top_k": 7}, "top_k is 7; it takes a whole number from 1 to 6"),
    ],
)
def test_classification_refuses_invalid_arguments(
    module: Any, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        module.classification(**arguments)


def test_classification_of_nothing_is_nothing(module: Any) -> None:
    assert module.classification(images=[], paths=()) == []


def test_paddlehub_finds_what_hub_run_calls(
    module: Any, image_files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert module.is_runnable
    assert module.serving_func_name == "serving_method"
    folder = str(Path(image_files[0]).parent)
    assert module._run_func(["--input_path", folder, "--top_k", "1"]) == "images classified: 3"
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == [f"{name}:" for name in image_files]
    assert [line.split()[1] for line in lines[1::2]] == ["0", "1", "2"]


def test_hub_run_ends_with_1_where_an_image_has_no_result(
    init_args: dict[str, object],
    image_files: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module: Any = ClasSystem(**init_args)
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(SystemExit) as ended:
        module.run(["--input_path", image_files[0], str(tmp_path / "text.jpg")])
    assert ended.value.code == 1
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{image_files[0]}:\n")
    assert "text.jpg: the image can't be decoded" in shown.err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: --input_path"),
        (["--input_path", "/nowhere"], "there is no file or folder '/nowhere'"),
        (["--input_path", ".", "--use_gpu", "True"], "there is no flag --use_gpu"),
        (["--input_path", ".", "--batch_size", "0"], "'0' is not a whole number of at least 1"),
    ],
)
def test_hub_run_refuses_invalid_flags_in_one_line(
    module: Any, argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()  # the log of the start
    with pytest.raises(SystemExit) as ended:
        module.run(argv)
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("hub run clas_system: error: ")
    assert message in line
