"""Starting and stopping the standalone server: what ends a start, and every way to end a server."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from clas.engine.devices import WITHOUT_GPU
from known_answers import PHOTOGRAPHS
from served import encoded
from server_process import free_port, is_listening
from serving_process import (
    COMMAND,
    REPOSITORY,
    Running,
    clas_serving,
    eventually,
    is_gone,
    run,
    server_env,
    tiny_config,
)
from tiny_models import solid_batch, write_model
from wire import encode


def failed_start(directory: Path, config: dict[str, Any], **env: str) -> str:
    """The last line of a start that can't work."""
    port = config.setdefault("port", free_port())
    file = directory / "config.json"
    file.write_text(json.dumps(config))
    done = run(directory, "start", "-c", str(file), **env)
    assert done.returncode == 1, done.stdout
    assert not is_listening(port)
    assert "Traceback" not in done.stdout
    return str(done.stdout.splitlines()[-1])


def state_file(directory: Path, running: Running) -> Path:
    return directory / "clas_system" / f"serving_{running.port}_127.0.0.1.json"


def test_the_shipped_configuration_wants_a_gpu_and_says_how_to_name_it(
    repository: Path, tmp_path: Path
) -> None:
    done = run(tmp_path, "start", "-c", str(repository / "config.json"))
    assert done.returncode == 1
    last_line = done.stdout.splitlines()[-1]
    assert (
        "use_gpu needs CUDA_VISIBLE_DEVICES (export CUDA_VISIBLE_DEVICES=0) and a Paddle or an" in last_line
    )
    assert last_line.endswith(f"; {WITHOUT_GPU}")


@pytest.mark.parametrize("workers", [{}, {"use_multiprocess": True, "workers": 2}])
@pytest.mark.parametrize(
    ("init_args", "message"),
    [
        ({"inference_model_dir": "nowhere"}, "ModelNotFoundError: there is no model"),
        ({"inference_model_dir": "damaged"}, "ModelLoadError"),
        ({"class_id_map_file": "none.txt"}, "LabelFileError: there is no label file"),
        ({"class_id_map_file": "two.txt"}, "but the model has 6 classes, 0 to 5: set class_id_map_file"),
        ({"output_name": "nothing"}, "SettingsError: output_name is 'nothing', but the outputs of"),
    ],
)
def test_what_cannot_be_loaded_ends_the_start(
    tiny_model: Path, tmp_path: Path, init_args: dict[str, str], message: str, workers: dict[str, Any]
) -> None:
    shutil.copytree(tiny_model, tmp_path / "damaged")
    (tmp_path / "damaged" / "inference.pdiparams").write_bytes(b"")
    (tmp_path / "two.txt").write_text("0,cat\n1,dog\n")
    config = tiny_config(tiny_model, engine="openvino", **workers)
    config["modules_info"]["clas_system"]["init_args"].update(init_args)
    port = config["port"] = free_port()
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = run(tmp_path, "start", "-c", "config.json")
    assert done.returncode == 1, done.stdout
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert not is_listening(port)


def test_each_gpu_of_several_gets_a_worker_which_wants_a_paddle_with_cuda(
    tiny_model: Path, tmp_path: Path
) -> None:
    config = tiny_config(tiny_model)
    config["modules_info"]["clas_system"]["init_args"]["use_gpu"] = True
    (tmp_path / "config.json").write_text(json.dumps({**config, "port": free_port()}))
    done = run(tmp_path, "start", "-c", "config.json", CUDA_VISIBLE_DEVICES="3,5")
    assert done.returncode == 1
    assert "workers: 2" in done.stdout
    assert done.stdout.count("DeviceError: use_gpu needs a Paddle with CUDA: install paddlepaddle-gpu") >= 1


def test_use_gpu_with_use_multiprocess_is_refused_with_the_hubs_words(
    tiny_model: Path, tmp_path: Path
) -> None:
    config = tiny_config(tiny_model, use_multiprocess=True)
    config["modules_info"]["clas_system"]["init_args"]["use_gpu"] = True
    last_line = failed_start(tmp_path, config, CUDA_VISIBLE_DEVICES="0")
    assert "use_gpu doesn't go with use_multiprocess: CUDA can't be used in a process forked" in last_line
    assert "--gpu 0,1" in last_line


def test_an_unknown_key_is_refused_with_the_nearest_name(tiny_model: Path, tmp_path: Path) -> None:
    last_line = failed_start(tmp_path, tiny_config(tiny_model, use_multiproces=True))
    assert last_line.endswith("has an unknown name 'use_multiproces'; did you mean 'use_multiprocess'?")


