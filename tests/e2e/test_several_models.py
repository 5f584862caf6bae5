"""Several models in one standalone server, and how they are changed while it answers."""

import itertools
import json
import shutil
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import tritonclient.http
from tritonclient.utils import InferenceServerException

from serving_process import Running, clas_serving, eventually, run
from tiny_models import solid_batch, write_model
from wire import encode

ADMIN = {"Authorization": f"Bearer {'admin' * 8}"}
OTHER = {"Authorization": f"Bearer {'other' * 8}"}
CLIENTS = 16
RELOADS = 20


def settings_of(model: Path, **more: Any) -> dict[str, Any]:
    """Without Paddle, which would be imported for each model that OpenVINO can't load."""
    sizes = {"crop_size": 32, "resize_short": 32, "class_id_map_file": "", "cpu_num_threads": 1}
    init_args = {"inference_model_dir": str(model), "engine": "openvino", **sizes, **more}
    return {"init_args": init_args, "predict_args": {"top_k": 1}}


def config_of(directory: Path, models: dict[str, Path], **top_level: Any) -> dict[str, Any]:
    """A configuration with these models, and a file of tokens for those who change them."""
    tokens = directory / "admin"
    tokens.write_text(f"{'admin' * 8}\n")
    control = {"model_control": True, "admin_token_file": str(tokens)}
    modules = {name: settings_of(model) for name, model in models.items()}
    return {"modules_info": modules, **control, **top_level}


def ask(running: Running, name: str, channel: int = 0) -> requests.Response:
    return requests.post(f"{running.base}/predict/{name}", json=encode(solid_batch(channel)), timeout=60)


def change(running: Running, name: str, how: str, **arguments: Any) -> requests.Response:
    """Load or unload a model; with the right token by default."""
    url = f"{running.base}/v2/repository/models/{name}/{how}"
    return requests.post(url, timeout=120, **{"headers": ADMIN, **arguments})


def described(running: Running) -> dict[str, Any]:
    return {model["name"]: model for model in requests.get(running.base, timeout=30).json()["models"]}


WORKERS = pytest.mark.parametrize(
    "workers", [{}, {"use_multiprocess": True, "workers": 2}], ids=["single", "workers"]
)


@WORKERS
def test_each_model_has_its_own_address_settings_and_state(tmp_path: Path, workers: dict[str, Any]) -> None:
    models = {"six": write_model(tmp_path / "6"), "nine.v2": write_model(tmp_path / "9", num_classes=9)}
    config = config_of(tmp_path, {**models, "gone": tmp_path / "secret" / "folder"}, **workers)
    config["modules_info"]["nine.v2"]["predict_args"] = {"top_k": 4}
    with clas_serving(tmp_path, config=config) as running:
        [six], [nine] = (ask(running, name, 2).json()["results"]["prediction"] for name in models)
        assert six["class_ids"] == [2]
        assert (nine["class_ids"][0], len(nine["class_ids"])) == (2, 4)
        refused = ask(running, "gone")
        assert refused.status_code == 503
        assert "the model gone is unavailable: " in refused.json()["msg"]
        assert str(tmp_path) not in refused.text
        assert ask(running, "none").status_code == 404
        found = described(running)
        assert [(name, model["state"]) for name, model in found.items()] == [
            *(("six", "ready"), ("nine.v2", "ready"), ("gone", "unavailable"))
        ]
        assert (found["six"]["model"]["classes"], found["nine.v2"]["model"]["classes"]) == (6, 9)
        assert found["six"]["version"] != found["nine.v2"]["version"]
        assert running.metric("clas_images_total", model="six") == 1
        assert running.metric("clas_model_ready") == 2
        text = json.dumps(requests.get(running.base, timeout=30).json()["models"][2])
        assert str(tmp_path) not in text
        metadata = requests.get(f"{running.base}/v2/models/nine.v2", timeout=30).json()
        assert metadata["outputs"][0]["shape"] == [-1, 9]
        status = run(tmp_path, "status", "-p", str(running.port))
        assert [line.split()[:2] for line in status.stdout.splitlines()[1:]] == [
            *(["/predict/six", "ready"], ["/predict/nine.v2", "ready"], ["/predict/gone", "unavailable"])
        ]


