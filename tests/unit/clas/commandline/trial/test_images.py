import pickle
from pathlib import Path

import numpy as np
import pytest

from clas.commandline.trial.images import TrialImages, generated_image, noise, trial_images
from clas.engine.choice import choose
from clas.errors import RequestError
from clas.model.exported import read_exported_model
from clas.pipeline import Pipeline
from clas.settings import load_settings
from served import image_file
from tiny_models import write_model


@pytest.fixture
def pipeline(tiny_model: Path) -> Pipeline:
    return open_pipeline(tiny_model)


def open_pipeline(directory: Path, **more: object) -> Pipeline:
    sizes = {"resize_short": 32, "crop_size": 32, "class_id_map_file": "", **more}
    model = read_exported_model(load_settings({"inference_model_dir": str(directory), **sizes}))
    engine = choose(model.settings, model.programs, lambda kind, files: kind(files, model.settings)).opened
    return Pipeline(model, engine.info)


def test_generated_images_are_the_same_each_time_and_differ() -> None:
    first, second = generated_image(1), generated_image(2)
    assert first.shape == (256, 256, 3)
    assert first.dtype == np.uint8
    assert first.std() > 30
    assert (first == generated_image(1)).all()
    assert (first != second).any()


def test_many_files_are_taken_evenly(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.png").touch()
    images = trial_images([tmp_path], 5, 64)
    assert [file.stem for file in images.files] == ["0", "2", "4", "6", "8"]
    assert images.count == 5
    assert trial_images([tmp_path], 100, 64).count == 10


def test_without_files_images_are_generated() -> None:
    images = trial_images([], 5, 64)
    assert str(images) == "64 generated images"
    assert len(list(images.first(3).sources())) == 3
    assert pickle.loads(pickle.dumps(images)) == images


def test_a_file_that_is_no_image_is_left_out_and_named(tmp_path: Path, pipeline: Pipeline) -> None:
    (tmp_path / "0.png").write_bytes(image_file(0))
    (tmp_path / "1.png").write_text("no image")
    failures: list[str] = []
    batches = list(trial_images([tmp_path], 5, 5).batches(pipeline, pipeline.engine, failures))
    assert sum(map(len, batches)) == 1
    assert failures == [
        f"{tmp_path / '1.png'}: the image can't be decoded: it is none of JPEG, PNG, BMP, WEBP"
    ]


def test_a_model_that_takes_no_images_gets_noise(tmp_path: Path) -> None:
    pipeline = open_pipeline(write_model(tmp_path, input_shape=(None, 3, 24, 24)))
    assert pipeline.input.warning
    batches = list(TrialImages((), 3).batches(pipeline, pipeline.engine, []))
    assert [batch.shape for batch in batches] == [(1, 3, 24, 24)] * 3
    (tmp_path / "0.png").write_bytes(image_file(0))
    with pytest.raises(RequestError, match="the shape of the preprocessed images is"):
        list(trial_images([tmp_path / "0.png"], 1, 1).batches(pipeline, pipeline.engine, []))


def test_noise_for_pixels_is_whole_numbers() -> None:
    values = noise(1, (None, 4, 8, None), "uint8")
    assert values.shape == (1, 4, 8, 256)
    assert (values == values.astype(np.uint8)).all()
