import dataclasses
import re
import sys
from pathlib import Path

import pytest

from clas.errors import SettingsError
from clas.params import PARAMS
from clas.settings import Settings, load_settings


def test_params_py_and_the_named_defaults_are_the_same() -> None:
    assert load_settings({}) == Settings()


def test_every_setting_has_its_line_in_params_py() -> None:
    leaves = [name for group in PARAMS.values() for name in group]
    assert sorted([*leaves, "overridden", "transform_ops"]) == sorted(
        field.name for field in dataclasses.fields(Settings)
    )


def test_init_args_beat_params_py() -> None:
    settings = load_settings({"topk": 3}, {"PostProcess": {"topk": 7}})
    assert settings.topk == 3
    assert settings.overridden == {"topk"}


def test_a_key_that_params_py_lacks_has_its_default() -> None:
    assert load_settings({}, {"PostProcess": {"Topk": {"topk": 7}}}) == Settings(topk=7)


def test_settings_can_not_be_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_settings({}).topk = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"top_kk": 1}, "init_args has an unknown name 'top_kk'; did you mean 'topk'?"),
        ({"zzz": 1}, "unknown name 'zzz'; valid names: inference_model_dir, model_name, model_key_file"),
        ({"overridden": 1}, "unknown name 'overridden'"),
        ({"use_gpu": 1}, "use_gpu is 1; it takes true or false"),
        ({"use_gpu": "false"}, "use_gpu is 'false'; it takes true or false"),
        ({"topk": True}, "topk is True; it takes a whole number"),
        ({"topk": 5.0}, "topk is 5.0; it takes a whole number"),
        ({"topk": 0}, "topk is 0; it takes a number from 1 to 2147483647"),
        ({"cpu_num_threads": -1}, "cpu_num_threads is -1; it takes a number from 0 to 1024"),
        ({"cpu_num_threads": 100_000}, "cpu_num_threads is 100000; it takes a number from 0 to 1024"),
        ({"resize_short": 10**30}, "it takes a number from 1 to 8192"),
        ({"inference_model_dir": None}, "inference_model_dir is None; it takes a string"),
        ({"inference_model_dir": ""}, "inference_model_dir is empty"),
        ({"model_name": "a\x1b[2J"}, r"model_name is 'a\x1b[2J'; it takes printable characters"),
        ({"class_id_map_file": 5}, "class_id_map_file is 5; it takes a string"),
        ({"resize_short": 100}, "resize_short is 100 and crop_size 224"),
        ({"mean": 0.5}, "mean is 0.5; it takes a list of 3 numbers from -1000000 to 1000000"),
        ({"mean": [0, 0]}, "mean is [0, 0]; it takes a list of 3 numbers"),
        ({"mean": [0, True, 0]}, "mean is [0, True, 0]; it takes a list of 3 numbers"),
        ({"std": [1, 1, 0]}, "std is [1, 1, 0]; it takes a list of 3 numbers from 1e-09 to 1000000"),
        ({"scale": 0}, "scale is 0; it takes a number from 1e-09"),
        (
            {"resize_size": [224]},
            "resize_size is [224]; it takes a list of 2 whole numbers from 1 to 8192, or",
        ),
        ({"resize_size": [224.0, 2]}, "resize_size is [224.0, 2]; it takes a list of 2 whole numbers"),
        ({"interpolation": "cubic"}, "interpolation is 'cubic'; it takes bilinear or nearest or"),
        ({"interpolation": "box"}, "interpolation is box, which resize_backend cv2 doesn't have"),
    ],
)
def test_invalid_settings_are_refused_by_name(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        load_settings(overrides)


def test_an_unknown_name_in_params_py_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"params\.py has an unknown name 'tokp'; did you mean 'topk'"):
        load_settings({}, {"PostProcess": {"tokp": 5}})


def test_a_name_that_stands_twice_in_params_py_is_refused() -> None:
    with pytest.raises(SettingsError, match="names 'topk' twice"):
        load_settings({}, {"PostProcess": {"topk": 5}, "Global": {"topk": 4}})


def test_a_params_py_without_params_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("clas.params.PARAMS")
    with pytest.raises(SettingsError, match=r"params\.py can't be read: AttributeError: .*PARAMS"):
        load_settings({})


def test_a_slip_in_params_py_is_reported_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "edited_package"
    package.mkdir()
    (package / "__init__.py").touch()
    source = Path(sys.modules["clas.settings"].__file__ or "")
    for name in ("settings.py", "result_settings.py", "result_values.py", "fields.py", "errors.py"):
        (package / name).write_text((source.parent / name).read_text())
    (package / "params.py").write_text('PARAMS = {"Global": {"topk": 5}\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    from edited_package import settings  # type: ignore[import-not-found]  # noqa: PLC0415

    with pytest.raises(Exception, match=r"params\.py can't be read: SyntaxError: .*\(params\.py, line 1\)"):
        settings.load_settings({})


def test_bf16_is_for_the_cpu() -> None:
    assert load_settings({"precision": "bf16"}).precision == "bf16"
    with pytest.raises(SettingsError, match="precision is bf16, which is for the CPU: set use_gpu to false"):
        load_settings({"precision": "bf16", "use_gpu": True})
    with pytest.raises(SettingsError, match="precision is 'half'; it takes fp32 or bf16 or fp16"):
        load_settings({"precision": "half"})


@pytest.mark.parametrize(
    ("setting", "named"),
    [({"precision": "fp16"}, "precision is fp16"), ({"use_tensorrt": True}, "use_tensorrt is")],
)
def test_half_precision_and_tensorrt_are_for_a_gpu(setting: dict[str, object], named: str) -> None:
    load_settings({**setting, "use_gpu": True})
    with pytest.raises(SettingsError, match=f"{named}.*, which is for a GPU: set use_gpu to true as well"):
        load_settings(setting)


@pytest.mark.parametrize(
    ("value", "word"), [(True, "true"), (False, "false"), ("auto", "auto"), ("true", "true")]
)
def test_softmax_is_a_boolean_or_auto(value: object, word: str) -> None:
    assert load_settings({"softmax": value}).softmax == word
    assert load_settings({}, {"PostProcess": {"softmax": value}}).softmax == word


def test_softmax_does_not_go_with_several_labels() -> None:
    with pytest.raises(
        SettingsError, match="softmax is true, which makes classes exclude each other; main_ind"
    ):
        load_settings({"softmax": True, "main_indicator": "MultiLabelThreshOutput"})
