"""What both servers must do: the real PaddleHub and the standalone one, each with and without workers."""

import base64
import codecs
import json
import re
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import psutil
import pytest
import requests

from clas.preprocess import DecodeImage, create_transforms
from faces import FACES, HUB_FACES, STANDALONE_FACES, on, on_each
from gates import PATIENCE_S
from known_answers import PHOTOGRAPHS, TOP_5, assert_right
from scripted_service import Reply, envelope, scripted_service
from serving_process import clas_serving
from wire import encode

ONLY_HUB = pytest.mark.parametrize("service", on_each(HUB_FACES), indirect=True)
ONLY_STANDALONE = pytest.mark.parametrize("service", on_each(STANDALONE_FACES), indirect=True)

OPERATIONS = ["normalize", "to_chw"]
NUM_IMAGES = 32
BROKEN = "14.jpg"


class Service(Protocol):
    """A running server: its address, the id of its first process, and what it has printed."""

    url: str
    pid: int
    log: Path
    is_hub: bool


def post(service: Service, body: Any) -> Any:
    response = requests.post(service.url, json=body, timeout=60)
    answer = response.json()
    refused = 200 if service.is_hub else 400  # PaddleHub has no other code for what a module refuses
    assert response.status_code == (200 if answer["status"] == "000" else refused), response.text
    return answer


def tensor(image_folder: Path, *names: str, left: Sequence[str] = ()) -> dict[str, Any]:
    """A request in tensor form, that leaves some operations to the server."""
    decode = DecodeImage()
    transforms = create_transforms(normalize="normalize" not in left, to_chw="to_chw" not in left)
    fields = encode(np.stack([transforms(decode((image_folder / name).read_bytes())) for name in names]))
    return {**fields, "preprocess": list(left)} if left else fields


def encoded(image_folder: Path, *names: str) -> list[str]:
    return [base64.b64encode((image_folder / name).read_bytes()).decode() for name in names]


