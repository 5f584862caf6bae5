"""Installing, starting by configuration file, and everything that ends a start."""

import base64
import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import requests

from clas import errors
from clas.engine.devices import WITHOUT_GPU
from faces import USES_HUB
from hub_server import hub_serving, run_hub
from known_answers import PHOTOGRAPHS, assert_right
from server_process import free_port, is_listening
from serving_process import eventually

pytestmark = USES_HUB


def write_config(
    file: Path, port: int, *, predict_args: Mapping[str, object] | None = None, **init_args: object
) -> Path:
    """A configuration of our own: what the repository's says, on the CPU and on another port."""
    module = {"init_args": {"version": "1.0.0", **init_args}, "predict_args": predict_args or {}}
    config = {"modules_info": {"clas_system": module}, "port": port, "use_multiprocess": False, "workers": 2}
    file.write_text(json.dumps(config))
    return file


@pytest.fixture
def failed_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger_as_it_was: None
) -> Callable[..., str]:
    """Open the module as `hub serving start` does, with init_args that can't work; gives the error's text.

    In this process, since PaddleHub takes seconds to import.
    """
    assert logger_as_it_was is None
    module = importlib.import_module("clas.module")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def start(error: type[errors.StartupError], **init_args: object) -> str:
        with pytest.raises(error) as raised:
            module.ClasSystem(**init_args)
        return str(raised.value)

    return start


def test_show_list_and_uninstall_work(installed: dict[str, str], tmp_path: Path) -> None:
    home = shutil.copytree(installed["HUB_HOME"], tmp_path / "hub_home")
    env = {**installed, "HUB_HOME": str(home)}
    listed = run_hub(["list"], env)
    assert re.search(r"\|\s*clas_system\s*\|", listed.stdout), listed.stdout
    shown = run_hub(["show", "clas_system"], env)
    assert re.search(r"clas_system .*\|\n.*\n.*1\.0\.0 ", shown.stdout), shown.stdout
    removed = run_hub(["uninstall", "clas_system"], env)
    assert "Successfully uninstalled clas_system" in removed.stdout
    assert not (home / "modules" / "clas_system").exists()


