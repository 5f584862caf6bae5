import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from clas.errors import ModelConfigError
from clas.model.inference_yml import read_inference_yml
from clas.settings import Settings, TransformOp, load_settings

RESIZE = {"ResizeImage": {"resize_short": 48}}
CROP = {"CropImage": {"size": 32}}
TO_CHW = {"ToCHWImage": None}
EXPORTED = """\
Global:
  model_name: PP-LCNet_x1_0
Hpi:
  backend_configs: {}
PreProcess:
  transform_ops:
  - ResizeImage:
      resize_short: 48
  - CropImage:
      size: 32
  - NormalizeImage:
      channel_num: 3
      mean: [0.5, 0.5, 0.5]
      order: ''
      scale: 0.00392156862745098
      std: [0.25, 0.25, 0.25]
  - ToCHWImage: null
PostProcess:
  Topk:
    topk: 2
    label_list:
    - 公鸡
    - 7
"""


def write(directory: Path, content: object) -> Path:
    text = content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True)
    (directory / "inference.yml").write_text(text, encoding="utf-8")
    return directory


def operations(*entries: object) -> dict[str, Any]:
    return {"PreProcess": {"transform_ops": list(entries)}}


def applied(directory: Path, content: object, **overrides: object) -> Settings:
    config = read_inference_yml(write(directory, content))
    assert config
    return config.apply(load_settings(overrides))[0]


def test_a_model_without_the_file_has_none(tmp_path: Path) -> None:
    assert read_inference_yml(tmp_path) is None


def test_an_exported_file_says_what_is_done_to_images_and_scores(tmp_path: Path) -> None:
    config = read_inference_yml(write(tmp_path, EXPORTED))
    assert config
    assert config.labels == {0: "公鸡", 1: "7"}
    settings, kept = config.apply(load_settings({}))
    assert settings == Settings(
        model_name="PP-LCNet_x1_0",
        resize_short=48,
        crop_size=32,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        topk=2,
    )
    assert kept == ()


def test_what_is_given_for_this_start_beats_the_file_which_beats_params_py(tmp_path: Path) -> None:
    config = read_inference_yml(write(tmp_path, EXPORTED))
    assert config
    settings, kept = config.apply(load_settings({"topk": 4, "mean": [0, 0, 0]}))
    assert (settings.topk, settings.mean, settings.std) == (4, (0, 0, 0), (0.25, 0.25, 0.25))
    assert kept == ("mean", "topk")


def test_all_that_paddleclas_writes_is_taken(tmp_path: Path) -> None:
    settings = applied(
        tmp_path,
        operations(
            {"DecodeImage": {"to_rgb": True, "channel_first": False}},
            {"ResizeImage": {"size": [40, 24], "interpolation": "bicubic", "backend": "pil"}},
            {"NormalizeImage": {"scale": "1.0/255.0", "mean": [0, 0, 0], "std": [1, 1, 1], "order": "hwc"}},
            "ToCHWImage",
            {"KeepKeys": {"keep_keys": ["image"]}},
        ),
    )
    assert settings.resize_size == (40, 24)
    assert (settings.interpolation, settings.resize_backend) == ("bicubic", "pil")
    assert (settings.scale, settings.mean, settings.std) == (1 / 255, (0, 0, 0), (1, 1, 1))


def test_without_normalization_the_pixels_stay_as_they_are(tmp_path: Path) -> None:
    settings = applied(tmp_path, operations(RESIZE, CROP, TO_CHW))
    assert (settings.mean, settings.std, settings.scale) == ((0, 0, 0), (1, 1, 1), 1)


def test_a_normalization_without_options_is_imagenets_and_may_come_last(tmp_path: Path) -> None:
    settings = applied(tmp_path, operations(RESIZE, CROP, TO_CHW, {"NormalizeImage": {"order": "chw"}}))
    assert (settings.mean, settings.std, settings.scale) == (Settings.mean, Settings.std, 1 / 255)


def test_a_size_given_for_this_start_takes_the_place_of_the_files_way_of_resizing(tmp_path: Path) -> None:
    content = operations({"ResizeImage": {"size": 40}}, {"CropImage": {"size": 40}}, TO_CHW)
    assert applied(tmp_path, content).resize_size == (40, 40)
    given = applied(tmp_path, content, crop_size=32, resize_short=48)
    assert (given.resize_size, given.crop_size, given.resize_short) == ((), 32, 48)


def test_what_settings_can_not_say_is_a_list_of_operations(tmp_path: Path) -> None:
    content = operations(RESIZE, {"CropImage": {"size": [40, 32]}}, TO_CHW)
    assert applied(tmp_path, content).transform_ops == (
        TransformOp("ResizeImage", (("resize_short", 48), ("interpolation", "bilinear"), ("backend", "cv2"))),
        TransformOp("CropImage", (("size", (40, 32)),)),
    )