def test_models_are_named_by_flags(tmp_path: Path) -> None:
    six, repository = write_model(tmp_path / "6"), tmp_path / "repository"
    write_model(repository / "nine", num_classes=9)
    write_model(repository / "six", num_classes=7)
    (repository / "not a name").mkdir()
    (repository / "file").touch()
    flags = ("--model", f"six={six}", "--model", f"other={six}", "--model_repository", str(repository))
    sizes = ("--crop_size", "32", "--resize_short", "32", "--class_id_map_file", "")
    with clas_serving(tmp_path, *flags, *sizes) as running:
        classes = {name: model["model"]["classes"] for name, model in described(running).items()}
        assert classes == {"six": 6, "other": 6, "nine": 9}
        assert "the model 'six' is configured: its folder in model_repository is passed over" in (
            running.log.read_text()
        )


def test_the_start_ends_if_no_model_can_be_loaded(tmp_path: Path) -> None:
    done = run(tmp_path, "start", "-p", "0", "--model", f"a={tmp_path}/a", "--model", f"b={tmp_path}/b")
    assert done.returncode == 1
    assert done.stdout.count("ModelNotFoundError: ") == 2


@WORKERS
def test_models_are_replaced_under_load(tmp_path: Path, workers: dict[str, Any]) -> None:
    """No request is lost, and each answer is wholly of the model that its header names."""
    folder = write_model(tmp_path / "model")
    variants = [write_model(tmp_path / f"variant{size}", num_classes=size) for size in (6, 9)]
    config = config_of(tmp_path, {"model": folder, "still": variants[1]}, **workers)
    config["modules_info"]["model"]["predict_args"] = {"top_k": 9}
    sizes: dict[str, int] = {}
    answers: Counter[tuple[str, int]] = Counter()
    is_over = threading.Event()

    def send() -> None:
        with requests.Session() as session:
            while not is_over.is_set():
                for name in ("model", "still"):
                    url = f"{running.base}/predict/{name}"
                    response = session.post(url, json=encode(solid_batch(1)), timeout=60)
                    assert response.status_code == 200, response.text
                    if name == "model":
                        [entry] = response.json()["results"]["prediction"]
                        assert entry["class_ids"][0] == 1
                        answers[response.headers["X-Model-Version"], len(entry["class_ids"])] += 1

    with clas_serving(tmp_path, config=config) as running, ThreadPoolExecutor(CLIENTS) as pool:
        sizes[described(running)["model"]["version"]] = 6
        clients = [pool.submit(send) for _ in range(CLIENTS)]
        try:
            for variant, _ in zip(itertools.cycle(reversed(variants)), range(RELOADS), strict=False):
                replace_files(variant, folder)
                loaded = change(running, "model", "load")
                assert loaded.status_code == 200, loaded.text
                sizes[loaded.json()["version"]] = 6 if variant is variants[0] else 9
                seen = answers.total()
                eventually(lambda: answers.total() > seen + CLIENTS)  # noqa: B023  # called at once
        finally:
            is_over.set()
        for client in clients:
            client.result(60)
        assert sorted(answers) == sorted(sizes.items())  # never 9 results of the model of 6, or the reverse
        assert len(sizes) == 3
        assert running.metric("clas_requests_total", path="/predict/model") == answers.total()
        assert len([line for line in running.log.read_text().splitlines() if "Traceback" in line]) == 0


def replace_files(source: Path, target: Path) -> None:
    """Put other files into the place of some, each at once."""
    for file in source.iterdir():
        shutil.copy(file, target / f"{file.name}.new")
        (target / f"{file.name}.new").replace(target / file.name)