def run_client(url: str, repository: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "test_hubserving.py", "--server_url", url, *flags],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def printed(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """The results by the names of the files, in the order of the lines; each is there once."""
    pattern = r"File:(.+), The result\(s\): class_ids: \[(.+)\], label_names: \[(.+)\], scores: \[(.+)\]"
    lines = [line for line in done.stdout.splitlines() if line.startswith("File:")]
    found = [result for result in (re.fullmatch(pattern, line) for line in lines) if result is not None]
    results = {
        result[1]: {
            "class_ids": [int(number) for number in result[2].split(", ")],
            "label_names": result[3],
            "scores": [float(number) for number in result[4].split(", ")],
        }
        for result in found
    }
    assert len(results) == len(lines), done.stdout
    return results


def assert_same(entries: Iterable[Any], others: Iterable[Any], tolerance: float) -> None:
    for entry, other in zip(entries, others, strict=True):
        assert entry["class_ids"] == other["class_ids"]
        assert entry["label_names"] == other["label_names"]
        assert entry["scores"] == pytest.approx(other["scores"], abs=tolerance)


@pytest.mark.parametrize(
    ("service", "batch_size"),
    [*(on(face, "2") for face in FACES), on("standalone", "1"), on("standalone", "3")],
    indirect=["service"],
    scope="session",
)
def test_the_client_prints_the_right_top_5(
    service: Service, repository: Path, image_folder: Path, batch_size: str
) -> None:
    done = run_client(service.url, repository, "--image_file", str(image_folder), "--batch_size", batch_size)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    results = printed(done)
    assert list(results) == list(PHOTOGRAPHS), done.stdout
    assert_right(results.values(), PHOTOGRAPHS)
    assert "'espresso', 'cup', 'consomme'" in lines[1]
    assert re.fullmatch(r"The average time of prediction cost: \d+\.\d{3} s/image", lines[3])
    assert re.fullmatch(r"The average time cost: \d+\.\d{3} s/image", lines[4])
    assert lines[5] == "The average top-1 score: 0.556"


def test_both_forms_give_the_same_results(service: Service, image_folder: Path) -> None:
    as_tensor = post(service, tensor(image_folder, *PHOTOGRAPHS))
    as_images = post(service, {"images": encoded(image_folder, *PHOTOGRAPHS)})
    for answer in (as_tensor, as_images):
        assert (answer["status"], answer["msg"]) == ("000", "")
        assert sorted(answer["results"]) == ["elapse", "prediction"]
        assert 0 < answer["results"]["elapse"] < 60
        assert_right(answer["results"]["prediction"], PHOTOGRAPHS)
        for entry in answer["results"]["prediction"]:
            assert sorted(entry) == ["class_ids", "label_names", "scores"]
    assert as_tensor["results"]["prediction"] == as_images["results"]["prediction"]


@pytest.mark.parametrize("left", [OPERATIONS, ["to_chw"]])
def test_what_preprocess_leaves_to_the_server_is_done_there(
    service: Service, image_folder: Path, left: list[str]
) -> None:
    complete = post(service, tensor(image_folder, *PHOTOGRAPHS))["results"]["prediction"]
    request = tensor(image_folder, *PHOTOGRAPHS, left=left)
    assert request["revert_params"]["shape"] == [3, 224, 224, 3]
    answer = post(service, request)
    assert (answer["status"], answer["msg"]) == ("000", "")
    assert_right(answer["results"]["prediction"], PHOTOGRAPHS)
    assert_same(answer["results"]["prediction"], complete, 1.1e-5)


@pytest.mark.parametrize(
    ("service", "workers"),
    [on("PaddleHub", []), on("PaddleHub with workers", ["--use_multiprocess", "--workers", "2"])],
    indirect=["service"],
    scope="session",
)
def test_both_servers_give_the_same_results(
    service: Service, image_folder: Path, tmp_path: Path, workers: list[str]
) -> None:
    """Scores may differ by a unit in the last place."""
    body = {"images": encoded(image_folder, *PHOTOGRAPHS), "top_k": 20}
    of_hub = post(service, body)["results"]["prediction"]
    with clas_serving(tmp_path, "-m", "clas_system", "--predictors", "1", *workers) as standalone:
        answer = requests.post(standalone.url, json=body, timeout=60).json()
    assert [len(entry["class_ids"]) for entry in of_hub] == [20, 20, 20]
    assert_same(answer["results"]["prediction"], of_hub, 2e-5)


def test_one_bad_image_does_not_fail_the_others(service: Service, image_folder: Path) -> None:
    images = encoded(image_folder, "coffee.png", "rocket.jpg")
    answer = post(service, {"images": [images[0], "AAAA", images[1]], "top_k": 5})
    first, bad, last = answer["results"]["prediction"]
    assert_right([first, last], ["coffee.png", "rocket.jpg"])
    assert bad["class_ids"] == bad["scores"] == bad["label_names"] == []
    assert "can't be decoded" in bad["error"]


def test_a_requests_top_k_is_heeded(service: Service, image_folder: Path) -> None:
    answer = post(service, {**tensor(image_folder, "coffee.png"), "top_k": 2})
    assert answer["results"]["prediction"][0]["class_ids"] == [967, 968]


def test_many_concurrent_clients_get_their_own_answers(service: Service, image_folder: Path) -> None:
    ask_concurrently(service, image_folder, 60)


def ask_concurrently(service: Service, image_folder: Path, count: int) -> None:
    batches = [(name,) for name in PHOTOGRAPHS] + [PHOTOGRAPHS, PHOTOGRAPHS[::-1], PHOTOGRAPHS[:2]]
    bodies = [tensor(image_folder, *names) for names in batches]
    bodies += [{"images": encoded(image_folder, *names)} for names in batches]

    def classify(number: int) -> None:
        names = batches[number % len(batches)]
        answer = post(service, bodies[number % len(bodies)])
        assert_right(answer["results"]["prediction"], names)

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(classify, range(count)))