def test_a_port_in_use_is_refused_at_once_and_its_server_goes_on(tiny_model: Path, tmp_path: Path) -> None:
    with clas_serving(tmp_path, config=tiny_config(tiny_model)) as running:
        (tmp_path / "again.json").write_text(json.dumps({**tiny_config(tiny_model), "port": running.port}))
        done = run(tmp_path, "start", "-c", "again.json")
        assert done.returncode == 1
        assert done.stdout.splitlines()[-1].endswith(f"Port {running.port} is occupied, please change it.")
        assert requests.get(f"{running.base}/health/ready", timeout=30).ok
        assert run(tmp_path, "stop", "-p", str(running.port)).returncode == 0
        assert running.process.wait(30) in (0, None)


@pytest.mark.parametrize("workers", [{}, {"use_multiprocess": True, "workers": 2}])
def test_stop_ends_the_server_from_another_shell(
    tiny_model: Path, tmp_path: Path, workers: dict[str, Any]
) -> None:
    with clas_serving(tmp_path, config=tiny_config(tiny_model, **workers)) as running:
        children = running.process.children(recursive=True)
        other_home = run(tmp_path / "..", "stop", "-p", str(running.port), XDG_STATE_HOME=str(tmp_path / "x"))
        assert other_home.returncode == 1
        assert f"no server of clas_system was started at port {running.port}" in other_home.stdout
        done = run(tmp_path, "stop", "-p", str(running.port))
        assert (done.returncode, done.stdout) == (0, f"the server at port {running.port} has stopped\n")
        assert not is_listening(running.port)
        eventually(lambda: all(is_gone(child) for child in children))
        assert run(tmp_path, "stop", "-p", str(running.port)).returncode == 1


@pytest.mark.parametrize("workers", [{}, {"use_multiprocess": True, "workers": 2}])
def test_nothing_is_left_of_a_server_that_was_killed(
    tiny_model: Path, tmp_path: Path, workers: dict[str, Any]
) -> None:
    with clas_serving(tmp_path, config=tiny_config(tiny_model, **workers)) as running:
        children = running.process.children(recursive=True)
        assert children
        scratch = json.loads(state_file(tmp_path, running).read_text())["scratch"]
        running.process.kill()
        eventually(lambda: all(is_gone(child) for child in children))
        eventually(lambda: not is_listening(running.port))
        done = run(tmp_path, "stop", "-p", str(running.port))
        assert done.returncode == 0
        assert "was gone already; its files are cleaned up" in done.stdout
        assert not Path(scratch).exists()
        assert not list((tmp_path / "clas_system").iterdir())


def test_stop_never_ends_a_process_that_is_not_ours(tiny_model: Path, tmp_path: Path) -> None:
    """Such as one that got the process id of a server that was killed."""
    with clas_serving(tmp_path, config=tiny_config(tiny_model)) as running:
        file = state_file(tmp_path, running)
        state = json.loads(file.read_text())
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        file.write_text(json.dumps({**state, "pid": stranger.pid}))
        assert run(tmp_path, "stop", "-p", str(running.port)).returncode == 0
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [0, 2], ids=["single", "workers"])
def test_a_signal_to_all_processes_ends_the_server_in_order(
    tiny_model: Path, tmp_path: Path, number: signal.Signals, workers: int
) -> None:
    """As Ctrl-C does, and systemd; a request in flight is answered."""
    several = {"use_multiprocess": True, "workers": workers} if workers else {}
    body = json.dumps(encode(solid_batch(0))).encode()
    with clas_serving(tmp_path, config=tiny_config(tiny_model, **several)) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=30) as client:
            head = "POST /predict/clas_system HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1])
            time.sleep(0.2)
            os.killpg(running.process.pid, number)
            time.sleep(0.5)
            client.sendall(body[-1:])
            assert client.recv(100_000).startswith(b"HTTP/1.1 200 ")
        assert running.process.wait(30) == 0
    assert "Traceback" not in running.log.read_text()


def test_a_server_that_has_decoded_images_cleans_up_at_its_end(tiny_model: Path, tmp_path: Path) -> None:
    with clas_serving(tmp_path, config=tiny_config(tiny_model)) as running:
        state = tmp_path / "clas_system" / f"serving_{running.port}_127.0.0.1.json"
        scratch = Path(json.loads(state.read_text())["scratch"])
        for _ in range(2 * (os.cpu_count() or 1)):
            sent = requests.post(running.url, json=encoded(0), timeout=30)
            assert sent.status_code == 200, sent.text
        running.process.terminate()
        assert running.process.wait(30) == 0
        assert not state.exists()
        assert not scratch.exists()
        assert running.log.read_text().splitlines()[-1].endswith(": stopped")


