"""Several models on a Ray cluster, each in an application of its own."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from clas_client.batches import stacked_body
from ray_cluster import RayService, Stream, client, write_numbered_images
from serving_process import eventually
from tiny_models import numbered_batch, solid_batch

pytestmark = pytest.mark.xdist_group("ray")
NAMES = ["birds", "broken", "flowers"]
CLIENTS = 2
OK = requests.codes.ok


@pytest.fixture(scope="module")
def models(
    numbering_model: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Two models, and one whose files are damaged."""
    broken = tmp_path_factory.mktemp("broken")
    for file in tiny_model.iterdir():
        (broken / file.name).write_bytes(b"not a model")
    return {
        "birds": {"inference_model_dir": str(tiny_model)},
        "broken": {"inference_model_dir": str(broken)},
        "flowers": {"inference_model_dir": str(numbering_model)},
    }


@pytest.fixture
def service(ray_nodes: RayService, models: dict[str, Any]) -> RayService:
    """Both models that can be loaded answer, and the broken one has been given up."""
    ray_nodes.deploy_models(models)
    ray_nodes.await_replicas(1, "birds")
    ray_nodes.await_replicas(1, "flowers")
    eventually(lambda: ray_nodes.deployment("broken")["status"] == "DEPLOY_FAILED", 120)
    eventually(lambda: states(ray_nodes)["broken"] == "unavailable")
    eventually(lambda: all(is_routed(ray_nodes, name) for name in ("birds", "flowers") for _ in range(8)))
    return ray_nodes


def is_routed(service: RayService, name: str) -> bool:
    """Whether a proxy knows the way; each connection may come to that of another node."""
    return bool(requests.get(f"{service.base}/v2/models/{name}/ready", timeout=30).status_code == OK)


def post(service: RayService, name: str, batch: np.ndarray[Any, Any]) -> requests.Response:
    headers = {"Content-Type": "application/json"}
    return requests.post(
        f"{service.base}/predict/{name}", data=stacked_body(list(batch)), headers=headers, timeout=60
    )


def best(answer: requests.Response) -> list[int]:
    assert answer.status_code == OK, answer.text
    return [entry["class_ids"][0] for entry in answer.json()["results"]["prediction"]]


def states(service: RayService) -> dict[str, str]:
    return {model["name"]: model["state"] for model in service.root()["models"]}


def test_each_model_is_answered_by_its_own_deployment(service: RayService) -> None:
    assert best(post(service, "flowers", numbered_batch(7, 3))) == [7, 3]
    assert best(post(service, "birds", solid_batch(2, 0))) == [2, 0]


