import base64
import dataclasses
import logging
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from clas.classifier import Classifier
from clas.engine.choice import Choice, choose
from clas.engine.paddle import PaddleEngine
from clas.errors import LabelFileError, ModelLoadError, RequestError, SettingsError
from clas.image.decode import DecodeImage
from clas.image.transforms import create_transforms
from clas.model.files import MODULE_DIR, find_model
from clas.output.base import Prediction
from clas.settings import Settings, load_settings
from known_answers import PHOTOGRAPHS, assert_right
from onnx_models import write_onnx_model
from tiny_models import (
    bright_channels,
    brightest_channel,
    features_and_scores,
    logits,
    needs_paddle,
    solid_batch,
    write_model,
)


def settings_of(model: Path, **overrides: object) -> Settings:
    sizes = {"crop_size": 32, "resize_short": 32, "class_id_map_file": ""}
    return load_settings({"inference_model_dir": str(model), **sizes, **overrides})


@pytest.fixture(params=["openvino", pytest.param("paddle", marks=needs_paddle)])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def classifier_of(model: Path, **overrides: object) -> Classifier:
    return Classifier(settings_of(model, **overrides))


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return classifier_of(tiny_model)


def image_text(channel: int, side: int = 40, ending: str = ".png") -> str:
    """The base64 text of an image of one colour: 0 red, 1 green, 2 blue."""
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 2 - channel] = 255
    return base64.b64encode(cv2.imencode(ending, image)[1].tobytes()).decode()


def best(results: list[Any]) -> list[int]:
    return [entry["class_ids"][0] for entry in results]


def test_results_keep_the_order_of_the_batch(classifier: Classifier) -> None:
    assert best(classifier.classify(solid_batch(2, 0, 1))) == [2, 0, 1]


def test_a_model_with_a_fixed_batch_size_answers_batches_of_any_size(tmp_path: Path, engine: str) -> None:
    fixed = classifier_of(write_model(tmp_path, input_shape=(4, 3, 32, 32)), engine=engine)
    for channels in ([0], [2, 1], [0, 1, 2, 1], [0, 1, 2, 1, 0, 2]):
        assert best(fixed.classify(solid_batch(*channels))) == channels


