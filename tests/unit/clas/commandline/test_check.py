import json
from pathlib import Path

import pytest

from clas.commandline.cli import main
from onnx_models import write_onnx_model
from served import image_file

pytestmark = pytest.mark.usefixtures("logger_as_it_was", "own_state")

SIZES = ["--crop_size", "32", "--resize_short", "32", "--class_id_map_file", "", "--seconds", "0.05"]


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(repository))


def test_a_service_that_works_has_a_line_for_each_item(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, image, broken = write_onnx_model(tmp_path / "model"), tmp_path / "0.png", tmp_path / "1.png"
    image.write_bytes(image_file(0))
    broken.write_text("no image")
    assert main(["check", str(image), str(broken), "--inference_model_dir", str(model), *SIZES]) == 0
    out = capsys.readouterr().out
    lines = [line.split(maxsplit=2) for line in out.splitlines()]
    names = [name for state, name, _ in lines if state == "ok"]
    for name in (
        "machine",
        "engines",
        "server",
        "engine",
        "precision",
        "images",
        "reference",
        "speed",
        "stop",
    ):
        assert name in names, out
    assert ["ok", "model", f"{model} (onnx)"] in lines
    for form in ("float32", "uint8", "encoded"):
        assert ["ok", form, "same best class for 1 of 1 images, largest difference 0"] in lines
    assert any(state == "warning" and text.startswith(str(broken)) for state, _, text in lines)


def test_the_status_is_1_if_an_item_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_onnx_model(tmp_path)
    (model / "inference.onnx").write_bytes(b"damaged")
    assert main(["check", "--inference_model_dir", str(model), "--format", "json", *SIZES]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False
    last = found["items"][-1]
    assert (last["state"], last["name"]) == ("FAILED", "server")
    assert last["text"].startswith("StartupError: the server doesn't start: ModelLoadError: ")


@pytest.mark.parametrize(
    ("flags", "stage", "text"),
    [
        (
            ["--use_gpu", "--precision", "bf16"],
            "settings",
            "SettingsError: precision is bf16, which is for the CPU",
        ),
        (["--inference_model_dir", "/nowhere"], "model", "ModelNotFoundError: there is no model"),
    ],
)
def test_what_follows_a_failure_is_left_out(
    capsys: pytest.CaptureFixture[str], flags: list[str], stage: str, text: str
) -> None:
    assert main(["check", *flags]) == 1
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith(f"FAILED   {stage:15} {text}")