def test_both_protocols_name_the_model(service: RayService) -> None:
    address = f"{service.base}/v2/models/flowers"
    [image] = requests.get(address, timeout=30).json()["inputs"]
    batch = numbered_batch(5)
    head = {"name": image["name"], "shape": batch.shape, "datatype": "FP32"}
    text = json.dumps({"inputs": [{**head, "parameters": {"binary_data_size": batch.nbytes}}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    answer = requests.post(f"{address}/infer", data=text + batch.tobytes(), headers=headers, timeout=30)
    assert np.argmax(answer.json()["outputs"][0]["data"]) == 5
    birds = f"{service.base}/v2/models/birds"
    assert requests.get(birds, timeout=30).json()["name"] == "birds"
    assert requests.get(f"{birds}/ready", timeout=30).json() == {"name": "birds", "ready": True}
    refused = requests.post(f"{birds}/infer", json={"inputs": []}, timeout=30)
    assert (refused.status_code, list(refused.json())) == (400, ["error"])


def test_one_address_tells_of_all_models(service: RayService) -> None:
    root = service.root()
    assert states(service) == {"birds": "ready", "broken": "unavailable", "flowers": "ready"}
    assert {model["name"]: model["predict"] for model in root["models"]} == {
        name: f"/predict/{name}" for name in NAMES
    }
    birds, broken, flowers = root["models"]
    assert (birds["model"]["classes"], flowers["model"]["classes"]) == (6, 1000)
    assert (broken["model"], broken["reason"]) == (None, "its replicas can't be started: see `serve status`")
    assert root["model"] == birds["model"]
    assert requests.get(f"{service.base}/health/ready", timeout=30).json() == {"status": "ready"}
    assert requests.get(f"{service.base}/v2/health/ready", timeout=30).json() == {"ready": True}
    assert requests.get(f"{service.base}/v2", timeout=30).json()["name"] == "clas_system"
    for page in ("/ui", "/docs"):
        assert (
            requests.get(f"{service.base}{page}", timeout=30).headers["Content-Type"].startswith("text/html")
        )
    api = requests.get(f"{service.base}/openapi.json", timeout=30).json()
    assert api["paths"]["/predict/{name}"]["parameters"][0]["schema"]["enum"] == NAMES


def test_metrics_and_statistics_are_those_of_all_models(service: RayService) -> None:
    before = counts(service)
    best(post(service, "flowers", numbered_batch(1, 2, 3)))
    best(post(service, "birds", solid_batch(1)))
    after = counts(service)
    assert {name: after[name] - before[name] for name in after} == {"birds": 1, "flowers": 3}
    text = requests.get(f"{service.base}/metrics", timeout=30).text
    assert text.count("# TYPE clas_images_total counter") == 1
    assert f'clas_images_total{{model="flowers"}} {float(after["flowers"])}' in text
    assert 'clas_model_ready{model="birds"} 1.0' in text


def counts(service: RayService) -> dict[str, int]:
    """How many images each model has answered."""
    found = requests.get(f"{service.base}/v2/models/stats", timeout=30).json()["model_stats"]
    return {model["name"]: model["inference_count"] for model in found}


def test_a_model_that_cant_be_loaded_gets_503_and_the_others_serve(service: RayService) -> None:
    start = time.monotonic()
    refused = post(service, "broken", solid_batch(1))
    assert refused.status_code == 503
    assert refused.json()["msg"].startswith("the cluster has no room for this request now: ")
    assert int(refused.headers["Retry-After"]) >= 1
    again = requests.get(f"{service.base}/v2/models/broken/ready", timeout=30)
    assert (again.status_code, list(again.json())) == (503, ["error"])
    assert time.monotonic() - start < 5
    assert best(post(service, "birds", solid_batch(1))) == [1]


def test_a_model_that_isnt_there_is_named_beside_those_that_are(service: RayService) -> None:
    refused = post(service, "trees", solid_batch(1))
    assert (refused.status_code, refused.json()["results"]) == (404, "")
    assert refused.json()["msg"] == "there is no model 'trees'; this cluster has birds, broken, flowers"
    for path in ("trees", "trees/ready", "trees/stats"):
        again = requests.get(f"{service.base}/v2/models/{path}", timeout=30)
        assert (again.status_code, list(again.json())) == (404, ["error"])


def test_models_are_not_changed_on_request(service: RayService) -> None:
    for path in ("index", "models/birds/load", "models/birds/unload"):
        refused = requests.post(f"{service.base}/v2/repository/{path}", timeout=30)
        assert refused.status_code == 501
        assert "`serve deploy`" in refused.json()["error"]


def test_the_client_sends_a_folder_to_one_of_them(service: RayService, tmp_path: Path) -> None:
    folder = write_numbered_images(tmp_path / "images", 20)
    output = tmp_path / "results.jsonl"
    with client(f"{service.base}/predict/flowers", folder, output) as sending:
        said = sending.communicate(timeout=120)[1]
    assert sending.returncode == 0, said
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["class_ids"][0] for row in rows] == list(range(20))


def test_what_one_model_is_told_leaves_the_others_alone(service: RayService, models: dict[str, Any]) -> None:
    others = service.replicas("flowers"), service.replicas("overview")
    replica = service.replicas("birds")
    with Stream(f"{service.base}/predict/flowers", CLIENTS) as stream:
        stream.goes_on()
        service.deploy_models(models, birds={"user_config": {"topk": 2}})
        eventually(lambda: len(prediction(service)["class_ids"]) == 2)
        stream.goes_on()
    stream.check()
    assert {len(classes) for classes in stream.answers.values()} == {1}
    assert (service.replicas("flowers"), service.replicas("overview")) == others
    assert service.replicas("birds") == replica  # it was told so while it ran


def prediction(service: RayService) -> dict[str, Any]:
    [entry] = post(service, "birds", solid_batch(1)).json()["results"]["prediction"]
    assert isinstance(entry, dict)
    return entry


def test_a_model_that_comes_or_goes_leaves_the_others_alone(
    service: RayService, models: dict[str, Any]
) -> None:
    before = service.replicas("flowers")
    with Stream(f"{service.base}/predict/flowers", CLIENTS) as stream:
        stream.goes_on()
        service.deploy_models({"flowers": models["flowers"], "fish": models["birds"]})
        service.await_replicas(1, "fish")
        eventually(lambda: states(service) == {"flowers": "ready", "fish": "ready"})
        assert best(post(service, "fish", solid_batch(2))) == [2]
        eventually(lambda: post(service, "birds", solid_batch(1)).status_code == 404)
        stream.goes_on()
    stream.check()
    assert service.replicas("flowers") == before


def test_all_of_them_may_be_below_a_path(ray_nodes: RayService, models: dict[str, Any]) -> None:
    ray_nodes.deploy_models({"birds": models["birds"], "flowers": models["flowers"]}, "/clas")
    below = f"{ray_nodes.base}/clas"
    eventually(lambda: requests.get(f"{below}/v2/models/birds/ready", timeout=60).status_code == OK, 60)
    body, headers = stacked_body(list(solid_batch(2))), {"Content-Type": "application/json"}
    assert best(requests.post(f"{below}/predict/birds", data=body, headers=headers, timeout=60)) == [2]
    root = requests.get(f"{below}/", timeout=30).json()
    assert [model["predict"] for model in root["models"]] == ["/clas/predict/birds", "/clas/predict/flowers"]
    assert root["ui"] == "/clas/ui"
    assert requests.get(f"{below}/ui", timeout=30).status_code == OK
    assert requests.get(f"{ray_nodes.base}/v2/models/birds", timeout=30).status_code == 404
