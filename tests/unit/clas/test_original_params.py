import logging
from typing import Any

import pytest

from clas.errors import SettingsError
from clas.original_params import read_original
from clas.settings import Settings, load_settings

ORIGINAL: dict[str, Any] = {
    "Global": {
        "inference_model_dir": "../inference/",
        "batch_size": 1,
        "use_gpu": False,
        "use_fp16": False,
        "enable_mkldnn": False,
        "cpu_num_threads": 1,
        "enable_benchmark": False,
        "ir_optim": False,
        "use_tensorrt": False,
        "gpu_mem": 8000,
        "enable_profile": False,
    },
    "PostProcess": {
        "main_indicator": "Topk",
        "Topk": {"topk": 5, "class_id_map_file": "./utils/imagenet1k_label_list.txt"},
    },
}


def changed(**values: object) -> dict[str, Any]:
    return {**ORIGINAL, "Global": {**ORIGINAL["Global"], **values}}


def test_a_file_of_the_originals_form_works_unedited(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr("clas.params.PARAMS")
    monkeypatch.setattr("clas.params.get_default_confg", lambda: ORIGINAL, raising=False)
    with caplog.at_level(logging.INFO, "clas_system"):
        settings = load_settings({"topk": 3})
    assert settings == Settings(
        enable_mkldnn=False, cpu_num_threads=1, ir_optim=False, topk=3, overridden=frozenset({"topk"})
    )
    assert "params.py: enable_benchmark, enable_profile have no meaning here, and are passed" in caplog.text


def test_what_the_original_calls_otherwise_has_its_name_here() -> None:
    assert read_original(changed(batch_size=8))["max_batch_size"] == 8
    assert read_original(changed(use_fp16=True, use_gpu=True))["precision"] == "fp16"
    assert "precision" not in read_original(changed(use_fp16=True))


def test_only_the_kind_of_result_that_is_chosen_is_read() -> None:
    outputs = {
        "main_indicator": "ThreshOutput",
        "Topk": {"topk": 2},
        "ThreshOutput": {"threshold": 0.9, "label_0": "nobody", "label_1": "someone"},
    }
    values = read_original({"PostProcess": outputs})
    assert load_settings({}, values) == Settings(
        main_indicator="ThreshOutput", threshold=0.9, label_0="nobody", label_1="someone"
    )


def test_a_label_file_of_the_users_own_is_kept() -> None:
    outputs = {"Topk": {"class_id_map_file": "./mine.txt"}}
    assert read_original({"PostProcess": outputs})["class_id_map_file"] == "./mine.txt"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"Globa": {}}, "params.py has an unknown name 'Globa'; did you mean 'Global'?"),
        ({"Global": 5}, "params.py has Global 5; it takes a dictionary"),
        ({"PostProcess": {"Topk": [5]}}, r"params.py has Topk \[5\]; it takes a dictionary"),
    ],
)
def test_another_form_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("?", r"\?")):
        read_original(params)


def test_an_unknown_key_is_refused_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("clas.params.PARAMS")
    monkeypatch.setattr("clas.params.get_default_confg", lambda: changed(use_gpuu=True), raising=False)
    with pytest.raises(SettingsError, match="unknown name 'use_gpuu'; did you mean 'use_gpu'"):
        load_settings({})
