"""The service on a Ray cluster of several nodes, while processes are killed, nodes come and go.

`--minutes N` has each of these events come again and again for so long.
"""

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import psutil
import pytest
import requests

from clas_client.batches import stacked_body
from ray_cluster import RayService, Stream, client, write_numbered_images
from serving_process import eventually
from tiny_models import numbered_batch

pytestmark = pytest.mark.xdist_group("ray")
CLIENTS = 4
IMAGES = 800


@pytest.fixture
def service(ray_nodes: RayService, numbering_model: Path) -> RayService:
    """Two replicas, whatever other tests have deployed."""
    ray_nodes.ensure_two_replicas_of(numbering_model)
    return ray_nodes


@pytest.fixture(params=["replica", "node"])
def kill(request: pytest.FixtureRequest, service: RayService) -> Callable[[], tuple[str, set[str]]]:
    """Kills something; tells what, and the ids of the replicas that go with it."""

    def kill_replica() -> tuple[str, set[str]]:
        victim = service.replicas()[0]
        psutil.Process(victim["pid"]).kill()
        return "a killed replica", {victim["replica_id"]}

    def replace_node() -> tuple[str, set[str]]:
        node = service.add_node()  # it joins; a replica comes there when the other node is gone
        victims = service.kill_a_node_with_a_replica(but_not=node)
        return "a killed node, with another that has joined", victims

    return kill_replica if request.param == "replica" else replace_node


def test_every_image_is_answered_once_while_parts_of_the_cluster_are_killed(
    service: RayService, kill: Callable[[], tuple[str, set[str]]], minutes: float | None
) -> None:
    deadline = time.monotonic() + 60 * (minutes or 0)
    with Stream(service.url, CLIENTS) as stream:
        while True:
            stream.goes_on()
            count = len(stream.answers)
            what, victims = kill()
            recovered_s = service.await_replicas(2, without=victims)
            stream.goes_on()
            print(
                f"{what}: both replicas are back after {recovered_s:.1f} s; "
                f"the longest wait was {stream.worst_since(count):.1f} s"
            )
            if time.monotonic() > deadline:
                break
    print(f"{len(stream.answers)} images")
    stream.check()


@pytest.mark.parametrize("kill", ["node"], indirect=True)
def test_the_client_has_every_image_of_a_folder_answered_meanwhile(
    service: RayService, kill: Callable[[], tuple[str, set[str]]], tmp_path: Path
) -> None:
    folder = write_numbered_images(tmp_path / "images", IMAGES)
    output = tmp_path / "results.jsonl"
    with client(service.url, folder, output) as sending:
        eventually(lambda: output.exists() and output.read_bytes().count(b"\n") >= 100)
        what, victims = kill()
        assert sending.poll() is None
        recovered_s = service.await_replicas(2, without=victims)
        said = sending.communicate(timeout=300)[1]
    print(f"{what}, while the client sent {IMAGES} images: back after {recovered_s:.1f} s")
    assert sending.returncode == 0, said
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["file"] for row in rows] == [f"{number:05}.png" for number in range(IMAGES)]
    assert [row["class_ids"][0] for row in rows] == [number % 1000 for number in range(IMAGES)]