def test_paddlehub_is_not_needed(repository: Path) -> None:
    code = "import sys, clas.serving.cli, clas.serving.process.supervisor; print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    loaded = {name.strip(" []'").partition(".")[0] for name in done.stdout.split(",")}
    assert {"clas", "starlette", "gunicorn"} <= loaded
    assert not loaded & {"paddlehub", "paddlenlp", "flask", "paddle", "requests"}


def test_tokens_are_wanted_and_may_be_replaced(
    repository: Path, tiny_model: Path, tmp_path: Path, image_folder: Path
) -> None:
    tokens = ["first-token-0123456789", "second-token-0123456789"]
    (tmp_path / "tokens").write_text("# two, while one is being replaced\n" + "\n".join(tokens))
    (tmp_path / "mine").write_text(tokens[1] + "\n")
    config = tiny_config(tiny_model, token_file=str(tmp_path / "tokens"))
    with clas_serving(tmp_path, config=config) as running:
        for path, status in (("/health/live", 200), ("/docs", 200), ("/metrics", 401), ("/", 401)):
            assert requests.get(running.base + path, timeout=30).status_code == status
        for token in tokens:
            headers = {"Authorization": f"Bearer {token}"}
            assert requests.get(f"{running.base}/metrics", headers=headers, timeout=30).status_code == 200
        client = [
            sys.executable,
            "test_hubserving.py",
            "--server_url",
            running.url,
            "--image_file",
            str(image_folder),
        ]
        client += ["--resize_short", "32", "--crop_size", "32"]
        results = [
            subprocess.run([*client, *more], cwd=repository, capture_output=True, text=True, check=False)
            for more in ([], ["--token_file", str(tmp_path / "mine")])
        ]
    refused, answered = results
    assert (refused.returncode, answered.returncode) == (1, 0)
    assert "the server refused (status 101): a valid token is needed" in refused.stderr
    assert answered.stdout.count("File:") == len(PHOTOGRAPHS)


def test_it_speaks_tls(tiny_model: Path, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "1",
                "-subj",
                "/CN=localhost",
            ),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    for workers in ({}, {"use_multiprocess": True, "workers": 1}):
        config = tiny_config(tiny_model, tls_cert_file=str(cert), tls_key_file=str(key), **workers)
        with clas_serving(tmp_path, config=config, scheme="https", verify=str(cert)) as running:
            with pytest.raises(requests.exceptions.SSLError):
                requests.get(running.base, timeout=30)
            context = ssl.create_default_context(cafile=str(cert))
            with (
                socket.create_connection(("127.0.0.1", running.port), timeout=30) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
            ):
                assert secured.version() in ("TLSv1.2", "TLSv1.3")


def test_the_log_can_be_json_in_a_file_that_logrotate_moves(tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "clas.log"
    flags = ["--log_format", "json", "--log_file", str(file)]
    with clas_serving(tmp_path, *flags, config=tiny_config(tiny_model), log=file) as running:
        post(running, "the-first")
        eventually(lambda: "the-first" in file.read_text())  # it is logged when the answer is on its way
        file.rename(tmp_path / "clas.log.1")
        post(running, "the-second")
    records = {name: read_records(tmp_path / name) for name in ("clas.log.1", "clas.log")}
    assert "the-first" in {record["request_id"] for record in records["clas.log.1"]}
    assert "the-second" in {record["request_id"] for record in records["clas.log"]}
    assert {"time", "level", "logger", "process", "request_id", "message"} <= records["clas.log"][0].keys()


def post(running: Running, request_id: str) -> None:
    answer = requests.post(running.url, data=b"{}", headers={"X-Request-ID": request_id}, timeout=30)
    assert answer.headers["X-Request-ID"] == request_id


def read_records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_used_up_workers_are_replaced_and_no_request_is_lost(tiny_model: Path, tmp_path: Path) -> None:
    config = tiny_config(tiny_model, use_multiprocess=True, workers=2, max_requests=50)
    with clas_serving(tmp_path, config=config) as running:
        first = {worker.pid for worker in running.workers()}
        session = requests.Session()
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=3))
        count = 0
        while first & {worker.pid for worker in running.workers()}:
            assert session.get(f"{running.base}/health/live", timeout=30).status_code == 200
            count += 1
            assert count < 5000
        assert count > 50