@ONLY_HUB
def test_each_forked_worker_opened_a_model_of_its_own_once(service: Service, image_folder: Path) -> None:
    """After concurrent clients, both have had work; a single process opens none anew."""
    ask_concurrently(service, image_folder, 40)
    opened = re.findall(r"model loaded in forked worker (\d+), threads: 1", service.log.read_text())
    workers = {str(child.pid) for child in psutil.Process(service.pid).children()}
    assert len(opened) == len(set(opened))
    assert set(opened) == workers
    assert len(workers) in (0, 2)


@ONLY_HUB
def test_the_start_up_log_says_what_runs(service: Service, installed: dict[str, str]) -> None:
    home = Path(installed["HUB_HOME"]) / "modules" / "clas_system"
    log = service.log.read_text()
    assert f"code: {home}\n" in log
    assert f"model: {home / 'inference'}, format: pdmodel" in log  # and others, if they were exported, too
    assert re.search(r"device: CPU, MKL-DNN: on, precision: fp32, threads: \d+\n", log)
    assert f"top_k: 5, labels: 1000 ({home / 'imagenet1k_label_list.txt'})\n" in log


def huge_png() -> str:
    """A PNG file that claims 100,000 x 100,000 pixels."""
    file = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    for name, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        file += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return base64.b64encode(file).decode()


def pixels(*preprocess: str) -> dict[str, Any]:
    """A black image, and what is to be done to it."""
    return {**encode(np.zeros((1, 224, 224, 3), np.uint8)), "preprocess": list(preprocess)}


def nan_batch() -> dict[str, Any]:
    return dict(encode(np.full((1, 3, 224, 224), np.nan, np.float32)))


def one_float(**revert_params: object) -> dict[str, Any]:
    """A request whose tensor holds four bytes."""
    described = {"shape": [1], "dtype": "float32", **revert_params}
    return {"images": base64.b64encode(bytes(4)).decode(), "revert_params": described}


def zeros(*shape: int) -> dict[str, Any]:
    return dict(encode(np.zeros(shape, np.float32)))


BAD_REQUESTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "images is missing; it takes"),
    ({**one_float(), "images": "?"}, "images is not base64"),
    (one_float(shape=[2]), "images holds 4 bytes; revert_params.shape [2] of float32 takes 8"),
    (one_float(dtype="object"), "revert_params.dtype is 'object'; it takes a number type"),
    (one_float(), "revert_params.shape is [1]; the model takes [N, 3, 224, 224]"),
    (one_float(shape=[0]), "revert_params.shape is [0]; it takes 1 to 8 numbers from 1 to 2147483647"),
    (zeros(1, 3, 192, 192), "[1, 3, 192, 192]; the model takes [N, 3, 224, 224]: use --resize_short"),
    (zeros(1, 1, 224, 224), "the model takes [N, 3, 224, 224]"),
    (nan_batch(), "images holds NaN or infinity"),
    ({"images": []}, "images is an empty list"),
    ({"images": ["AAAA"], "top_k": 0}, "top_k is 0; it takes a whole number from 1 to 1000"),
    ({"images": ["AAAA"], "top_k": 1001}, "top_k is 1001; it takes a whole number from 1 to 1000"),
    ({"images": ["AAAA"], "topk": 1}, "unknown field 'topk'"),
    ({"images": ["AAAA"], "use_gpu": True}, "use_gpu"),
    (
        pixels("to_chw", "normalize"),
        "preprocess is ['to_chw', 'normalize']; it takes a list of normalize",
    ),
    (
        pixels("normalize", "normalize", "to_chw"),
        "preprocess is ['normalize', 'normalize', 'to_chw']; it",
    ),
    (pixels("normalize", "flip"), "preprocess is ['normalize', 'flip']; it takes a list of normalize"),
    ({**pixels(), "preprocess": "normalize"}, "preprocess is 'normalize'; it takes a list of normalize"),
    ({"images": ["AAAA"], "preprocess": OPERATIONS}, "preprocess goes with a tensor in images"),
    (
        {**zeros(1, 3, 224, 224), "preprocess": OPERATIONS},
        "revert_params.shape is [1, 3, 224, 224]; preprocess takes a batch [N, H, W, 3]",
    ),
)


