"""A Ray cluster of several nodes on this machine, what is deployed to it, and images to send it."""

import contextlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
import requests
import yaml
from ray._private.authentication_test_utils import reset_auth_token_state
from ray.cluster_utils import Cluster

from clas.protocol import MODULE_NAME
from clas_client.batches import stacked_body
from clas_client.reply import ServiceError
from clas_client.sender import Sender
from server_process import free_port
from serving_process import REPOSITORY, eventually
from tiny_models import numbered_batch

ENV = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would report to its makers
    "RAY_AUTH_MODE": "token",  # its own ports are open to the network, and who reaches them can run code
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "clas.serving.on_ray.app:proxy_middlewares",
    "RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT": "1",  # a model that can't be loaded is given up at once
    "PYTHONPATH": str(REPOSITORY),
}
_OBJECT_STORE_BYTES = 80 * 2**20
_DEPLOY_TIMEOUT_S = 120.0
_SIZES = {
    "crop_size": 32,
    "resize_short": 32,
    "class_id_map_file": "",
    "topk": 1,
    "engine": "openvino",  # else Paddle is imported to try what OpenVINO can't load
}


class RayService:
    """A cluster with the service on it.

    Attributes:
        base: Its address, without a path.
        url: Where predictions are asked for.
    """

    def __init__(self, directory: Path, temp_dir: Path) -> None:
        self._directory, self._temp_dir = directory, temp_dir
        self._port, dashboard = free_port(), free_port()
        self._dashboard = f"http://127.0.0.1:{dashboard}"
        self.base = f"http://127.0.0.1:{self._port}"
        self.url = f"{self.base}/predict/clas_system"
        self._head_args = {"include_dashboard": True, "dashboard_port": dashboard, "temp_dir": str(temp_dir)}
        self._cluster = Cluster()
        self._deployed: object = None

    def start_head(self) -> None:
        """The first node; without replicas, since nobody can do without it."""
        self._add_node(num_cpus=0, **self._head_args)

    def add_node(self, num_cpus: int = 1) -> Any:
        """One more node; a CPU is room for one replica, or for two of several models."""
        return self._add_node(num_cpus=num_cpus)

    def _add_node(self, **arguments: Any) -> Any:
        return self._cluster.add_node(object_store_memory=_OBJECT_STORE_BYTES, **arguments)

    def kill_a_node_with_a_replica(self, but_not: Any) -> set[str]:
        """End all processes of a node at once; gives the ids of its replicas."""
        replicas = self.replicas()
        busy = {one["node_id"] for one in replicas}
        nodes = [node for node in self._cluster.worker_nodes if node is not but_not and node.node_id in busy]
        self._cluster.remove_node(nodes[0], allow_graceful=False)
        return {one["replica_id"] for one in replicas if one["node_id"] == nodes[0].node_id}

    def node_metrics(self) -> str:
        """What Prometheus reads from all nodes."""
        nodes = [self._cluster.head_node, *self._cluster.worker_nodes]
        texts = (
            requests.get(f"http://{node.node_ip_address}:{node.metrics_export_port}/metrics", timeout=30)
            for node in nodes
        )
        return "".join(answer.text for answer in texts)

    def shut_down(self) -> None:
        self._cluster.shutdown()  # type: ignore[no-untyped-call]

    def deploy(self, model: Path, *, user_config: dict[str, Any] | None = None, **deployment: Any) -> None:
        """`serve deploy` the repository's serve_config.yaml with these changes; returns before it is done."""
        self._deployed = (model, user_config, deployment)
        config = yaml.safe_load((REPOSITORY / "serve_config.yaml").read_text())
        config["http_options"].update(host="127.0.0.1", port=self._port)
        [application] = config["applications"]
        [changed] = application["deployments"]
        if "num_replicas" in deployment:
            del changed["autoscaling_config"]
        changed["user_config"] = {**_SIZES, "inference_model_dir": str(model), **(user_config or {})}
        changed["ray_actor_options"]["num_cpus"] = 1
        changed["health_check_period_s"] = 1
        changed.update(deployment)
        self._serve_deploy(config)

    def deploy_models(
        self, models: Mapping[str, Mapping[str, Any]], root_path: str = "", **deployments: Mapping[str, Any]
    ) -> None:
        """`serve deploy` models as the repository's serve_models.yaml does, unless they were deployed last.

        Args:
            models: Name -> init_args.
            root_path: What precedes all paths.
            **deployments: Name -> what is said of its deployment.
        """
        if self._deployed == (models, root_path, deployments):
            return
        self._deployed = (models, root_path, deployments)
        config = yaml.safe_load((REPOSITORY / "serve_models.yaml").read_text())
        config["http_options"].update(host="127.0.0.1", port=self._port)
        overview = config["applications"][0]
        overview["route_prefix"] = root_path or "/"
        overview["deployments"][0]["user_config"] = {"models": list(models), "root_path": root_path}
        config["applications"] = [overview]
        for name, init_args in models.items():
            deployment = {"name": name, "ray_actor_options": {"num_cpus": 0.5}, "health_check_period_s": 1}
            application = {
                "name": name,
                "route_prefix": f"{root_path}/predict/{name}",
                "import_path": "clas.serving.ray_app:model",
                "args": {
                    "modules_info": {name: {"init_args": {**_SIZES, **init_args}}},
                    "root_path": root_path,
                },
                "deployments": [{**deployment, **deployments.get(name, {})}],
            }
            config["applications"].append(application)
        self._serve_deploy(config)

    def _serve_deploy(self, config: object) -> None:
        file = self._directory / "serve_config.yaml"
        file.write_text(yaml.safe_dump(config))
        command = [str(Path(sys.executable).parent / "serve"), "deploy", "-a", self._dashboard, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def ensure_two_replicas_of(self, model: Path) -> None:
        """Deploy that, unless it was deployed last, and wait for both."""
        if self._deployed != (model, None, {"num_replicas": 2}):
            self.deploy(model, num_replicas=2)
        self.await_replicas(2)

    def replicas(self, name: str = MODULE_NAME) -> list[dict[str, Any]]:
        """Those of a model that run: pid, node_id and more of each."""
        return [one for one in self.deployment(name).get("replicas", []) if one["state"] == "RUNNING"]

    def deployment(self, name: str = MODULE_NAME) -> dict[str, Any]:
        """What Ray knows of a model's deployment; empty while there is none."""
        headers = {"Authorization": f"Bearer {ENV['RAY_AUTH_TOKEN']}"}
        answer = requests.get(f"{self._dashboard}/api/serve/applications/", headers=headers, timeout=30)
        deployments = answer.json()["applications"].get(name, {}).get("deployments", {})
        found: dict[str, Any] = deployments.get(name, {})
        return found

    def log(self) -> str:
        """What all replicas have logged."""
        files = [*self._temp_dir.glob("session_latest/logs/worker-*.err")]
        files += self._temp_dir.glob("session_latest/logs/serve/replica_*.log")
        return "".join(file.read_text(errors="replace") for file in files)

    def await_replicas(
        self, count: int, name: str = MODULE_NAME, *, without: AbstractSet[str] = frozenset()
    ) -> float:
        """Wait until so many run, and no others are coming or going.

        Args:
            count: How many.
            name: The model's.
            without: Ids of replicas that are not to be among them.

        Returns:
            How long it took, in seconds.
        """
        start = time.monotonic()

        def are_there() -> bool:
            deployment = self.deployment(name)
            replicas = deployment.get("replicas", [])
            running = {one["replica_id"] for one in replicas if one["state"] == "RUNNING"}
            is_done = deployment.get("status") == "HEALTHY" and len(running) == len(replicas) == count
            return is_done and not running & without

        eventually(are_there, _DEPLOY_TIMEOUT_S)
        return time.monotonic() - start

    def root(self) -> Any:
        return requests.get(f"{self.base}/", timeout=30).json()


@contextlib.contextmanager
def ray_service(directory: Path) -> Iterator[RayService]:
    """A cluster that has a head only; nothing of it is left after the block."""
    with _environment() as temp_dir:
        service = RayService(directory, temp_dir)
        try:
            service.start_head()
            yield service
        finally:
            service.shut_down()


class JobCluster:
    """A cluster for jobs: a head, and nodes with cores that come and go.

    Attributes:
        address: What RAY_ADDRESS is for the driver of a job.
        nodes: Those that have cores.
    """

    def __init__(self, temp_dir: Path) -> None:
        self._cluster = Cluster()
        head: dict[str, Any] = {"num_cpus": 0, "include_dashboard": False, "temp_dir": str(temp_dir)}
        self._cluster.add_node(object_store_memory=_OBJECT_STORE_BYTES, **head)
        self.address = self._cluster.address
        self.nodes: list[Any] = []

    def add_node(self, cores: int = 1) -> Any:
        node = self._cluster.add_node(object_store_memory=_OBJECT_STORE_BYTES, num_cpus=cores)
        self.nodes.append(node)
        return node

    def kill_node(self, node: Any) -> None:
        """End all processes of a node at once."""
        self._cluster.remove_node(node, allow_graceful=False)
        self.nodes.remove(node)

    def actors(self, node: Any) -> list[psutil.Process]:
        """The processes of a job's actors on a node."""
        found = []
        for raylet in node.all_processes["raylet"]:
            for child in psutil.Process(raylet.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if "ray::MapWorker" in " ".join(child.cmdline()):
                        found.append(child)
        return found

    def shut_down(self) -> None:
        self._cluster.shutdown()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def job_cluster() -> Iterator[JobCluster]:
    """A cluster that has a head only; nothing of it is left after the block."""
    with _environment() as temp_dir:
        cluster = JobCluster(temp_dir)
        try:
            yield cluster
        finally:
            cluster.shut_down()


@contextlib.contextmanager
def _environment() -> Iterator[Path]:
    """What Ray's processes are started with; gives their folder, which is removed after the block."""
    parent = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Unix sockets are in there
    temp_dir = parent / "ray"  # as Ray calls it
    temp_dir.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENV, "RAY_TMPDIR": str(parent)}.items():
            patch.setenv(name, value)
        reset_auth_token_state()  # of this process, which read it when Ray was imported
        try:
            yield temp_dir
        finally:
            shutil.rmtree(parent, ignore_errors=True)
    reset_auth_token_state()


def write_numbered_images(folder: Path, count: int) -> Path:
    """PNG files that hold their own numbers for `hidden_number`; from 1000 on these begin anew."""
    folder.mkdir(parents=True)
    for number in range(count):
        image = np.moveaxis(numbered_batch(number % 1000)[0], 0, -1)[:, :, ::-1]  # blue first, for OpenCV
        (folder / f"{number:05}.png").write_bytes(
            cv2.imencode(".png", np.uint8(255) * image.astype(np.uint8))[1].tobytes()
        )
    return folder


@contextlib.contextmanager
def client(url: str, folder: Path, output: Path) -> Iterator["subprocess.Popen[str]"]:
    """The project's client, which sends a folder of numbered images and keeps what is answered."""
    flags = ["--server_url", url, "--image_file", str(folder), "--resize_short", "32", "--crop_size", "32"]
    flags += ["--wire", "uint8", "--concurrency", "4", "--output", str(output)]
    command = [sys.executable, "test_hubserving.py", *flags]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=REPOSITORY, **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


class Stream:
    """Clients in threads that send one numbered image after the other, for the time of a block.

    Attributes:
        answers: What each image's number was answered with: its classes, best first.
        latencies: Seconds of each, in the order of the answers.
        failures: What the others came to.
    """

    def __init__(self, url: str, num_clients: int) -> None:
        self.answers: dict[int, list[int]] = {}
        self.latencies: list[float] = []
        self.failures: list[str] = []
        self._url = url
        self._next = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work) for _ in range(num_clients)]

    def __enter__(self) -> "Stream":  # noqa: PYI034  # Self takes Python 3.11
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self, count: int = 50) -> None:
        """Wait until so many more images have been answered."""
        before = len(self.answers)
        eventually(lambda: len(self.answers) >= before + count)

    def check(self) -> None:
        """Every image that was sent was answered once, with its own number as the best class."""
        assert not self.failures
        assert sorted(self.answers) == list(range(self._next))
        assert all(classes[0] == number % 1000 for number, classes in self.answers.items())

    def worst_since(self, count: int) -> float:
        """The longest wait for an answer, in seconds, but for the first `count` answers."""
        return max(self.latencies[count:])

    def _work(self) -> None:
        with contextlib.closing(Sender(self._url, timeout_s=60, retries=8)) as sender:
            while not self._stop.is_set():
                with self._lock:
                    number = self._next
                    self._next += 1
                try:
                    answer = sender.predict(list(numbered_batch(number % 1000)), stacked_body)
                except ServiceError as exc:
                    with self._lock:
                        self.failures.append(f"{number}: {exc}")
                    continue
                with self._lock:
                    assert number not in self.answers
                    self.answers[number] = answer.predictions[0]["class_ids"]
                    self.latencies.append(answer.latency_s)