@pytest.mark.parametrize("workers", [{}, {"use_multiprocess": True, "workers": 2}], ids=["single", "workers"])
def test_a_hangup_signal_exchanges_the_model_and_loses_no_request(
    tmp_path: Path, workers: dict[str, Any]
) -> None:
    """A second server loads it, while the first one serves; new and old connections, and a slow request."""
    model = write_model(tmp_path / "model")
    body = json.dumps(encode(solid_batch(0))).encode()
    with (
        clas_serving(tmp_path, config=tiny_config(model, **workers)) as running,
        requests.Session() as session,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as slow,
    ):
        head = "POST /predict/clas_system HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        slow.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-1])
        [old] = running.servers()
        shutil.rmtree(model)
        write_model(model, num_classes=9)
        running.process.send_signal(signal.SIGHUP)
        classes: list[int] = []
        while classes[-1:] != [9] or f"process {old.pid} stops" not in running.log.read_text():
            for get in (requests.get, session.get):
                assert get(f"{running.base}/health/ready", timeout=30).status_code == 200
                classes.append(get(running.base, timeout=30).json()["model"]["classes"])
            assert len(classes) < 50_000
        slow.sendall(body[-1:])
        assert slow.recv(100_000).startswith(b"HTTP/1.1 200 ")
        eventually(lambda: is_gone(old))
        assert running.metric("clas_process_restarts_total") == 0
    assert set(classes) == {6, 9}


@pytest.mark.parametrize("workers", [{}, {"use_multiprocess": True, "workers": 2}], ids=["single", "workers"])
def test_a_hangup_signal_changes_nothing_if_the_model_is_damaged(
    tmp_path: Path, workers: dict[str, Any]
) -> None:
    model = write_model(tmp_path / "model")
    with clas_serving(tmp_path, config=tiny_config(model, engine="openvino", **workers)) as running:
        [old] = running.servers()
        (model / "inference.pdiparams").write_bytes(b"")
        running.process.send_signal(signal.SIGHUP)
        while "SIGHUP has changed nothing" not in running.log.read_text():
            assert requests.get(f"{running.base}/health/ready", timeout=30).status_code == 200
            time.sleep(0.05)
        assert "ModelLoadError" in running.log.read_text()
        assert running.servers() == [old]
        assert requests.post(running.url, json=encode(solid_batch(0)), timeout=30).status_code == 200


def test_a_server_that_dies_before_it_is_ready_ends_the_start(tiny_model: Path, tmp_path: Path) -> None:
    config = {**tiny_config(tiny_model), "port": free_port()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    code = "import os, clas.serving.start as s; s.build_service = lambda *_, **__: os.abort()"
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nif 'start' in sys.orig_argv: {code}\n")
    done = run(tmp_path, "start", "-c", "config.json", PYTHONPATH=f"{tmp_path}:{REPOSITORY}")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].endswith("was ended by SIGABRT before it was ever ready: giving up")
    assert not list((tmp_path / "clas_system").iterdir())


@pytest.mark.parametrize("workers", [{}, {"use_multiprocess": True, "workers": 2}], ids=["single", "workers"])
def test_a_server_that_has_just_begun_to_listen_is_stopped_and_leaves_nothing(
    tiny_model: Path, tmp_path: Path, workers: dict[str, Any]
) -> None:
    config = {**tiny_config(tiny_model, **workers), "port": 0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [*COMMAND, "start", "-c", "config.json"],
            env=server_env(tmp_path, TMPDIR=str(temporary)),
            cwd=tmp_path,
            stderr=log,
        )
    eventually(lambda: list(temporary.iterdir()))
    server.terminate()
    assert server.wait(30) == 0
    assert list(temporary.iterdir()) == []
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_the_parent_takes_little_memory(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # it would be measured, too
    with clas_serving(tmp_path, config=tiny_config(tiny_model)) as running:
        assert running.process.memory_info().rss < 20 * 10**6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_still_imports_is_stopped_without_a_traceback(
    tiny_model: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C reaches the parent and the server; a traceback would say nothing to the user."""
    config = {**tiny_config(tiny_model), "port": 0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    server = subprocess.Popen(
        [*COMMAND, "start", "-c", "config.json"],
        env=server_env(tmp_path),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    parent = psutil.Process(server.pid)
    eventually(lambda: any(child.cpu_times().user > 0.1 for child in parent.children()))
    os.killpg(server.pid, number)
    _, printed = server.communicate(timeout=30)
    assert server.returncode == 0
    assert b"Traceback" not in printed


def test_the_state_of_a_server_can_be_anywhere_or_nowhere(tiny_model: Path, tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile() as no_directory:
        env = server_env(tmp_path, XDG_STATE_HOME=no_directory.name)
        with clas_serving(tmp_path, config=tiny_config(tiny_model), env=env) as running:
            assert f"`stop -p {running.port}` won't find this server" in running.log.read_text()