@WORKERS
def test_a_model_that_can_not_be_loaded_leaves_the_one_before(
    tmp_path: Path, workers: dict[str, Any]
) -> None:
    folder = write_model(tmp_path / "model")
    with clas_serving(tmp_path, config=config_of(tmp_path, {"model": folder}, **workers)) as running:
        version = ask(running, "model").headers["X-Model-Version"]
        (folder / "inference.pdiparams").write_bytes(b"nothing")
        refused = change(running, "model", "load")
        assert refused.status_code == 409, refused.text
        assert refused.json()["error"].startswith("the model model can't be loaded: ")
        assert str(tmp_path) not in refused.text
        for _ in range(8):
            answer = ask(running, "model")
            assert (answer.status_code, answer.headers["X-Model-Version"]) == (200, version)
        done = run(tmp_path, "reload", "-p", str(running.port), "model")
        assert (done.returncode, done.stdout.count("can't be loaded")) == (1, 1)
        write_model(folder, num_classes=7)
        done = run(tmp_path, "reload", "-p", str(running.port))
        assert done.returncode == 0, done.stdout
        assert ask(running, "model").headers["X-Model-Version"] in done.stdout


@WORKERS
def test_models_leave_and_come(tmp_path: Path, workers: dict[str, Any]) -> None:
    repository = tmp_path / "repository"
    models = {"six": write_model(repository / "six"), "nine": write_model(repository / "nine", num_classes=9)}
    config = config_of(tmp_path, models, model_repository=str(repository), **workers)
    with clas_serving(tmp_path, config=config) as running:
        assert change(running, "six", "unload").status_code == 200
        for _ in range(6):
            assert ask(running, "six").status_code == 404
            assert ask(running, "nine").status_code == 200
        write_model(repository / "seven", num_classes=7)
        assert ask(running, "seven").status_code == 404
        for name in ("six", "seven"):
            assert change(running, name, "load").json()["state"] == "READY"
            for _ in range(6):
                assert ask(running, name).status_code == 200
        assert change(running, "nine", "unload").status_code == 200
        if workers:  # what has been changed holds for a worker that is started later
            for worker in running.workers():
                worker.kill()
            eventually(lambda: running.log.read_text().count(" is ready") >= 4)
            for _ in range(6):
                codes = [ask(running, name).status_code for name in ("six", "seven", "nine")]
                assert codes == [200, 200, 404]
        index = requests.post(f"{running.base}/v2/repository/index", headers=ADMIN, timeout=30).json()
        assert {entry["name"]: entry["state"] for entry in index} == {
            "six": "READY",
            "seven": "READY",
            "nine": "UNAVAILABLE",
        }


def test_a_hangup_signal_loses_no_model(tmp_path: Path) -> None:
    """One that is damaged now would be missing afterwards; one that was missing before doesn't matter."""
    models = {"six": write_model(tmp_path / "6"), "nine": write_model(tmp_path / "9", num_classes=9)}
    config = config_of(tmp_path, {**models, "gone": tmp_path / "gone"})
    with clas_serving(tmp_path, config=config) as running:
        (models["six"] / "inference.pdiparams").write_bytes(b"")
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: "SIGHUP has changed nothing" in running.log.read_text())
        assert [ask(running, name).status_code for name in models] == [200, 200]
        assert run(tmp_path, "status", "-p", str(running.port)).stdout.count("  ready  ") == 2
        write_model(models["six"], num_classes=7)
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: described(running)["six"]["model"]["classes"] == 7)


