"""What only the standalone server does, in a process of its own on a real socket."""

import base64
import contextlib
import http.client
import json
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from clas.image.transforms import create_transforms
from clas.protocol import OPERATIONS
from clas_client.batches import stacked_body
from clas_client.sender import Sender
from known_answers import PHOTOGRAPHS, assert_right
from serving_process import Running, clas_serving, eventually, tiny_config
from tiny_models import numbered_batch
from wire import encode

pytestmark = pytest.mark.xdist_group("standalone server")
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(default_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The default model, with a short timeout; in processes of its own, which a test can hold.

    On one thread: with two, each waits for the other, which takes seconds where other tests have the cores.
    """
    assert default_model_dir.is_dir()
    flags = ["-m", "clas_system", "--timeout_s", "4", "--engine", "paddle", "--cpu_num_threads", "1"]
    with clas_serving(tmp_path_factory.mktemp("server"), *flags) as running:
        yield running
        assert_no_fault(running)


def assert_no_fault(running: Running) -> None:
    """After all that the tests did to a server, no process of it has died, and nothing was its fault."""
    log = running.log.read_text()
    assert "has ended" not in log
    assert "has died" not in log
    assert "Traceback" not in log
    assert not re.search(r"\b500\b", "".join(re.findall(r"POST /predict/clas_system (\d+)", log)))


def classify(server: Running, data: bytes, kind: str, query: str = "") -> Any:
    response = requests.post(server.url + query, data=data, headers={"Content-Type": kind}, timeout=60)
    return response.status_code, response.json()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_whole_image_can_be_the_body(server: Running, image_folder: Path, name: str) -> None:
    kind = "image/png" if name.endswith("png") else "image/jpeg"
    status, answer = classify(server, (image_folder / name).read_bytes(), kind, "?top_k=5")
    assert status == 200
    assert_right(answer["results"]["prediction"], [name])


def test_images_can_come_as_a_form(server: Running, image_folder: Path) -> None:
    files = [("images", (name, (image_folder / name).read_bytes())) for name in PHOTOGRAPHS]
    bad = ("images", ("bad.jpg", b"no image"))
    answer = requests.post(server.url, files=[*files, bad], data={"top_k": "5"}, timeout=60).json()
    *good, failed = answer["results"]["prediction"]
    assert_right(good, PHOTOGRAPHS)
    assert "can't be decoded" in failed["error"]


def test_a_body_that_is_one_damaged_image_is_refused(server: Running) -> None:
    status, answer = classify(server, b"no image", "image/jpeg")
    assert status == 400
    assert answer == {
        "status": "101",
        "msg": "the image can't be decoded: it is none of JPEG, PNG, BMP, WEBP",
        "results": "",
    }


def as_16_bit(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return image.astype(np.uint16) * 257


@pytest.mark.parametrize(
    ("ending", "change"),
    [
        (".png", lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)),
        (".png", lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)),
        (".png", as_16_bit),
        (".png", lambda image: as_16_bit(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))),
        (".jpg", lambda image: image),
        (".bmp", lambda image: image),
        (".webp", lambda image: image),
    ],
)
def test_every_kind_of_image_is_read_as_imread_does(
    server: Running, image_folder: Path, tmp_path: Path, ending: str, change: Callable[[Any], Any]
) -> None:
    file = tmp_path / f"image{ending}"
    photograph = cv2.imread(str(image_folder / "coffee.png"))
    assert photograph is not None
    assert cv2.imwrite(str(file), change(photograph))
    assert_read_as_imread_does(server, file)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_photograph_is_turned_upright(
    server: Running, image_folder: Path, tmp_path: Path, orientation: int
) -> None:
    file = tmp_path / "turned.jpg"
    exif = Image.Exif()  # type: ignore[no-untyped-call]
    exif[0x0112] = orientation
    Image.open(image_folder / "rocket.jpg").save(file, exif=exif)
    assert_read_as_imread_does(server, file)


def assert_read_as_imread_does(server: Running, file: Path) -> None:
    image = cv2.imread(str(file))
    assert image is not None
    tensor = create_transforms()(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    expected = requests.post(server.url, json=encode(np.stack([tensor])), timeout=60).json()
    kinds = {".jpg": "jpeg"}
    _, answer = classify(server, file.read_bytes(), f"image/{kinds.get(file.suffix, file.suffix[1:])}")
    assert expected["status"] == answer["status"] == "000", (expected["msg"], answer["msg"])
    assert answer["results"]["prediction"] == expected["results"]["prediction"]


def test_a_prediction_that_goes_on_does_not_keep_the_event_loop(server: Running, image_folder: Path) -> None:
    """The model is stopped in the middle of its work: the rest of the server must not notice."""
    data = (image_folder / "rocket.jpg").read_bytes()
    with ThreadPoolExecutor(1) as client, server.held() as go_on:
        waiting = client.submit(classify, server, data, "image/jpeg")
        eventually(lambda: server.metric("clas_queue_images") == 1)
        assert not waiting.done()
        assert requests.get(f"{server.base}/health/live", timeout=1).json() == {"status": "live"}
        go_on()
        assert waiting.result()[0] == 200


def test_a_client_that_hangs_up_is_not_waited_for(server: Running, image_folder: Path) -> None:
    data = (image_folder / "rocket.jpg").read_bytes()
    with server.held():
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", server.port)
            connection.request("POST", "/predict/clas_system", data, {"Content-Type": "image/jpeg"})
            eventually(lambda: server.metric("clas_queue_images") == 1)
            connection.close()
            eventually(lambda: server.metric("clas_queue_images") == 0)
    assert classify(server, data, "image/jpeg")[0] == 200


def read_refusal(client: socket.socket) -> bytes:
    """What comes, to the end of our envelope."""
    answer = b""
    while b'"results":""}' not in answer:
        part = client.recv(10_000)
        assert part, answer
        answer += part
    return answer


def test_half_a_body_is_given_up_after_a_while(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        head = b"POST /predict/clas_system HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(head + b'Content-Length: 1000\r\n\r\n{"images": ')
        answer = read_refusal(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body didn't come within 4 s" in answer


@pytest.mark.parametrize("sent", [b"", b"POST /predict/clas_system HTTP/1.1\r\nHost: x\r\nContent-"])
def test_half_a_head_is_given_up_after_a_while(server: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(sent)
        assert client.recv(10_000) == b""  # the server hangs up


def test_a_body_that_never_ends_is_refused_while_it_comes(tiny_model: Path, tmp_path: Path) -> None:
    with (
        clas_serving(tmp_path, config=tiny_config(tiny_model, max_request_bytes=1_000_000)) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as client,
    ):
        head = "POST /predict/clas_system HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode())
        sent = 0
        while not select.select([client], [], [], 0)[0]:
            assert sent < 50_000_000
            client.sendall(b"%x\r\n%s\r\n" % (10_000, bytes(10_000)))
            sent += 10_000
        assert client.recv(10_000).startswith(b"HTTP/1.1 413 ")
        assert sent > 1_000_000
        # requests reads an answer only after it has sent all
        refused = requests.post(running.url, data=bytes(5_000_000), headers=JSON, timeout=30)
        assert refused.status_code == 413
        assert "max_request_bytes is 1000000" in refused.json()["msg"]


@pytest.fixture(scope="module")
def numbering(numbering_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers in front of a model that tells the images apart."""
    config = tiny_config(numbering_model, use_multiprocess=True, workers=2, max_batch_size=32)
    with clas_serving(tmp_path_factory.mktemp("numbering"), config=config) as running:
        yield running
        assert_no_fault(running)


def test_each_of_many_clients_gets_its_own_answers(numbering: Running, minutes: float | None) -> None:
    """64 clients, 2,000 requests of 1 to 8 different images; `--minutes` has as many as there is time for."""
    count = 0
    deadline = time.monotonic() + 60 * (minutes or 0)
    lock = threading.Lock()

    def take() -> bool:
        nonlocal count
        with lock:
            is_wanted = count < 2_000 or time.monotonic() < deadline
            count += is_wanted
            return is_wanted

    def work(seed: int) -> int:
        random = np.random.default_rng(seed)
        sender = Sender(numbering.url, timeout_s=60, retries=0)
        answered = 0
        while take():
            numbers = random.integers(0, 1000, random.integers(1, 9)).tolist()
            answer = sender.predict(list(numbered_batch(*numbers)), stacked_body)
            assert [entry["class_ids"] for entry in answer.predictions] == [[number] for number in numbers]
            answered += 1
        sender.close()
        return answered

    before = counts(numbering)
    with ThreadPoolExecutor(64) as clients:
        assert sum(clients.map(work, range(64))) == count
    answered, images, in_batches, batches = (counts(numbering) - before).tolist()
    assert answered == count
    assert images == in_batches
    assert batches < count  # some went through the model together


def counts(numbering: Running) -> np.ndarray[Any, Any]:
    """Requests that were answered well, images, images in batches, and batches."""
    answered = numbering.metric("clas_requests_total", path="/predict/clas_system", status="200")
    names = ("clas_images_total", "clas_batch_size_sum", "clas_batch_size_count")
    return np.array([answered, *(numbering.metric(name) for name in names)])


def test_metrics_add_up_over_the_workers(numbering: Running) -> None:
    """Whichever worker is asked."""
    with ThreadPoolExecutor(8) as clients:
        counts = list(clients.map(lambda _: numbering.metric("clas_images_total"), range(16)))
    assert len(set(counts)) == 1


def test_the_memory_is_that_of_all_processes(numbering: Running) -> None:
    def adds_up() -> bool:
        memory = sum(process.memory_info().rss for process in (*numbering.workers(), *numbering.models()))
        return numbering.metric("clas_process_memory_bytes") == pytest.approx(memory, rel=0.2)

    eventually(adds_up)  # one worker may still load its model


@given(
    st.binary(max_size=300),
    st.sampled_from(["application/json", "image/png", "multipart/form-data; boundary=x"]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_garbage_is_a_fault_of_the_server(numbering: Running, body: bytes, kind: str) -> None:
    status, answer = classify(numbering, body, kind)
    assert status in (400, 413)
    assert answer["results"] == ""


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "images": JSON_VALUES
        | st.lists(st.binary(max_size=50).map(lambda data: base64.b64encode(data).decode())),
        "revert_params": JSON_VALUES
        | st.fixed_dictionaries(
            {"shape": JSON_VALUES, "dtype": st.sampled_from(["float32", "int8", "O", "V8"])}
        ),
        "preprocess": JSON_VALUES | st.lists(st.sampled_from(OPERATIONS), max_size=3),
        "top_k": JSON_VALUES,
    },
)


@given(REQUESTS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_field_of_any_value_is_a_fault_of_the_server(numbering: Running, body: Any) -> None:
    status, answer = classify(numbering, json.dumps(body).encode(), "application/json")
    assert status in (200, 400, 413)
    assert (answer["status"] == "000") is (status == 200)


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\1\2\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict/clas_system HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_harms_nothing(numbering: Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", numbering.port), timeout=30) as client:
        client.sendall(sent)
        answer = read_refusal(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == "101"
    assert requests.get(f"{numbering.base}/health/ready", timeout=30).status_code == 200


def test_an_endless_head_is_refused_while_it_comes(numbering: Running) -> None:
    with socket.create_connection(("127.0.0.1", numbering.port), timeout=30) as client:
        client.sendall(b"POST /predict/clas_system HTTP/1.1\r\n")
        sent = 0
        while not select.select([client], [], [], 0)[0]:
            assert sent < 5_000_000
            client.sendall(b"a: b\r\n" * 1000)
            sent += 6000
        answer = read_refusal(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the head of the request has more than 65536 bytes" in answer


@pytest.mark.parametrize("path", ["/predict/clas_system", "/nothing"], ids=["read", "refused early"])
def test_an_endless_trailer_is_cut_off_while_it_comes(numbering: Running, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", numbering.port), timeout=30) as client:
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nX: ".encode())
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 20_000_000:
                client.sendall(b"a" * 100_000)
                sent += 100_000
                time.sleep(0.01)
    assert sent < 10_000_000
    assert requests.get(f"{numbering.base}/health/ready", timeout=30).status_code == 200


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_head_whose_end_is_split_does_not_count_the_body(numbering: Running, cut: int) -> None:
    body = json.dumps(encode(numbered_batch(*range(40)))).encode()
    assert len(body) > 2 * 65_536
    head = "POST /predict/clas_system HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    sent = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    place = len(sent) - len(body) - cut
    with socket.create_connection(("127.0.0.1", numbering.port), timeout=30) as client:
        client.sendall(sent[:place])
        time.sleep(0.1)
        client.sendall(sent[place:])
        answer = b"".join(iter(lambda: client.recv(100_000), b""))
    assert answer.startswith(b"HTTP/1.1 200 "), answer[:300]


def test_a_wish_to_upgrade_is_ignored(numbering: Running) -> None:
    """Java's HttpClient and `curl --http2` have it in every request."""
    upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQ"}
    response = requests.post(numbering.url, json=encode(numbered_batch(7)), headers=upgrade, timeout=30)
    assert response.json()["results"]["prediction"][0]["class_ids"] == [7]


def test_requests_may_come_one_after_the_other_without_a_pause(numbering: Running) -> None:
    """Pipelined, and cut anywhere."""
    requests_sent = b""
    for number in range(20):
        body = json.dumps(encode(numbered_batch(number))).encode()
        head = "POST /predict/clas_system HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        requests_sent += f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", numbering.port), timeout=30) as client:
        sending = threading.Thread(target=send_in_parts, args=(client, requests_sent))
        sending.start()
        answers = b""
        while answers.count(b'"elapse"') < 20:
            answers += client.recv(100_000)
        sending.join()
    assert re.findall(rb'"class_ids":\[(\d+)\]', answers) == [str(number).encode() for number in range(20)]


def send_in_parts(client: socket.socket, data: bytes) -> None:
    for start in range(0, len(data), 4999):
        client.sendall(data[start : start + 4999])


def test_the_openapi_schema_holds_against_what_schemathesis_thinks_of(
    numbering: Running, tmp_path: Path
) -> None:
    """But for one of its checks: a schema can't say that images has as many bytes as shape and dtype take."""
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run", f"{numbering.base}/openapi.json"),
            *("--exclude-checks", "positive_data_acceptance"),
            *("--max-examples", "25", "--generation-database", "none", "--no-color", "--seed", "1"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