def test_a_setting_of_this_start_beats_an_option_of_the_list(tmp_path: Path) -> None:
    content = operations(RESIZE, {"CropImage": {"size": [40, 32]}}, {"NormalizeImage": {"mean": 0.5}}, TO_CHW)
    config = read_inference_yml(write(tmp_path, content))
    assert config
    settings, kept = config.apply(load_settings({"resize_short": 300, "mean": [0, 0, 1]}))
    options = {op.name: dict(op.options) for op in settings.transform_ops}
    assert options["ResizeImage"]["resize_short"] == 300
    assert options["CropImage"]["size"] == (40, 32)
    assert options["NormalizeImage"]["mean"] == (0, 0, 1)
    assert kept == ("mean", "resize_short")
    with pytest.raises(ModelConfigError, match=r"resize_short is 30 and CropImage\.size \[40, 32\]"):
        config.apply(load_settings({"resize_short": 30}, {"PreProcess": {"crop_size": 20}}))


def test_an_empty_list_leaves_images_as_they_are(tmp_path: Path) -> None:
    [op] = applied(tmp_path, operations()).transform_ops
    assert (op.name, dict(op.options)["scale"]) == ("NormalizeImage", 1)


def test_axes_that_the_file_does_not_mention_are_noted(tmp_path: Path) -> None:
    config = read_inference_yml(write(tmp_path, operations(RESIZE, CROP)))
    assert config
    assert config.notes == (
        "transform_ops has no ToCHWImage: the axes are in the order that the model takes",
    )
    assert config.apply(load_settings({}))[0].crop_size == 32
    with_axes = read_inference_yml(write(tmp_path, operations(RESIZE, CROP, TO_CHW)))
    assert with_axes
    assert with_axes.notes == ()


def test_a_deployment_configuration_says_neither_device_nor_batch_size_1(tmp_path: Path) -> None:
    section = {"use_gpu": True, "enable_mkldnn": False, "batch_size": 1, "inference_model_dir": "./models"}
    config = read_inference_yml(write(tmp_path, {"Global": section, **operations(RESIZE, CROP, TO_CHW)}))
    assert config
    assert config.passed_over == ("use_gpu", "enable_mkldnn")
    settings = config.apply(load_settings({}))[0]
    assert (settings.use_gpu, settings.enable_mkldnn, settings.max_batch_size) == (False, True, 0)
    assert applied(tmp_path, {"Global": {**section, "batch_size": 8}}).max_batch_size == 8


def test_a_file_without_both_parts_changes_nothing(tmp_path: Path) -> None:
    assert applied(tmp_path, {"Global": {"algorithm": "mine"}, "PreProcess": None}) == Settings()


@pytest.mark.parametrize(
    ("name", "read"), [("PP-LCNet_x1_0", "PP-LCNet_x1_0"), (50, "50"), (None, ""), ([1], "")]
)
def test_the_name_of_the_model_is_taken(tmp_path: Path, name: object, read: str) -> None:
    assert applied(tmp_path, {"Global": {"model_name": name}}) == Settings(model_name=read)