def test_bad_input_is_refused_and_the_next_good_request_answered(
    service: Service, image_folder: Path
) -> None:
    good = tensor(image_folder, "coffee.png")
    for body, message in BAD_REQUESTS:
        answer = post(service, body)
        assert answer.keys() == {"status", "msg", "results"}
        assert answer["status"] == "101"
        assert message in answer["msg"]
        assert answer["results"] == ""
        assert "Traceback" not in answer["msg"]
        assert_right(post(service, good)["results"]["prediction"], ["coffee.png"])


def test_a_huge_image_is_refused_by_its_header_within_bounded_memory(
    service: Service, image_folder: Path
) -> None:
    def memory() -> int:
        server = psutil.Process(service.pid)
        return sum(process.memory_info().rss for process in (server, *server.children(recursive=True)))

    post(service, {"images": encoded(image_folder, "coffee.png")})
    before = memory()
    answer = post(service, {"images": [huge_png(), *encoded(image_folder, "coffee.png")]})
    bad, good = answer["results"]["prediction"]
    assert "max_image_pixels" in bad["error"]
    assert_right([good], ["coffee.png"])
    assert memory() < before + 200_000_000  # its pixels would be 30 GB


def test_base64_and_json_are_read_as_other_tools_write_them(service: Service, image_folder: Path) -> None:
    """Line breaks as of MIME, a data: prefix, the URL-safe alphabet, no padding, a byte order mark."""
    [text] = encoded(image_folder, "coffee.png")
    batch = tensor(image_folder, "rocket.jpg")
    ways: tuple[Callable[[str], str], ...] = (
        lambda text: "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76)),
        lambda text: f"data:image/png;base64,{text}",
        lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
    )
    for way in ways:
        answer = post(service, {"images": [way(text)]})
        assert_right(answer["results"]["prediction"], ["coffee.png"])
        answer = post(service, {**batch, "images": way(batch["images"])})
        assert_right(answer["results"]["prediction"], ["rocket.jpg"])
    body = codecs.BOM_UTF8 + json.dumps(batch).encode()
    headers = {"Content-Type": "application/json"}
    answer = requests.post(service.url, data=body, headers=headers, timeout=60).json()
    assert_right(answer["results"]["prediction"], ["rocket.jpg"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"\xc7": 1}',
        b'{"images": ["AAAA"], "top_k": "\xc7"}',
        b'{"images": "AAAA", "revert_params": {"shape": [1], "dtype": "\xc7"}}',
        b'{"images": "AAAA", "preprocess": ["\xc7"], "revert_params": {"shape": [1], "dtype": "uint8"}}',
    ],
)
def test_json_that_is_not_utf_8_is_refused_as_such(service: Service, body: bytes) -> None:
    """Behind PaddleHub, by Flask, before the module sees it."""
    headers = {"Content-Type": "application/json"}
    response = requests.post(service.url, data=body, headers=headers, timeout=60)
    assert response.status_code == 400


def test_a_lone_surrogate_in_a_request_is_no_fault_of_the_server(service: Service) -> None:
    """JSON can say it, UTF-8 can't: neither the answer nor the log may fail by it."""
    one = {"shape": [1], "dtype": "uint8"}
    texts = (
        {"\ud800": 1},
        {"images": "\ud800", "revert_params": one},
        {"images": ["AAAA"], "top_k": "\ud800"},
    )
    for fields in (*texts, {"images": "AAAA", "revert_params": {"shape": [1], "dtype": "\ud800"}}):
        answer = post(service, fields)
        assert (answer["status"], answer["results"]) == ("101", "")
        assert not re.search("internal|failed", answer["msg"])


