import json as json_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from clas.commandline.checks.inputs import ENCODED, FLOAT32, UINT8, prepare_inputs
from clas.commandline.trial.images import TrialImages
from clas.errors import RequestError
from clas.image.normalize import NormalizeToCHW
from clas.image.operations import read_operations
from clas.image.transforms import normalization
from clas.settings import Settings, load_settings
from served import image_file

SETTINGS = load_settings({"crop_size": 32, "resize_short": 32})


def model(*shape: int | None, dtype: str = "float32") -> dict[str, Any]:
    return {"input_shape": [None, *shape], "input_dtype": dtype}


def test_all_forms_have_the_same_images() -> None:
    inputs = prepare_inputs(TrialImages((), 3), SETTINGS, model(3, 32, 32))
    assert inputs.tensor.shape == (3, 3, 32, 32)
    assert inputs.pixels is not None
    assert inputs.pixels.shape == (3, 32, 32, 3)
    assert (NormalizeToCHW(normalization(SETTINGS))(inputs.pixels[1]) == inputs.tensor[1]).all()
    bodies = {form: list(map(json_module.loads, found)) for form, found in inputs.bodies(2).items()}
    assert [body["revert_params"]["shape"] for body in bodies[FLOAT32]] == [[2, 3, 32, 32], [1, 3, 32, 32]]
    assert [body["preprocess"] for body in bodies[UINT8]] == [["normalize", "to_chw"]] * 2
    assert [len(body["images"]) for body in bodies[ENCODED]] == [2, 1]


def test_a_model_with_the_channels_last_is_sent_pixels_in_its_order() -> None:
    inputs = prepare_inputs(TrialImages((), 1), SETTINGS, model(32, 32, 3))
    assert inputs.tensor.shape == (1, 32, 32, 3)
    assert inputs.operations == ("normalize",)


def test_a_model_that_takes_no_images_gets_noise_in_one_form() -> None:
    inputs = prepare_inputs(TrialImages((), 2), SETTINGS, model(1, 32, 32))
    assert inputs.tensor.shape == (2, 1, 32, 32)
    assert list(inputs.bodies(1)) == [FLOAT32]


def test_images_of_other_sizes_than_the_first_are_left_out(tmp_path: Path) -> None:
    files = [tmp_path / f"{width}.png" for width in (40, 60, 80)]
    for file, width in zip(files, (40, 60, 80), strict=True):
        cv2.imwrite(str(file), np.full((40 if width < 80 else 80, width, 3), width, np.uint8))
    no_crop = read_operations([{"ResizeImage": {"resize_short": 32}}]).listed
    inputs = prepare_inputs(TrialImages(files, 3), Settings(transform_ops=no_crop), model(3, None, None))
    assert inputs.tensor.shape == (2, 3, 32, 32)
    assert inputs.files == [files[0].read_bytes(), files[2].read_bytes()]
    assert inputs.failures == [f"{files[1]}: after resizing it has another size than the first image"]


def test_files_that_are_no_images_are_left_out(tmp_path: Path) -> None:
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    files[0].write_text("no image")
    files[1].write_bytes(image_file(1))
    inputs = prepare_inputs(TrialImages(files, 2), SETTINGS, model(3, 32, 32))
    assert len(inputs.tensor) == 1
    assert inputs.files == [files[1].read_bytes()]
    assert [failure.partition(": ")[0] for failure in inputs.failures] == [str(files[0])]
    with pytest.raises(RequestError, match=r"none of the images can be decoded: .*0\.png: "):
        prepare_inputs(TrialImages(files[:1], 1), SETTINGS, model(3, 32, 32))
    assert inputs.pixels is not None
    assert inputs.pixels.dtype == np.uint8