def test_only_those_who_may_change_models(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write_model(repository / "six")
    write_model(tmp_path / "outside")
    write_model(repository / ".hidden")
    (repository / "link").symlink_to(tmp_path / "outside")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{'other' * 8}\n")
    config = config_of(tmp_path, {"six": repository / "six"}, model_repository=str(repository))
    with clas_serving(tmp_path, config={**config, "token_file": str(tokens)}) as running:
        index = f"{running.base}/v2/repository/index"
        for headers in ({}, OTHER):
            assert change(running, "six", "load", headers=headers).status_code == 401
            assert requests.post(index, headers=headers, timeout=30).status_code == 401
        assert requests.post(index, headers=ADMIN, timeout=30).status_code == 200
        url = f"{running.base}/predict/six"
        for headers, code in (({}, 401), (ADMIN, 401), (OTHER, 200)):
            answer = requests.post(url, json=encode(solid_batch(0)), headers=headers, timeout=30)
            assert answer.status_code == code
        parameters: list[object] = [{"config": "{}"}, {"file:1/x": "AA=="}]
        for content in parameters:
            assert change(running, "six", "load", json={"parameters": content}).status_code == 400
        for name in ("..", "%2e%2e", "%2e%2e%2foutside", "link", ".hidden", "outside", "six%00", "a" * 65):
            assert change(running, name, "load").status_code == 404, name
    config = {"modules_info": config["modules_info"]}
    with clas_serving(tmp_path, config=config) as running:
        assert change(running, "six", "load").status_code == 404
        assert run(tmp_path, "reload", "-p", str(running.port)).returncode == 0


def test_tritons_client_changes_models(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write_model(repository / "six")
    config = config_of(tmp_path, {"six": repository / "six"}, model_repository=str(repository))
    with clas_serving(tmp_path, config=config) as running:
        client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{running.port}")
        try:
            write_model(repository / "nine", num_classes=9)
            client.load_model("nine", headers=ADMIN)
            assert client.is_model_ready("nine")
            client.unload_model("six", headers=ADMIN)
            index = client.get_model_repository_index(headers=ADMIN)
            assert [(entry["name"], entry["state"]) for entry in index] == [
                *(("six", "UNAVAILABLE"), ("nine", "READY"))
            ]
            assert not client.is_model_ready("six")
            with pytest.raises(InferenceServerException, match="a valid token is needed"):
                client.load_model("six")
        finally:
            client.close()


def test_model_control_takes_tokens(tmp_path: Path) -> None:
    done = run(tmp_path, "start", "-p", "0", "--model_control", "true")
    assert done.returncode == 1
    assert "model_control takes admin_token_file" in done.stdout


def test_folders_are_watched(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write_model(repository / "six")
    flags = ("--model_repository", str(repository), "--watch", "0.3")
    sizes = ("--crop_size", "32", "--resize_short", "32", "--class_id_map_file", "")
    with clas_serving(tmp_path, *flags, *sizes) as running:
        write_model(repository / "six", num_classes=9)
        eventually(lambda: described(running)["six"]["model"]["classes"] == 9)
        write_model(repository / "seven", num_classes=7)
        eventually(lambda: described(running).get("seven", {}).get("state") == "ready")
        (repository / "six" / "inference.pdiparams").write_bytes(b"")
        eventually(lambda: "the model six can't be loaded" in running.log.read_text())
        assert ask(running, "six").status_code == 200
        shutil.rmtree(repository / "seven")
        eventually(lambda: ask(running, "seven").status_code == 404)


def test_the_models_used_least_make_room(tmp_path: Path) -> None:
    models = {f"m{size}": write_model(tmp_path / str(size), num_classes=size) for size in range(6, 11)}
    config = config_of(tmp_path, models, max_loaded_models=2)
    with clas_serving(tmp_path, config=config) as running:

        def loaded() -> list[str]:
            return [name for name, model in described(running).items() if model["state"] == "ready"]

        assert loaded() == ["m6", "m7"]
        assert ask(running, "m6").status_code == 200
        assert ask(running, "m9").status_code == 200  # in the place of m7
        assert loaded() == ["m6", "m9"]
        with ThreadPoolExecutor(10) as pool:
            names = [*models] * 4
            for name, answer in zip(names, pool.map(lambda name: ask(running, name, 1), names), strict=True):
                assert answer.status_code == 200, (name, answer.text)
                assert answer.json()["results"]["prediction"][0]["class_ids"] == [1]
        assert len(loaded()) <= 2
        assert requests.get(f"{running.base}/health/ready", timeout=30).status_code == 200
        assert requests.get(f"{running.base}/v2/models/m8", timeout=30).json()["outputs"][0]["shape"] == [
            -1,
            8,
        ]