@pytest.mark.parametrize("body", [b'{"\xc7": 1}', b'{"images": ["AAAA"], "top_k": "\xc7"}'])
def test_json_that_is_not_utf_8_is_refused_as_such(service: RayService, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = requests.post(service.url, data=body, headers=headers, timeout=60)
    assert (response.status_code, response.json()["status"]) == (400, "101")


def test_what_ray_refuses_is_in_the_envelope_and_the_rest_is_answered(
    service: RayService, numbering_model: Path
) -> None:
    """With room for one request in each replica and one in the proxy, most of sixteen get 503 by Ray."""
    service.deploy(numbering_model, num_replicas=2, max_ongoing_requests=1, max_queued_requests=1)
    service.await_replicas(2)
    body = stacked_body(list(numbered_batch(7)))
    headers = {"Content-Type": "application/json"}

    def send(_: int) -> requests.Response:
        return requests.post(service.url, data=body, headers=headers, timeout=60)

    with ThreadPoolExecutor(16) as executor:
        answers = list(executor.map(send, range(200)))
    counts = Counter(answer.status_code for answer in answers)
    assert counts.keys() == {200, 503}, counts
    for answer in answers:
        if answer.status_code == requests.codes.ok:
            assert answer.json()["results"]["prediction"][0]["class_ids"][0] == 7
        else:
            assert answer.json() == {"status": ANY, "msg": ANY, "results": ""}
            assert answer.json()["msg"].startswith("the cluster has no room for this request now: ")
            assert int(answer.headers["Retry-After"]) >= 1
    with Stream(service.url, CLIENTS) as stream:  # clients that ask again get through
        stream.goes_on(100)
    stream.check()


def test_a_new_configuration_takes_over_and_no_image_is_lost(
    service: RayService, numbering_model: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(numbering_model, tmp_path / "other_model"))
    replicas = {one["replica_id"] for one in service.replicas()}
    with Stream(service.url, CLIENTS) as stream:
        stream.goes_on()
        start = time.monotonic()
        service.deploy(other, user_config={"topk": 3}, num_replicas=2)
        eventually(lambda: service.root()["model"]["name"] == "other_model")  # it has begun
        service.await_replicas(2)  # and is done
        print(f"a new model and top_k: everywhere after {time.monotonic() - start:.1f} s")
        before = max(stream.answers)
        stream.goes_on(100)
    stream.check()
    lengths = {number: len(classes) for number, classes in stream.answers.items()}
    assert set(lengths.values()) == {1, 3}
    assert {length for number, length in lengths.items() if number > before + CLIENTS} == {3}
    assert {one["replica_id"] for one in service.replicas()} == replicas  # none was started anew


def test_a_configuration_that_cant_be_used_changes_nothing(service: RayService, tmp_path: Path) -> None:
    model = service.root()["model"]
    with Stream(service.url, CLIENTS) as stream:
        stream.goes_on()
        before = service.log().count("the one before stays")
        service.deploy(tmp_path / "nothing_there", num_replicas=2)
        eventually(lambda: service.log().count("the one before stays") == before + 2)
        service.await_replicas(2)
        stream.goes_on(100)
    stream.check()
    assert service.root()["model"] == model


def test_the_same_routes_answer_and_refuse_as_everywhere(service: RayService) -> None:
    assert requests.get(f"{service.base}/health/live", timeout=30).json() == {"status": "live"}
    assert requests.get(f"{service.base}/health/ready", timeout=30).json() == {"status": "ready"}
    assert "clas_requests_total" in requests.get(f"{service.base}/metrics", timeout=30).text
    nothing = requests.get(f"{service.base}/nothing", timeout=30)
    assert (nothing.status_code, nothing.json()["results"]) == (404, "")
    invalid = requests.post(service.url, json={"image": 1}, timeout=30)
    assert invalid.status_code == 400
    assert "image" in invalid.json()["msg"]


def test_the_open_inference_protocol_is_spoken_too(service: RayService) -> None:
    model = f"{service.base}/v2/models/clas_system"
    assert requests.get(f"{service.base}/v2/health/ready", timeout=30).json() == {"ready": True}
    [image] = requests.get(model, timeout=30).json()["inputs"]
    batch = numbered_batch(7, 3)
    head = {"name": image["name"], "shape": batch.shape, "datatype": "FP32"}
    text = json.dumps({"inputs": [{**head, "parameters": {"binary_data_size": batch.nbytes}}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    answer = requests.post(f"{model}/infer", data=text + batch.tobytes(), headers=headers, timeout=30)
    [scores] = answer.json()["outputs"]
    assert np.reshape(scores["data"], scores["shape"]).argmax(axis=1).tolist() == [7, 3]
    refused = requests.post(f"{model}/infer", json={"inputs": []}, timeout=30)
    assert (refused.status_code, list(refused.json())) == (400, ["error"])


def test_our_metrics_are_among_rays(service: RayService) -> None:
    eventually(lambda: "ray_clas_images_total{" in service.node_metrics())


def test_replicas_come_under_load_and_go_after_it(service: RayService, numbering_model: Path) -> None:
    scaling: dict[str, Any] = {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": 1,
        "upscale_delay_s": 1,
        "downscale_delay_s": 2,
        "metrics_interval_s": 0.5,
        "look_back_period_s": 2,
    }
    service.deploy(numbering_model, autoscaling_config=scaling)
    service.await_replicas(1)
    start = time.monotonic()
    with Stream(service.url, 2 * CLIENTS) as stream:
        service.await_replicas(2)
        print(f"a second replica {time.monotonic() - start:.1f} s after the load came")
        stream.goes_on()
    start = time.monotonic()
    service.await_replicas(1)
    print(f"one replica again {time.monotonic() - start:.1f} s after it went")
    stream.check()