def test_a_batch_larger_than_the_bound_runs_in_pieces_with_the_same_results(
    tiny_model: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = [0, 1, 2, 2, 1, 0, 1]
    in_pieces = classifier_of(tiny_model, max_batch_size=3)
    sizes: list[int] = []
    run = in_pieces._engine.run

    def counted_run(batch: Any) -> Any:
        sizes.append(len(batch))
        return run(batch)

    monkeypatch.setattr(in_pieces._engine, "run", counted_run)
    assert in_pieces.classify(solid_batch(*channels)) == classifier.classify(solid_batch(*channels))
    assert best(in_pieces.classify_images([image_text(channel) for channel in channels])) == channels
    assert sizes == [3, 3, 1, 3, 3, 1]


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8", "int64", ">f4"])
def test_every_number_type_is_computed_in_float32(classifier: Classifier, dtype: str) -> None:
    assert best(classifier.classify(solid_batch(1, 2).astype(dtype))) == [1, 2]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (1, 3, 24, 24),
            "inputs is [1, 3, 24, 24]; the model takes [N, 3, 32, 32]: use --resize_short 32 --crop_size 32",
        ),
        (
            (1, 32, 32, 3),
            "the model takes [N, 3, 32, 32]: send a batch in the order N, C, H, W (--to_chw True)",
        ),
        ((3, 32, 32), "inputs is [3, 32, 32]; the model takes [N, 3, 32, 32]: send a batch"),
        ((1, 1, 32, 32), "inputs is [1, 1, 32, 32]"),
        ((0, 3, 32, 32), "inputs is [0, 3, 32, 32]; the model takes [N, 3, 32, 32]: send at least one"),
        ((), "inputs is []"),
    ],
)
def test_another_shape_is_refused(classifier: Classifier, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        classifier.classify(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    "batch",
    [
        np.full((1, 3, 32, 32), np.nan, np.float32),
        np.full((1, 3, 32, 32), np.inf, np.float32),
        np.full((1, 3, 32, 32), 1e300),
    ],
    ids=["NaN", "infinity", "beyond float32"],
)
def test_values_that_are_not_finite_are_refused(classifier: Classifier, batch: Any) -> None:
    with pytest.raises(RequestError, match="images holds NaN or infinity"):
        classifier.classify(batch)


def test_top_k_is_the_requests_before_the_settings(classifier: Classifier) -> None:
    assert len(classifier.classify(solid_batch(1))[0]["class_ids"]) == 5
    assert len(classifier.classify(solid_batch(1), 6)[0]["class_ids"]) == 6
    assert len(classifier.classify_images([image_text(1)], 1)[0]["class_ids"]) == 1


@pytest.mark.parametrize("top_k", [0, 7, True, "3"])
def test_an_invalid_top_k_is_refused_in_both_forms(classifier: Classifier, top_k: object) -> None:
    with pytest.raises(RequestError, match="top_k is"):
        classifier.classify(solid_batch(1), top_k)
    with pytest.raises(RequestError, match="top_k is"):
        classifier.classify_images(["no image"], top_k)


def test_one_bad_image_does_not_fail_the_others(classifier: Classifier) -> None:
    results = classifier.classify_images([image_text(2), "AAAA", 5, image_text(0)])
    assert [entry.get("error", "")[:9] for entry in results] == ["", "the image", "the image", ""]
    assert [entry["class_ids"][:1] for entry in results] == [[2], [], [], [0]]


def test_only_bad_images_are_answered_too(classifier: Classifier) -> None:
    assert [entry["scores"] for entry in classifier.classify_images(["AAAA", "BBBB"])] == [[], []]


def test_an_image_beyond_max_image_pixels_fails_alone(tiny_model: Path) -> None:
    results = classifier_of(tiny_model, max_image_pixels=1600).classify_images(
        [image_text(1), image_text(1, 41)]
    )
    assert best(results[:1]) == [1]
    assert results[1]["error"] == "the image has 41 x 41 pixels; max_image_pixels is 1600"


def test_a_crop_size_that_is_not_the_models_is_warned_of_and_refused_for_images_only(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "clas_system"):
        classifier = classifier_of(tiny_model, crop_size=24)
    assert "crop_size is 24, but the model takes [N, 3, 32, 32]" in caplog.text
    assert best(classifier.classify(solid_batch(1))) == [1]
    with pytest.raises(RequestError, match=r"images is \[1, 3, 24, 24\]; .* set crop_size and resize_short"):
        classifier.classify_images([image_text(1)])


def test_free_sizes_take_any_size(tmp_path: Path, engine: str) -> None:
    classifier = classifier_of(write_model(tmp_path, input_shape=(None, 3, None, None)), engine=engine)
    assert best(classifier.classify(solid_batch(2, side=50))) == [2]


def test_a_model_that_takes_one_image_at_a_time_answers_batches_all_the_same(
    tmp_path: Path, engine: str
) -> None:
    classifier = classifier_of(write_model(tmp_path, input_shape=(1, 3, 32, 32)), engine=engine)
    assert best(classifier.classify(solid_batch(2, 0, 1))) == [2, 0, 1]
    assert best(classifier.classify_images([image_text(1), image_text(0)])) == [1, 0]


def test_the_start_is_logged(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, engine: str
) -> None:
    how = f"openvino {version('openvino')}, device: CPU"
    if engine == "paddle":
        how = f"paddle {version('paddlepaddle')}, device: CPU, MKL-DNN: on"

    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{number} name{number}\n" for number in range(6)))
    with caplog.at_level(logging.INFO, "clas_system"):
        classifier = classifier_of(
            tiny_model, engine=engine, class_id_map_file=str(labels), cpu_num_threads=1, topk=2
        )
    assert [record.getMessage() for record in caplog.records] == [
        f"code: {MODULE_DIR}",
        f"model: {tiny_model}, format: {find_model(settings_of(tiny_model))[0].format}",
        f"engine: {how}, precision: fp32, threads: 1",
        f"top_k: 2, labels: 6 ({labels})",
    ]
    assert classifier.classify(solid_batch(1))[0]["label_names"] == ["name1", "name0"]


def test_labels_that_are_not_the_models_end_the_start_unless_that_is_allowed(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("1 goldfish\n2 shark\n")
    message = "2 labels with ids 1 to 2, but the model has 6 classes, 0 to 5"
    with pytest.raises(
        LabelFileError, match=f"labels.txt has {message}: set .* allow_label_mismatch to true"
    ):
        classifier_of(tiny_model, class_id_map_file=str(labels))
    classifier = classifier_of(tiny_model, class_id_map_file=str(labels), allow_label_mismatch=True)
    assert f"labels.txt has {message}" in caplog.text
    assert classifier.describe()["warnings"] == [f"labels.txt has {message}"]
    assert classifier.classify(solid_batch(1), 2)[0]["label_names"] == ["goldfish", ""]


def test_labels_that_count_from_one_are_those_of_the_classes_and_that_is_said(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{number},name{number}\n" for number in range(1, 7)))
    classifier = classifier_of(tiny_model, class_id_map_file=str(labels))
    assert "the labels of labels.txt count from 1: 1 is taken for class 0, and 6 for class 5" in caplog.text
    assert classifier.classify(solid_batch(2), 2)[0]["label_names"] == ["name3", "name1"]


def test_the_list_of_imagenet_is_for_1000_classes_unless_it_is_asked_for(
    tiny_model: Path, numbering_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = {"crop_size": 32, "resize_short": 32}
    settings = load_settings({"inference_model_dir": str(tiny_model), **sizes})
    told = Classifier(settings).describe()
    assert told["labels"] == 0
    assert "the built-in label list isn't used: it has 1000 labels with ids 0 to 999, but" in caplog.text
    assert [warning[:38] for warning in told["warnings"]] == ["the built-in label list isn't used: it"]
    assert Classifier(settings).classify(solid_batch(1))[0]["label_names"] == []
    known = Classifier(load_settings({"inference_model_dir": str(numbering_model), **sizes})).describe()
    assert (known["labels"], known["warnings"]) == (1000, [])
    with pytest.raises(
        LabelFileError, match=r"list\.txt has 1000 labels with ids 0 to 999, but the model has 6"
    ):
        classifier_of(tiny_model, class_id_map_file="imagenet1k_label_list.txt")


def test_topk_above_the_classes_is_lowered_with_a_warning(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = classifier_of(tiny_model, topk=7)
    assert "topk is 7, but the model has 6 classes" in caplog.text
    assert len(classifier.classify(solid_batch(1))[0]["class_ids"]) == 6


def test_a_malformed_label_file_ends_the_start(tiny_model: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("goldfish\n")
    with pytest.raises(LabelFileError, match="malformed in line 1"):
        classifier_of(tiny_model, class_id_map_file=str(labels))


@needs_paddle
@pytest.mark.parametrize("mkldnn", [True, False])
def test_mkldnn_together_with_the_gpu_is_warned_of(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mkldnn: bool
) -> None:
    """With a GPU faked: the model is opened on the CPU, and only the settings speak of a GPU."""
    opened = PaddleEngine(find_model(settings_of(tiny_model))[0], settings_of(tiny_model))
    opened.info = dataclasses.replace(opened.info, device="GPU", mkldnn=False)
    monkeypatch.setattr(
        "clas.classifier.choose",
        lambda *_: Choice(opened, PaddleEngine, find_model(settings_of(tiny_model))[0], {}),
    )
    with caplog.at_level(logging.INFO, "clas_system"):
        Classifier(settings_of(tiny_model, use_gpu=True, enable_mkldnn=mkldnn))
    assert ("enable_mkldnn is for the CPU: ignored, the GPU is used" in caplog.text) is mkldnn
    assert "device: GPU, precision: fp32" in caplog.text


@pytest.mark.parametrize("form", ["tensor", "images"])
def test_the_default_model_knows_the_photographs(
    default_model_dir: Path, photographs: Path, form: str
) -> None:
    classifier = Classifier(load_settings({"inference_model_dir": str(default_model_dir)}))
    files = [(photographs / name).read_bytes() for name in PHOTOGRAPHS]
    if form == "images":
        results = classifier.classify_images([base64.b64encode(data).decode() for data in files])
    else:
        decode, transforms = DecodeImage(), create_transforms()
        batch = np.stack([transforms(decode(data)) for data in files])
        results = classifier.classify(batch)
    assert_right(results, PHOTOGRAPHS)
    assert results[1]["label_names"][0] == "espresso"


MODEL_CONFIG = """\
PreProcess:
  transform_ops:
  - ResizeImage: {resize_short: 48}
  - CropImage: {size: 32}
  - NormalizeImage: {mean: [0, 0, 0], std: [1, 1, 1], scale: 1, order: ''}
  - ToCHWImage:
PostProcess:
  Topk: {topk: 2, label_list: [red, green, blue, d, e, f]}
"""


def write_config(directory: Path, text: str = MODEL_CONFIG) -> Path:
    write_model(directory)
    (directory / "inference.yml").write_text(text)
    return directory


def test_an_inference_yml_beside_the_model_is_used_and_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_config(tmp_path, MODEL_CONFIG.replace("mean: [0, 0, 0]", "mean: [0, 0, 300]"))
    with caplog.at_level(logging.INFO):
        classifier = Classifier(load_settings({"inference_model_dir": str(model), "topk": 3}))
    told = classifier.describe()
    assert told["inference_yml"]
    assert told["preprocess"]["mean"] == [0, 0, 300]
    assert (told["top_k"], told["labels"]) == (3, 6)
    assert (
        f"inference.yml: {model / 'inference.yml'}, in place of params.py: resize_size, mean" in caplog.text
    )
    assert "init_args or a flag, in place of inference.yml: topk" in caplog.text
    assert "preprocess: resize_short: 48, crop_size: 32" in caplog.text
    # Blue is 255, and 300 is taken away: all channels are 0 or less, and the first of the two zeros is best.
    [entry] = classifier.classify_images([image_text(2)])
    assert entry["label_names"] == ["red", "green", "d"]
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    pixels[..., 2] = 255
    assert classifier.classify(pixels, operations=("normalize", "to_chw")) == [entry]


def classifier_with(model: Path, *entries: object, **overrides: object) -> Classifier:
    """A model with these operations in its inference.yml."""
    content = {"PreProcess": {"transform_ops": list(entries)}}
    (model / "inference.yml").write_text(yaml.safe_dump(content))
    settings = {"inference_model_dir": str(model), "cpu_num_threads": 1, "class_id_map_file": "", "topk": 6}
    return Classifier(load_settings({**settings, **overrides}))


def scores_of(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the tiny model answers to an image [H, W, C], by its definition."""
    powers = np.exp([*(10 * image[..., :3].mean(axis=(0, 1))), 0, 0, 0])
    scores: np.ndarray[Any, Any] = powers / powers.sum()
    return scores


def assert_scores(entry: Prediction, wanted: np.ndarray[Any, Any]) -> None:
    found = dict(zip(entry["class_ids"], entry["scores"], strict=True))
    assert [found[number] for number in range(6)] == pytest.approx(wanted.tolist(), abs=2e-5)


RANDOM = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8) // np.array([1, 2, 3], np.uint8)
TENTHS: dict[str, dict[str, Any]] = {
    "NormalizeImage": {"scale": 1 / 255, "mean": [0.1, 0.2, 0.3], "std": [1, 2, 1], "order": ""}
}
NO_CROP = {"ResizeImage": {"resize_short": 32}}


def tenths(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    normalized: np.ndarray[Any, Any] = (image / 255 - [0.1, 0.2, 0.3]) / [1, 2, 1]
    return normalized


def png_of(image: np.ndarray[Any, Any]) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def test_images_that_are_not_cropped_are_computed_in_their_own_size(tiny_model: Path, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    classifier = classifier_with(model, NO_CROP, TENTHS, {"ToCHWImage": None})
    told = classifier.describe()
    assert told["input_shape"] == [None, 3, None, None]
    assert told["warnings"] == [
        "the model declares images of 32 x 32 pixels; it runs on any size, as its inference.yml says"
    ]
    tall, square = np.rot90(RANDOM).copy(), RANDOM[:, :40].copy()
    results = classifier.classify_images([png_of(image) for image in (RANDOM, tall, square, RANDOM)])
    for entry, image, size in zip(
        results, (RANDOM, tall, square, RANDOM), [(48, 32), (32, 48), (32, 32), (48, 32)], strict=True
    ):
        assert_scores(entry, scores_of(tenths(cv2.resize(image, size))))
    assert results[0] == results[3] != results[2]


def test_the_size_of_the_inference_yml_is_used_where_the_program_has_another(
    tiny_model: Path, tmp_path: Path, engine: str
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    crop = {"CropImage": {"size": 24}}
    classifier = classifier_with(model, NO_CROP, crop, TENTHS, {"ToCHWImage": None}, engine=engine)
    told = classifier.describe()
    assert told["input_shape"] == [None, 3, 24, 24]
    warning = (
        "the model declares images of 32 x 32 pixels; it runs on 24 x 24 pixels, as its inference.yml says"
    )
    assert told["warnings"] == [warning]
    [entry] = classifier.classify_images([png_of(RANDOM)])
    assert_scores(entry, scores_of(tenths(cv2.resize(RANDOM, (48, 32))[4:28, 12:36])))
    with pytest.raises(RequestError, match=r"takes \[N, 3, 24, 24\]: let the server do the preprocessing"):
        classifier.classify(solid_batch(0))
    assert classifier_with(model, NO_CROP, crop, crop_size=32, engine=engine).describe()["warnings"] == [
        "transform_ops has no ToCHWImage: the axes are in the order that the model takes"
    ]


def test_a_model_of_bgr_gets_its_channels_in_that_order_in_every_form(
    tiny_model: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    operations = [{"ResizeImage": {"size": 32}}, TENTHS, {"ToCHWImage": None}]
    classifier = classifier_with(model, {"DecodeImage": {"to_rgb": False}}, *operations)
    resized = cv2.resize(RANDOM, (32, 32))
    [entry] = classifier.classify_images([png_of(RANDOM)])
    assert_scores(entry, scores_of(tenths(resized[..., ::-1])))
    assert classifier.classify(resized[np.newaxis], operations=("normalize", "to_chw")) == [entry]


def test_a_model_of_four_channels_gets_zeros_in_the_last(tmp_path: Path) -> None:
    options = {**TENTHS["NormalizeImage"], "channel_num": 4}
    model = write_onnx_model(tmp_path, image_shape=(4, 32, 32))
    entries = [{"ResizeImage": {"size": 32}}, {"NormalizeImage": options}, {"ToCHWImage": None}]
    classifier = classifier_with(model, *entries)
    assert classifier.describe()["warnings"] == []
    resized = cv2.resize(RANDOM, (32, 32))
    [entry] = classifier.classify_images([png_of(RANDOM)])
    assert_scores(entry, scores_of(tenths(resized)))
    assert classifier.classify(resized[np.newaxis], operations=("normalize", "to_chw")) == [entry]
    three = classifier_with(model, {"ResizeImage": {"size": 32}}, TENTHS).describe()["warnings"]
    assert "images have 3 channels, but the model takes [N, 4, 32, 32]: encoded images will" in three[-1]


def test_labels_given_for_this_start_beat_those_of_the_inference_yml(tmp_path: Path) -> None:
    assert classifier_of(write_config(tmp_path)).classify(solid_batch(1))[0]["label_names"] == []


def test_a_label_file_that_the_inference_yml_names_is_looked_for_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    topk = "PostProcess:\n  Topk: {topk: 1, class_id_map_file: ../elsewhere/names.txt}\n"
    model = write_config(tmp_path / "model", topk)
    settings = load_settings({"inference_model_dir": str(model)})
    with pytest.raises(LabelFileError, match=re.escape(str(model / "names.txt"))):
        Classifier(settings)
    (model / "names.txt").write_text("".join(f"{number} name{number}\n" for number in range(6)))
    assert Classifier(settings).classify(solid_batch(1))[0]["label_names"] == ["name1"]


def test_a_size_that_is_not_square_fits_a_model_that_takes_it(tmp_path: Path) -> None:
    write_model(tmp_path, input_shape=(None, 3, 24, 40))
    settings = {"inference_model_dir": str(tmp_path), "resize_size": [40, 24], "class_id_map_file": ""}
    for backend in ("cv2", "pil"):
        classifier = Classifier(load_settings({**settings, "resize_backend": backend}))
        assert best(classifier.classify_images([image_text(1), image_text(2)])) == [1, 2]


def test_a_resize_size_that_is_not_the_models_is_warned_of(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classifier_of(tiny_model, resize_size=[40, 24])
    assert "resize_size is [40, 24], but the model takes [N, 3, 32, 32]" in caplog.text


@pytest.mark.parametrize("num_outputs", [1, 2])
def test_a_two_class_model_names_one_of_its_two_labels(
    tmp_path: Path, num_outputs: int, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_model(tmp_path, bright_channels(num_outputs))
    labels = {"label_0": "else", "label_1": "blue", "class_id_map_file": "nowhere.txt"}
    with caplog.at_level(logging.INFO):
        classifier = classifier_of(model, main_indicator="ThreshOutput", threshold=0.9, **labels)
    assert classifier.classify(solid_batch(2, 0)) == [
        {"class_ids": [1], "scores": [0.99331], "label_names": ["blue"]},
        {"class_ids": [0], "scores": [0.99331], "label_names": ["else"]},
    ]
    told = classifier.describe()
    assert (told["main_indicator"], told["threshold"], told["classes"]) == ("ThreshOutput", 0.9, 2)
    assert "main_indicator: ThreshOutput, threshold: 0.9" in caplog.text
    assert "but the model has" not in caplog.text


def test_a_multi_label_model_names_all_labels_above_the_threshold(tmp_path: Path) -> None:
    classifier = classifier_of(
        write_model(tmp_path, bright_channels(3)), main_indicator="MultiLabelThreshOutput", threshold=0.9
    )
    batch = np.concatenate([np.maximum(solid_batch(0), solid_batch(2)), solid_batch(1), 0 * solid_batch(0)])
    assert [entry["class_ids"] for entry in classifier.classify(batch)] == [[0, 2], [1], []]
    assert [entry["class_ids"] for entry in classifier.classify(batch, 1)] == [[0], [1], []]


def write_labels(directory: Path, count: int) -> str:
    labels = directory / "labels.txt"
    labels.write_text("".join(f"{number} name{number}\n" for number in range(count)))
    return str(labels)


FORMATS = pytest.mark.parametrize("json", [False, True], ids=["pdmodel", "json"])


@FORMATS
@pytest.mark.parametrize("softmax", ["auto", True, "true"])
def test_logits_of_named_classes_become_probabilities(tmp_path: Path, json: bool, softmax: object) -> None:
    model = write_model(tmp_path, logits(6), json=json)
    classifier = classifier_of(model, class_id_map_file=write_labels(tmp_path, 6), softmax=softmax)
    [entry] = classifier.classify(solid_batch(1) / 4)
    powers = np.exp(np.array([0, 2.5, 0, 0, 0, 0]))  # 10 x the mean of each channel
    assert entry["class_ids"] == [1, 0, 2, 3, 4]
    assert entry["scores"] == pytest.approx((powers / powers.sum())[[1, 0, 2, 3, 4]], abs=1e-5)
    told = classifier.describe()
    assert told["softmax"]
    assert len(told["warnings"]) == (softmax == "auto")


@pytest.mark.parametrize("softmax", ["auto", False])
def test_numbers_that_are_no_probabilities_are_said_to_be_none(
    tmp_path: Path, softmax: object, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = classifier_of(write_model(tmp_path, logits(6)), softmax=softmax)
    assert classifier.classify(solid_batch(1), 2)[0]["scores"] == [10.0, 0.0]
    [warning] = classifier.describe()["warnings"]
    assert warning.startswith("the model's scores at the warm-up are from ")
    assert caplog.text.count(warning) == 1


@FORMATS
def test_the_scores_are_the_output_that_is_named(
    tmp_path: Path, json: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = write_model(tmp_path, features_and_scores, json=json)
    with pytest.raises(ModelLoadError, match="has several outputs that may be the scores: ") as caught:
        classifier_of(model)
    name = re.findall(r"'([^']+)' \[N, 6\] float32 by softmax", str(caught.value))[0]
    with caplog.at_level(logging.INFO, "clas_system"):
        classifier = classifier_of(model, output_name=name)
    assert best(classifier.classify(solid_batch(2, 0))) == [2, 0]
    told = classifier.describe()
    assert told["output_name"] == name
    assert len(told["ignored_outputs"]) == 1
    assert f"output: {name!r}; ignored: {told['ignored_outputs'][0]}" in caplog.text


def test_features_are_not_taken_for_classes_in_silence(tmp_path: Path) -> None:
    classifier = classifier_of(write_model(tmp_path, lambda image: image.flatten(1)[:, :128]))
    assert ["may be the features of an image" in text for text in classifier.describe()["warnings"]] == [True]


@FORMATS
def test_a_model_of_pixels_is_given_pixels(tmp_path: Path, json: bool) -> None:
    model = write_model(tmp_path, lambda image: brightest_channel(6)(image / 255), dtype="uint8", json=json)
    with pytest.raises(
        SettingsError, match=r"the model takes pixels \(uint8\), but the settings normalize them"
    ):
        classifier_of(model)
    classifier = classifier_of(model, mean=[0, 0, 0], std=[1, 1, 1], scale=1)
    [entry] = classifier.classify_images([image_text(2)])
    powers = np.exp(np.array([10, 0, 0, 0, 0, 0]))
    assert entry["class_ids"][0] == 2
    assert entry["scores"][0] == pytest.approx(powers[0] / powers.sum(), abs=1e-5)
    assert classifier.classify((255 * solid_batch(2)).astype(np.uint8)) == [entry]
    with pytest.raises(RequestError, match="aren't whole numbers from 0 to 255; the model takes pixels"):
        classifier.classify(solid_batch(2) / 2)
    assert classifier.describe()["input_dtype"] == "uint8"


@FORMATS
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_a_model_of_other_floats_is_given_them(tmp_path: Path, dtype: str, json: bool) -> None:
    classifier = classifier_of(write_model(tmp_path, dtype=dtype, json=json))
    assert best(classifier.classify(solid_batch(2, 0))) == [2, 0]
    assert best(classifier.classify_images([image_text(1)])) == [1]


@FORMATS
def test_a_model_with_channels_last_is_given_them_last(tmp_path: Path, json: bool) -> None:
    def network(image: Any) -> Any:
        return brightest_channel(6)(image.transpose([0, 3, 1, 2]))

    classifier = classifier_of(write_model(tmp_path, network, input_shape=(None, 32, 32, 3), json=json))
    assert best(classifier.classify_images([image_text(2), image_text(0)])) == [2, 0]
    assert best(classifier.classify(solid_batch(1, 2).transpose(0, 2, 3, 1))) == [1, 2]


def test_a_model_that_changes_while_it_is_loaded_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose_slowly(*args: Any) -> Choice[Any]:
        write_model(tmp_path, num_classes=7)
        return choose(*args)

    monkeypatch.setattr("clas.classifier.choose", choose_slowly)
    with pytest.raises(ModelLoadError, match="the model's files were changed while they were loaded"):
        classifier_of(write_model(tmp_path))


def test_a_model_is_opened_by_its_folder_and_settings(tiny_model: Path) -> None:
    opened = Classifier.open(tiny_model, crop_size=32, resize_short=32, class_id_map_file="", topk=2)
    assert opened.describe()["top_k"] == 2
    with pytest.raises(SettingsError, match="unknown name 'top_k'; did you mean 'topk'"):
        Classifier.open(tiny_model, top_k=2)


def test_files_and_images_in_memory_get_the_same_answers(classifier: Classifier, tmp_path: Path) -> None:
    text = image_text(2)
    content = base64.b64decode(text)
    (tmp_path / "blue.png").write_bytes(content)
    image = DecodeImage()(content)
    [expected] = classifier.classify_images([text])
    given = [tmp_path / "blue.png", content, image, image[..., ::-1]]
    by_file, by_bytes, by_array, by_reversed = classifier.classify_files(given)
    assert by_file == by_bytes == by_array == expected
    assert by_reversed["class_ids"][0] == 0  # red
    assert classifier.classify_files(image[..., ::-1], channels="BGR") == [expected]
    assert len(classifier.classify_files(tmp_path / "blue.png", top_k=1)[0]["class_ids"]) == 1


def test_an_image_that_cannot_be_read_fails_alone(classifier: Classifier, tmp_path: Path) -> None:
    bad, good = classifier.classify_files([tmp_path / "none.png", np.zeros((32, 32), np.uint8)])
    assert bad["error"].startswith("the file can't be read: No such file")
    assert bad["class_ids"] == []
    assert len(good["class_ids"]) == 5