@ONLY_HUB
@pytest.mark.parametrize("body", ["[1]", '"text"', "{", ""])
def test_what_is_no_json_object_is_refused_by_paddlehub_and_harms_nothing(
    service: Service, image_folder: Path, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = requests.post(service.url, data=body, headers=headers, timeout=60)
    assert response.status_code in (400, 415, 500)
    good = post(service, tensor(image_folder, "rocket.jpg"))
    assert_right(good["results"]["prediction"], ["rocket.jpg"])


def test_all_three_forms_of_the_wire_give_the_same_classes(
    service: Service, repository: Path, image_folder: Path
) -> None:
    """Scores are printed with five decimals, so that to 1e-5 means one unit in the last of them."""
    results = {}
    for wire in ("float32", "uint8", "encoded"):
        flags = ["--image_file", str(image_folder), "--batch_size", "2", "--concurrency", "3", "--wire", wire]
        done = run_client(service.url, repository, *flags)
        assert done.returncode == 0, done.stderr
        results[wire] = printed(done)
        assert list(results[wire]) == list(PHOTOGRAPHS)
        assert [entry["class_ids"] for entry in results[wire].values()] == [ids for ids, _ in TOP_5.values()]
    assert_right(results["float32"].values(), PHOTOGRAPHS)
    assert_same(results["uint8"].values(), results["float32"].values(), 1.1e-5)
    assert_same(results["encoded"].values(), results["float32"].values(), 1e-4)


@pytest.mark.parametrize("service", on_each(["standalone"]), indirect=True)
@pytest.mark.parametrize(
    ("flags", "described", "more"),
    [
        ([], ([3, 3, 224, 224], "float32"), {}),
        (["--wire", "float32"], ([3, 3, 224, 224], "float32"), {}),
        (["--wire", "uint8"], ([3, 224, 224, 3], "uint8"), {"preprocess": OPERATIONS}),
        (["--wire", "uint8", "--normalize", "0"], ([3, 224, 224, 3], "uint8"), {"preprocess": ["to_chw"]}),
    ],
)
def test_the_tensor_forms_of_the_wire_are_what_the_server_gets(
    service: Service,
    repository: Path,
    image_folder: Path,
    flags: list[str],
    described: tuple[list[int], str],
    more: dict[str, Any],
) -> None:
    sent = request_of_the_client(service, repository, image_folder, *flags)
    assert isinstance(sent.pop("images"), str)
    assert sent == {"revert_params": {"shape": described[0], "dtype": described[1]}, **more}


@pytest.mark.parametrize("service", on_each(["standalone"]), indirect=True)
def test_the_encoded_form_of_the_wire_is_the_files_as_they_are(
    service: Service, repository: Path, image_folder: Path
) -> None:
    sent = request_of_the_client(service, repository, image_folder, "--wire", "encoded")
    assert sent == {"images": encoded(image_folder, *PHOTOGRAPHS)}


def request_of_the_client(
    service: Service, repository: Path, image_folder: Path, *flags: str
) -> dict[str, Any]:
    """What the client sends, looked at on its way to the server."""
    with scripted_service(lambda request: Reply(post(service, request))) as between:
        done = run_client(
            between.url, repository, "--image_file", str(image_folder), "--batch_size", "3", *flags
        )
    assert (done.returncode, len(printed(done))) == (0, 3), done.stderr
    [sent] = between.requests
    return sent


@pytest.fixture(scope="session")
def many_images(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with as many different images, cut out of three photographs; but one is no image."""
    directory = tmp_path_factory.mktemp("many_images")
    images = [cv2.imread(str(photographs / name)) for name in PHOTOGRAPHS]
    for number in range(NUM_IMAGES):
        image, left = images[number % len(images)], 5 * (number // len(images))
        assert image is not None
        assert cv2.imwrite(str(directory / f"{number:02}.jpg"), image[:, left : left + 350])
    (directory / BROKEN).write_text("no image")
    return directory


@ONLY_STANDALONE
@pytest.mark.parametrize("wire", ["float32", "encoded"])
def test_concurrent_requests_are_printed_as_those_in_turn_are(
    service: Service, repository: Path, many_images: Path, wire: str
) -> None:
    """With float32 the client finds the broken file; with encoded the server does, among good ones."""
    flags = ["--image_file", str(many_images), "--batch_size", "3", "--wire", wire]
    in_turn, at_once = (
        run_client(service.url, repository, *flags, "--concurrency", number) for number in ("1", "4")
    )
    names = sorted(path.name for path in many_images.iterdir() if path.name != BROKEN)
    for done in (in_turn, at_once):
        assert done.returncode == 1
        said, totals = done.stderr.splitlines()
        assert re.fullmatch(rf"ERROR: {BROKEN}: the image can't be decoded: .+", said)
        assert totals == f"{NUM_IMAGES} files: {NUM_IMAGES - 1} answered, 1 failed"
        results = printed(done)
        assert list(results) == names
        assert len({str(entry["scores"]) for entry in results.values()}) == NUM_IMAGES - 1
    *lines, _, _, top_1 = at_once.stdout.splitlines()
    assert lines == in_turn.stdout.splitlines()[:-3]
    assert top_1 == in_turn.stdout.splitlines()[-1]


def test_a_late_answer_keeps_its_place_among_four_requests_at_once(repository: Path, tmp_path: Path) -> None:
    """Of each four requests none is answered before all have come, and then the last one first."""
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_text(str(number))
    all_came = threading.Barrier(4, timeout=PATIENCE_S)
    answered = [threading.Event() for _ in range(8)]
    under_way: set[int] = set()
    at_once: list[int] = []
    order: list[int] = []

    def answer(request: dict[str, Any]) -> Reply:
        number = int(base64.b64decode(request["images"][0]))
        under_way.add(number)
        at_once.append(len(under_way))
        all_came.wait()
        assert number % 4 == 3 or answered[number + 1].wait(PATIENCE_S)
        order.append(number)
        under_way.remove(number)
        answered[number].set()
        entry = {"class_ids": [number], "scores": [0.5], "label_names": ["name"]}
        return Reply(envelope({"prediction": [entry], "elapse": 0.1}))

    flags = ["--image_file", str(tmp_path), "--wire", "encoded", "--concurrency", "4", "--retries", "0"]
    with scripted_service(answer) as service:
        done = run_client(service.url, repository, *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert order == [3, 2, 1, 0, 7, 6, 5, 4]
    assert max(at_once) == 4
    results = printed(done)
    assert list(results) == [f"{number}.jpg" for number in range(8)]
    assert [entry["class_ids"] for entry in results.values()] == [[number] for number in range(8)]


def test_the_client_says_in_one_line_what_the_server_refuses(
    service: Service, repository: Path, image_folder: Path
) -> None:
    flags = ["--image_file", str(image_folder), "--batch_size", "3", "--crop_size", "192"]
    done = run_client(service.url, repository, *flags)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-3] == (
        "ERROR: chelsea.png ... rocket.jpg (3 images): the server refused (status 101): revert_params.shape "
        "is [3, 3, 192, 192]; the model takes [N, 3, 224, 224]: use --resize_short 256 --crop_size 224"
    )


@ONLY_HUB
def test_the_client_reads_another_modules_refusal(
    service: Service, repository: Path, image_folder: Path
) -> None:
    url = service.url.replace("clas_system", "other")
    done = run_client(url, repository, "--image_file", str(image_folder / "coffee.png"))
    assert done.returncode == 1
    assert "the server refused (status 111): Module other is not available." in done.stderr
