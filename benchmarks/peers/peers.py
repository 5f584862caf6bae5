"""Servers that a user would pick instead of this repository's: what they are, how to prepare and run them.

    python benchmarks/peers/peers.py [NAME ...]

prepares each of them (all, if none is named) in build/peers/NAME, starts it on a free port of 127.0.0.1,
sends it the demo's photographs in each form that it takes, compares its top-1 with what our own Classifier
says to the same file, and stops it. Packages come from PyPI while it is prepared; nothing is downloaded
later. A benchmark uses `PEERS`, `prepare` and `serving`.
"""

import argparse
import base64
import contextlib
import dataclasses
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import psutil

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from clas.classifier import Classifier  # noqa: E402
from clas.postprocess import load_labels  # noqa: E402
from clas.preprocess import IMAGENET_MEAN, IMAGENET_STD, DecodeImage, create_transforms  # noqa: E402
from clas.protocol import tensor_body  # noqa: E402
from clas.settings import Settings  # noqa: E402
from demo import PHOTOGRAPHS, photograph  # noqa: E402
from server_process import free_port, server_process  # noqa: E402

Form = Literal["encoded", "float32"]

HERE: Final = Path(__file__).resolve().parent
BUILD: Final = ROOT / "build" / "peers"
MODEL: Final = ROOT / "clas" / "inference"
"""What `make model` exports."""

_MODEL_FILES: Final = ("inference.pdmodel", "inference.pdiparams")
_JSON: Final = "application/json"
_MARK: Final = "CLAS_PEER_RUN"
"""Environment variable by which the processes of a run are recognised, whatever session they are in."""
_UP_TIMEOUT_S: Final = 10
_STOP_TIMEOUT_S: Final = 30


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be sent to a peer by POST."""

    content_type: str
    body: bytes


@dataclasses.dataclass(frozen=True)
class Peer:
    """A server that does the same work.

    Attributes:
        name: Its folder here.
        distribution: The package whose version is to be told.
        forms: What it takes: image files ("encoded"), tensors ("float32").
        path: Of its endpoint.
        encoded: Makes a request of the bytes of an image file.
        float32: Makes a request of a batch [N, 3, 224, 224].
        top1: Reads the best class id of each image from an answer.
        convert: Makes what it needs besides the environment, in its build directory.
        has_own_model: It reads `model/` in its build directory instead of clas/inference.
        env: Environment variables of its own.
    """

    name: str
    distribution: str
    forms: tuple[Form, ...]
    path: str
    encoded: Callable[[bytes], Request]
    float32: Callable[[npt.NDArray[np.float32]], Request] | None
    top1: Callable[[bytes], list[int]]
    convert: Callable[[Path], None] | None = None
    has_own_model: bool = False
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def requirements(self) -> Path:
        """The pinned set."""
        return HERE / self.name / "requirements.txt"

    @property
    def version(self) -> str:
        """The release in the pinned set (which may name another one for Windows)."""
        start = f"{self.distribution}=="
        lines = self.requirements.read_text("utf-8").splitlines()
        pins = [line for line in lines if line.startswith(start) and "== 'win32'" not in line]
        return pins[0].removeprefix(start).partition(" ")[0]

    def request(self, form: Form, image: bytes) -> Request:
        """Make a request with one image of an image file, in one of `forms`."""
        if form == "encoded":
            return self.encoded(image)
        if self.float32 is None:
            raise ValueError(f"{self.name} doesn't take tensors")
        return self.float32(preprocess(image)[np.newaxis])

    def command(self, port: int, build_dir: Path, options: Sequence[str] = ()) -> list[str]:
        """How it is started.

        Args:
            port: Where it shall listen.
            build_dir: What `prepare` was given.
            options: More of its flags: --threads N, --wait_ms X.
        """
        model = build_dir / "model" if self.has_own_model else MODEL
        python, server = build_dir / ".venv" / "bin" / "python", HERE / self.name / "server.py"
        return [str(python), str(server), "--port", str(port), "--model_dir", str(model), *options]

    def environment(self, build_dir: Path) -> dict[str, str]:
        """What it is started with: the repository's code, and a home of its own for what it leaves there."""
        home = build_dir / "home"
        home.mkdir(exist_ok=True)
        quiet = {"PYTHONWARNINGS": "ignore", "GLOG_minloglevel": "2"}
        return {**os.environ, **quiet, **self.env, "PYTHONPATH": str(ROOT), "HOME": str(home)}

    def is_up(self, port: int) -> bool:
        """Whether it answers a request with one image."""
        try:
            status, _ = post(port, self.path, self.encoded(_probe()))
        except (OSError, http.client.HTTPException):
            return False
        return status == http.client.OK


def image_file(data: bytes) -> Request:
    """An image file as the body."""
    return Request("image/png" if data.startswith(b"\x89PNG") else "image/jpeg", data)


def tensor(batch: npt.NDArray[np.float32]) -> Request:
    """The tensor form of `clas.protocol`."""
    return Request(_JSON, tensor_body(batch))