def test_a_name_that_is_given_for_this_start_beats_the_files(tmp_path: Path) -> None:
    assert applied(tmp_path, EXPORTED, model_name="mine").model_name == "mine"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            operations(RESIZE, {"RandFlipImage": {"flip_code": 1}}),
            "an operation 'RandFlipImage', which is not supported",
        ),
        (operations({"ResizeImage": {"size": 32, "keep": 1}}, TO_CHW), "ResizeImage has an option 'keep'"),
        (operations({"ResizeImage": {}}, TO_CHW), "ResizeImage takes either resize_short or size"),
        (operations({"ResizeImage": 5}, TO_CHW), "ResizeImage is 5; it takes an object"),
        (operations(5), "transform_ops holds 5; it takes one operation per entry"),
        (operations(RESIZE, {"CropImage": {}}, TO_CHW), "CropImage.size is missing"),
        (
            operations(RESIZE, {"CropImage": {"size": []}}),
            "CropImage.size is []; it takes a number, or",
        ),
        (operations({"ResizeImage": {"size": []}}, TO_CHW), "ResizeImage.size is []; it takes a number, or"),
        (
            operations({"ResizeImage": {"resize_short": 24}}, CROP, TO_CHW),
            "resize_short is 24 and CropImage.size [32, 32]: no image",
        ),
        (
            operations(RESIZE, CROP, {"NormalizeImage": {"std": [0, 1, 1]}}, TO_CHW),
            "std is [0, 1, 1]; it takes",
        ),
        ({"PostProcess": {"main_indicator": ["Topk"]}}, "PostProcess has ['Topk'], which is not supported"),
        ({"PostProcess": {1: None, 2: None}}, "PostProcess has 1, 2; main_indicator must name one of them"),
        ({"PreProcess": 5}, "PreProcess is 5; it takes an object"),
        ({"PreProcess": {"transform_ops": {}}}, "transform_ops is {}; it takes a list of operations"),
        ({"PostProcess": {"Topk": [5]}}, "Topk is [5]; it takes an object"),
        ({"PostProcess": {"Topk": {"topk": 0}}}, "topk is 0; it takes a number from 1"),
        ({"PostProcess": {"Topk": {"label_list": "cat"}}}, "label_list takes a list of names"),
        (
            {"PostProcess": {"Topk": {"label_list": ["yes", True]}}},
            "label_list has True, which is not a string: put",
        ),
        ({"PostProcess": {"Topk": {"k": 5}}}, "Topk has an option 'k', which is not supported"),
        ({"PostProcess": {"Rotate": None}}, "PostProcess has 'Rotate', which is not supported"),
        (
            {"PostProcess": {"main_indicator": "Rotate", "Topk": None}},
            "PostProcess has 'Rotate', which is not supported",
        ),
        (
            {"PostProcess": {"Topk": None, "ThreshOutput": {}}},
            "PostProcess has ThreshOutput, Topk; main_indicator must name one of them",
        ),
        (
            {"PostProcess": {"ThreshOutput": {"threshold": 2}}},
            "threshold is 2; it takes a number from 0 to 1",
        ),
        (
            {"PostProcess": {"ThreshOutput": {"topk": 2}}},
            "ThreshOutput has an option 'topk', which is not supported",
        ),
        (
            {"PostProcess": {"MultiLabelThreshOutput": {"delimiter": ","}}},
            "delimiter is ','; only None is supported",
        ),
        ([1], "is not an object; it takes PreProcess"),
        ("a: [", "is not valid YAML: while parsing"),
        ("a: !!python/object:os.system {}", "is not valid YAML: could not determine a constructor"),
    ],
)
def test_an_invalid_or_unsupported_entry_is_refused_with_file_and_name(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(ModelConfigError, match=re.escape(message)) as caught:
        applied(tmp_path, content)
    assert str(tmp_path / "inference.yml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inference.yml").write_bytes("a: 公鸡".encode("gbk"))
    with pytest.raises(ModelConfigError, match="is not valid YAML: 'utf-8' codec can't decode"):
        read_inference_yml(tmp_path)


def test_the_main_indicator_says_what_is_made_of_the_scores(tmp_path: Path) -> None:
    outputs = {
        "Topk": {"topk": 3},
        "SavePreLabel": {"save_dir": "./pre_label/"},
        "ThreshOutput": {"threshold": 0.9, "label_0": "nobody", "label_1": 1},
        "MultiLabelThreshOutput": {"threshold": 0.4, "class_id_map_file": "names.txt", "delimiter": " "},
    }
    content = {"PostProcess": {"main_indicator": "ThreshOutput", **outputs}}
    assert applied(tmp_path, content) == Settings(
        main_indicator="ThreshOutput", threshold=0.9, label_0="nobody", label_1="1"
    )
    content = {"PostProcess": {"main_indicator": "MultiLabelThreshOutput", **outputs}}
    assert applied(tmp_path, content) == Settings(
        main_indicator="MultiLabelThreshOutput", threshold=0.4, class_id_map_file="names.txt"
    )
    alone = {"PostProcess": {"MultiLabelThreshOutput": {"threshold": 0.4, "label_list": ["hat", "bag"]}}}
    config = read_inference_yml(write(tmp_path, alone))
    assert config
    assert config.values == {"main_indicator": "MultiLabelThreshOutput", "threshold": 0.4}
    assert config.labels == {0: "hat", 1: "bag"}


@pytest.mark.parametrize("softmax", [True, "true"])
def test_postprocess_may_say_what_the_scores_are(tmp_path: Path, softmax: object) -> None:
    own = {"softmax": softmax, "output_name": "scores", "allow_label_mismatch": True}
    wanted = Settings(softmax="true", output_name="scores", allow_label_mismatch=True)
    assert applied(tmp_path, {"PostProcess": own}) == wanted
    assert applied(tmp_path, {"PostProcess": {**own, "Topk": {"topk": 5}}}) == wanted
    with pytest.raises(ModelConfigError, match="softmax is 'maybe'; it takes auto or true or false"):
        applied(tmp_path, {"PostProcess": {"softmax": "maybe"}})
    with pytest.raises(ModelConfigError, match="softmax is true, which makes classes exclude each other"):
        applied(tmp_path, {"PostProcess": {"softmax": True, "MultiLabelThreshOutput": {"threshold": 0.4}}})