def test_the_shipped_configuration_wants_a_gpu_and_says_how_to_name_it(
    installed: dict[str, str], repository: Path, tmp_path: Path
) -> None:
    """By the command itself: no server is left, and the error is the last line on the screen."""
    config = {**json.loads((repository / "config.json").read_text()), "port": free_port()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = run_hub(["serving", "start", "-c", "config.json"], installed, tmp_path)
    assert done.returncode != 0
    assert not is_listening(config["port"])
    last_line = done.stdout.splitlines()[-1]
    assert "DeviceError: use_gpu needs CUDA_VISIBLE_DEVICES (export CUDA_VISIBLE_DEVICES=0) and" in last_line
    assert last_line.endswith(f"; {WITHOUT_GPU}")
    assert "deploy/cpu.json" in WITHOUT_GPU


def test_a_paddle_without_cuda_ends_the_start(
    failed_start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    text = failed_start(errors.DeviceError, use_gpu=True)
    assert text.startswith("use_gpu needs a Paddle with CUDA: install paddlepaddle-gpu")


def test_a_missing_model_ends_the_start(failed_start: Callable[..., str], tmp_path: Path) -> None:
    text = failed_start(errors.ModelNotFoundError, inference_model_dir="nowhere")
    assert text.startswith("there is no model: inference_model_dir is 'nowhere', tried")
    assert str(tmp_path / "nowhere") in text


def test_a_damaged_model_ends_the_start(
    failed_start: Callable[..., str], default_model_dir: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(default_model_dir / "inference.pdmodel", model)
    (model / "inference.pdiparams").write_bytes(
        (default_model_dir / "inference.pdiparams").read_bytes()[:1_000_000]
    )
    text = failed_start(errors.ModelLoadError, inference_model_dir="model")
    assert text.startswith(f"{model}/inference.pdiparams is cut off")


def test_a_malformed_label_file_ends_the_start(failed_start: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("goldfish\n")
    text = failed_start(errors.LabelFileError, class_id_map_file="labels.txt")
    assert text.startswith("the label file")
    assert "malformed in line 1: 'goldfish'" in text


def test_labels_of_another_model_end_the_start(failed_start: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("0 goldfish\n1 shark\n")
    text = failed_start(errors.LabelFileError, class_id_map_file="labels.txt")
    assert "2 labels with ids 0 to 1, but the model has 1000 classes, 0 to 999: set class_id_map_file" in text


def test_an_unknown_init_arg_ends_the_start(failed_start: Callable[..., str]) -> None:
    text = failed_start(errors.SettingsError, enable_mkldn=True)
    assert text == "init_args has an unknown name 'enable_mkldn'; did you mean 'enable_mkldnn'?"


def test_the_repository_works_as_deploy_hubserving_of_paddleclas(
    hub_env: dict[str, str], repository: Path, default_model_dir: Path, photographs: Path, tmp_path: Path
) -> None:
    """With the commands started in PaddleClas/deploy, and the model in PaddleClas/inference.

    From `hub install` to `hub serving stop`.
    """
    deploy = tmp_path / "PaddleClas" / "deploy"
    placed = deploy / "hubserving"
    without_model = shutil.ignore_patterns("inference", "__pycache__")
    for directory in ("clas", "clas_client"):
        shutil.copytree(repository / directory, placed / directory, ignore=without_model)
    shutil.copy(repository / "test_hubserving.py", placed)
    shutil.copytree(default_model_dir, tmp_path / "PaddleClas" / "inference")
    env = {**hub_env, "HUB_HOME": str(tmp_path / "hub_home")}
    assert run_hub(["install", "hubserving/clas/"], env, deploy).returncode == 0
    port = free_port()
    config = deploy / "hubserving" / "clas" / "config.json"
    write_config(config, port, predict_args={"top_k": 3}, use_gpu=False, enable_mkldnn=False)
    url = f"http://127.0.0.1:{port}/predict/clas_system"
    log = tmp_path / "log"
    with hub_serving(["-c", "hubserving/clas/config.json"], port, log, env, deploy) as server:
        client = subprocess.run(
            [
                *(sys.executable, "hubserving/test_hubserving.py", "--server_url", url),
                *("--image_file", str(photographs / "coffee.png")),
            ],
            cwd=deploy,
            capture_output=True,
            text=True,
            check=False,
        )
        of_predict_args = classify_coffee(url, photographs)
        of_the_request = classify_coffee(url, photographs, top_k=1)
        run_hub(["serving", "stop", "-p", str(port)], env)  # exits with 1 even when it worked
        server.wait(30)
        assert not is_listening(port)
    assert client.returncode == 0, client.stderr
    assert "class_ids: [967, 968, 925], label_names: ['espresso', 'cup', 'consomme']" in client.stdout
    assert of_predict_args == [967, 968, 925]
    assert of_the_request == [967]
    assert f"model: {tmp_path / 'PaddleClas' / 'inference'}, format: pdmodel" in log.read_text()
    assert "device: CPU, MKL-DNN: off" in log.read_text()


def classify_coffee(url: str, photographs: Path, **fields: object) -> list[int]:
    """Send coffee.png as a whole file; gives the class ids."""
    image = base64.b64encode((photographs / "coffee.png").read_bytes()).decode()
    answer = requests.post(url, json={"images": [image], **fields}, timeout=60).json()
    class_ids: list[int] = answer["results"]["prediction"][0]["class_ids"]
    return class_ids


def test_paddlehubs_own_gpu_mode_is_refused_and_the_client_reads_it(
    installed: dict[str, str], repository: Path, photographs: Path, tmp_path: Path
) -> None:
    port = free_port()
    config = write_config(tmp_path / "config.json", port)
    config.write_text(json.dumps({**json.loads(config.read_text()), "use_gpu": True, "gpu": "0"}))
    log = tmp_path / "log"
    with hub_serving(["-c", str(config)], port, log, installed, tmp_path):
        # PaddleHub answers before the model is there, but with 500 if that takes longer than gunicorn's 30 s.
        eventually(lambda: "clas_system: top_k" in log.read_text(encoding="utf-8"), 120)
        client = subprocess.run(
            [
                *(sys.executable, "test_hubserving.py", "--image_file", str(photographs / "coffee.png")),
                *("--server_url", f"http://127.0.0.1:{port}/predict/clas_system", "--timeout", "120"),
            ],
            cwd=repository,
            capture_output=True,
            text=True,
            check=False,
        )
    assert client.returncode == 1
    assert "the server refused (status 101): use_gpu came with the request" in client.stderr
    assert "set use_gpu in init_args instead" in client.stderr


def test_the_module_can_be_tried_before_any_installation(
    repository: Path, default_model_dir: Path, photographs: Path, hub_env: dict[str, str], tmp_path: Path
) -> None:
    assert default_model_dir.is_dir()
    done = subprocess.run(
        [sys.executable, repository / "clas" / "module.py", *(photographs / name for name in PHOTOGRAPHS)],
        cwd=tmp_path,
        env={**hub_env, "HUB_HOME": str(tmp_path / "hub_home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [re.fullmatch(r"  (0\.\d{5})  +(\d+)  (.+)", line) for line in done.stdout.splitlines()]
    found = [row for row in rows if row is not None]
    entries = [
        {
            "class_ids": [int(row[2]) for row in found[start : start + 5]],
            "scores": [float(row[1]) for row in found[start : start + 5]],
        }
        for start in (0, 5, 10)
    ]
    assert_right(entries, PHOTOGRAPHS)