def top1(answer: bytes) -> list[int]:
    """Read the envelope of `clas.serving`."""
    return [prediction["class_ids"][0] for prediction in msgspec.json.decode(answer)["results"]["prediction"]]


def paddlex_image(data: bytes) -> Request:
    """The one form of PaddleX's basic serving."""
    fields = {"image": base64.b64encode(data).decode(), "visualize": False}
    return Request(_JSON, msgspec.json.encode(fields))


def paddlex_top1(answer: bytes) -> list[int]:
    """PaddleX answers for one image, the best class first."""
    return [msgspec.json.decode(answer)["result"]["categories"][0]["id"]]


def write_paddlex_model(build_dir: Path) -> None:
    """Make a model directory of PaddleX, and its pipeline configuration (JSON is YAML, too)."""
    directory = _copy_model(build_dir)
    # A name from PaddleX's list: it loads no others. Nothing else depends on it.
    model_name = "ResNet50"
    normalize = {"channel_num": 3, "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "scale": 1 / 255, "order": ""}
    settings = Settings()
    labels = load_labels(ROOT / "clas" / "imagenet1k_label_list.txt")
    inference = {
        "Global": {"model_name": model_name},
        "PreProcess": {
            "transform_ops": [
                {"ResizeImage": {"resize_short": settings.resize_short}},
                {"CropImage": {"size": settings.crop_size}},
                {"NormalizeImage": normalize},
                {"ToCHWImage": None},
            ]
        },
        "PostProcess": {"Topk": {"topk": settings.topk, "label_list": [labels[i] for i in sorted(labels)]}},
    }
    classification = {
        "module_name": "image_classification",
        "model_name": model_name,
        "model_dir": ".",
        "batch_size": 1,  # the server never has more than one image at once
        "topk": settings.topk,
    }
    pipeline = {
        "pipeline_name": "image_classification",
        "Serving": {"visualize": False},  # see paddlex/server.py
        "SubModules": {"ImageClassification": classification},
    }
    (directory / "inference.yml").write_text(json.dumps(inference, indent=1), "utf-8")
    (directory / "pipeline.yml").write_text(json.dumps(pipeline, indent=1), "utf-8")


def write_onnx_model(build_dir: Path) -> None:
    """Convert the model."""
    directory = _copy_model(build_dir)
    program, weights = _MODEL_FILES
    command = [str(build_dir / ".venv" / "bin" / "paddle2onnx"), "--model_dir", str(directory)]
    command += ["--model_filename", program, "--params_filename", weights]
    # Its default, polygraphy, has pip install packages at run time, from another index as well. ONNX Runtime
    # folds constants and batch normalization by itself when it loads the model.
    command += ["--optimize_tool", "None", "--save_file", str(directory / "inference.onnx")]
    _run(command, {**os.environ, "HOME": str(build_dir), "PYTHONWARNINGS": "ignore"})


PEERS: Final = {
    peer.name: peer
    for peer in (
        # mosec's default route.
        Peer("mosec", "mosec", ("encoded", "float32"), "/inference", image_file, tensor, top1),
        Peer("litserve", "litserve", ("encoded", "float32"), "/predict", image_file, tensor, top1),
        Peer(
            *("ray", "ray", ("encoded", "float32"), "/predict", image_file, tensor, top1),
            env={"RAY_USAGE_STATS_ENABLED": "0"},  # it would report to its makers
        ),
        Peer(
            *("paddlex", "paddlex", ("encoded",), "/image-classification", paddlex_image, None, paddlex_top1),
            convert=write_paddlex_model,
            has_own_model=True,
        ),
        Peer(
            *("onnxruntime", "onnxruntime", ("encoded", "float32"), "/inference", image_file, tensor, top1),
            convert=write_onnx_model,
            has_own_model=True,
        ),
    )
}


def prepare(name: str, build_dir: Path | None = None) -> Path:
    """Make a peer's environment, and what it needs besides; nothing to do if that has been done.

    Args:
        name: Of one of PEERS.
        build_dir: Where; by default build/peers/NAME.

    Returns:
        `build_dir`.

    Raises:
        FileNotFoundError: There is no model, or no Python 3.11.
        RuntimeError: A command failed; shows the end of what it printed.
    """
    peer, build_dir = PEERS[name], build_dir or BUILD / name
    venv, model = build_dir / ".venv", [MODEL / file for file in _MODEL_FILES]
    if not all(path.is_file() for path in model):
        raise FileNotFoundError(f"there is no model in {MODEL}: run `make model`")
    with _once(venv, [peer.requirements]) as is_needed:
        if is_needed:
            _install(venv, peer.requirements)
    if peer.convert:
        with _once(build_dir / "model", [peer.requirements, Path(__file__), *model]) as is_needed:
            if is_needed:
                peer.convert(build_dir)
    return build_dir


@contextlib.contextmanager
def serving(peer: Peer, build_dir: Path | None = None, options: Sequence[str] = ()) -> Iterator[int]:
    """Run a prepared peer for the time of a block.

    It is asked to end (SIGTERM) at the end of the block. What is left of its session then is killed, and so
    is whatever it started in sessions of its own.

    Args:
        peer: One of PEERS.
        build_dir: What `prepare` was given.
        options: More of its flags.

    Yields:
        The port on 127.0.0.1 where it listens.

    Raises:
        RuntimeError: It wasn't up in time; shows the end of its log.
    """
    build_dir = build_dir or BUILD / peer.name
    port, mark = free_port(), uuid.uuid4().hex
    env = {**peer.environment(build_dir), _MARK: mark}
    command = peer.command(port, build_dir, options)
    try:
        is_up = lambda: peer.is_up(port)  # noqa: E731
        with server_process(command, build_dir / "server.log", env, build_dir, is_up) as server:
            try:
                yield port
            finally:
                server.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(_STOP_TIMEOUT_S)
    finally:
        _end_all(mark)


def processes(mark: str) -> list[psutil.Process]:
    """The processes that were started with this value of CLAS_PEER_RUN."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == mark:
                found.append(process)
    return found


def post(port: int, path: str, request: Request) -> tuple[int, bytes]:
    """Send a request on a connection of its own.

    Returns:
        Status and body.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_UP_TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request("POST", path, request.body, {"Content-Type": request.content_type})
        response = connection.getresponse()
        return response.status, response.read()


def preprocess(image: bytes) -> npt.NDArray[np.float32]:
    """What the client does to an image file before it sends a tensor."""
    array: npt.NDArray[np.float32] = create_transforms()(DecodeImage()(image))  # type: ignore[assignment]
    return array


def check(peer: Peer, build_dir: Path, wanted: Mapping[str, int]) -> bool:
    """Start a peer, have it classify the photographs, and print how that went.

    Args:
        peer: One of PEERS.
        build_dir: What `prepare` was given.
        wanted: Photograph -> class id.

    Returns:
        Whether all of its answers were right.
    """
    start, right = time.perf_counter(), True
    with serving(peer, build_dir) as port:
        print(f"{peer.name} {peer.version}: up after {time.perf_counter() - start:.1f} s")
        for form in peer.forms:
            for name, class_id in wanted.items():
                status, answer = post(port, peer.path, peer.request(form, photograph(name).read_bytes()))
                got = peer.top1(answer) if status == http.client.OK else [f"status {status}"]
                is_right = got == [class_id]
                right &= is_right
                print(f"  {form:8} {name:12} {got} {'right' if is_right else f'WRONG, not [{class_id}]'}")
    return right


def main() -> int:
    """Prepare and check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PEERS)} (default: all)")
    names = parser.parse_args().names or list(PEERS)
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        parser.error(f"there is no peer {', '.join(unknown)}; there are {', '.join(PEERS)}")
    for name in names:
        print(f"preparing {name} in {prepare(name).relative_to(ROOT)}: done", flush=True)
    settings = Settings(inference_model_dir=str(MODEL), overridden=frozenset({"inference_model_dir"}))
    classifier = Classifier(settings)
    files = {name: photograph(name).read_bytes() for name in PHOTOGRAPHS}
    wanted = {name: classifier.classify_images([file])[0]["class_ids"][0] for name, file in files.items()}
    results = [check(PEERS[name], BUILD / name, wanted) for name in names]
    return 0 if all(results) else 1


@contextlib.contextmanager
def _once(directory: Path, inputs: Sequence[Path]) -> Iterator[bool]:
    """Tell whether `directory` is to be made, and stamp it after the block that makes it of `inputs`."""
    stamp = directory / ".complete"
    state = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    is_needed = not stamp.is_file() or stamp.read_text("ascii") != state
    if is_needed:
        stamp.unlink(missing_ok=True)
    yield is_needed
    stamp.write_text(state, "ascii")


def _install(venv: Path, requirements: Path) -> None:
    is_fitting = sys.version_info[:2] == (3, 11)
    python = sys.executable if is_fitting else shutil.which("python3.11")
    if python is None:
        raise FileNotFoundError("there is no python3.11: the peers' requirements are resolved for that")
    _run([python, "-m", "venv", "--clear", str(venv)], os.environ)
    pip = [str(venv / "bin" / "pip"), "install", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, "-r", str(requirements)], os.environ)


def _copy_model(build_dir: Path) -> Path:
    directory = build_dir / "model"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name in _MODEL_FILES:
        shutil.copy(MODEL / name, directory)
    return directory


def _run(command: Sequence[str], env: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, env=env, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")


def _end_all(mark: str) -> None:
    """Give what a peer has left behind a little time to end, then kill it."""
    _, alive = psutil.wait_procs(processes(mark), timeout=5)
    while alive:
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        alive = processes(mark)  # of one that was killed, another may have taken the place


def _probe() -> bytes:
    """The smallest file that counts: a grey picture."""
    grey: npt.NDArray[Any] = np.full((256, 256, 3), 128, np.uint8)
    return cv2.imencode(".png", grey)[1].tobytes()


if __name__ == "__main__":
    sys.exit(main())
