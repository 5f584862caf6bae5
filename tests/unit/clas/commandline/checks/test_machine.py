import importlib.metadata
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from clas.commandline.checks import machine
from clas.commandline.checks.machine import check_devices, check_engines
from clas.settings import load_settings

CPU = load_settings({"use_gpu": False})
GPU = load_settings({"use_gpu": True})


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """One, by what its driver says."""

    def run(command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, "NVIDIA H100, 81559 MiB, 550.1\n", "")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", run)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)


@pytest.mark.usefixtures("no_gpu")
def test_cores_and_memory_are_named() -> None:
    first, gpu = check_devices(CPU)
    assert first.state == "ok"
    assert first.text.startswith("cores: ")
    assert gpu == ("ok", "GPU", "not used")


@pytest.mark.usefixtures("gpus")
def test_a_gpu_that_is_not_used_is_named() -> None:
    assert list(check_devices(CPU))[1] == ("ok", "GPU", "not used; there is: NVIDIA H100 81559 MiB 550.1")


@pytest.mark.usefixtures("gpus")
def test_the_gpu_that_is_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert list(check_devices(GPU))[1] == (
        "ok",
        "GPU",
        "CUDA_VISIBLE_DEVICES: 0; NVIDIA H100 81559 MiB 550.1",
    )


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_without_a_device_number_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    item = list(check_devices(GPU))[1]
    assert item.state == "FAILED"
    assert item.text.startswith("use_gpu needs CUDA_VISIBLE_DEVICES (")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert list(check_devices(GPU))[1] == (
        "warning",
        "GPU",
        "CUDA_VISIBLE_DEVICES: 0; nvidia-smi lists none",
    )


def test_a_driver_that_does_not_answer_lists_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/nowhere/nvidia-smi")
    assert list(check_devices(CPU))[1].text == "not used"


def installed(monkeypatch: pytest.MonkeyPatch, versions: Mapping[str, str], engines: Sequence[str]) -> None:
    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(machine, "is_installed", lambda name: name in engines)


def test_engines_are_named_with_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"onnxruntime-gpu": "1.2", "openvino": "2026.4"}, ["onnxruntime", "openvino"])
    assert list(check_engines()) == [
        ("ok", "engines", "openvino (openvino 2026.4), onnxruntime (onnxruntime-gpu 1.2)")
    ]


def test_two_builds_of_one_engine_get_in_each_others_way(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"onnxruntime-gpu": "1.2", "onnxruntime": "1.3"}, ["onnxruntime"])
    _, item = check_engines()
    assert item.state == "warning"
    assert item.text.startswith("onnxruntime 1.3 and onnxruntime-gpu 1.2 share a folder: ")


def test_a_library_from_elsewhere_has_no_known_version(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {}, ["paddle"])
    assert list(check_engines()) == [("ok", "engines", "paddle (of an unknown version)")]


def test_without_any_engine_the_commands_that_bring_one_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {}, [])
    [item] = check_engines()
    assert item.state == "FAILED"
    assert "pip install openvino" in item.text
