"""Servers that a user would pick instead of this repository's: what they are, and how to prepare them.

`prepare` makes each of them in build/peers/NAME. Packages come from PyPI then; nothing is downloaded later.
`bench.py` starts them and measures them.
"""

import contextlib
import dataclasses
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
import pybase64
from bodies import Body, Form, LabeledImage, make_bodies
from repository import MODEL, ROOT

# isort: split
from clas.model.labels import load_labels
from clas.settings import IMAGENET_MEAN, IMAGENET_STD, Settings

HERE: Final = Path(__file__).resolve().parent
BUILD: Final = ROOT / "build" / "peers"
OURS: Final = r'"class_ids":%s*%[(%d+)'
"""Of Lua: finds the first class of each image in an answer of ours."""

_MODEL_FILES: Final = ("inference.pdmodel", "inference.pdiparams")
_PADDLEX: Final = r'"categories":%s*%[{"id":%s*(%d+)'
_UP_TIMEOUT_S: Final = 10


@dataclasses.dataclass(frozen=True)
class Peer:
    """A server that does the same work.

    Attributes:
        name: Its folder here.
        distribution: The package whose version is to be told.
        path: Of its endpoint.
        forms: What it takes: one image file as the body, or our tensor form.
        pattern: Of Lua: finds the first class of each image in an answer.
        wrap: Makes its own request of an image, where it takes no mere file.
        convert: Makes what it needs besides the environment, in its build directory.
        has_own_model: It reads `model/` in its build directory instead of clas/inference.
        env: Environment variables of its own.
    """

    name: str
    distribution: str
    path: str
    forms: tuple[Form, ...] = ("file", "float32")
    pattern: str = OURS
    wrap: Callable[[LabeledImage], Body] | None = None
    convert: Callable[[Path], None] | None = None
    has_own_model: bool = False
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def requirements(self) -> Path:
        """The pinned set."""
        return HERE / self.name / "requirements.txt"

    @property
    def build_dir(self) -> Path:
        """Where it is prepared."""
        return BUILD / self.name

    @property
    def python(self) -> Path:
        """That of its environment."""
        return self.build_dir / ".venv" / "bin" / "python"

    @property
    def version(self) -> str:
        """The release in the pinned set (which may name another one for Windows)."""
        start = f"{self.distribution}=="
        lines = self.requirements.read_text("utf-8").splitlines()
        pins = [line for line in lines if line.startswith(start) and "== 'win32'" not in line]
        return pins[0].removeprefix(start).partition(" ")[0]

    def make_bodies(self, form: Form, clear: Sequence[LabeledImage]) -> list[Body]:
        """Requests with one image each, in one of `forms`."""
        return make_bodies(form, clear, 1) if self.wrap is None else [self.wrap(image) for image in clear]

    def command(self, port: int, options: Sequence[str] = ()) -> list[str]:
        """How it is started.

        Args:
            port: Where it shall listen.
            options: More of its flags: --threads N, --wait_ms X.
        """
        model = self.build_dir / "model" if self.has_own_model else MODEL
        server = HERE / self.name / "server.py"
        return [str(self.python), str(server), "--port", str(port), "--model_dir", str(model), *options]

    def environment(self) -> dict[str, str]:
        """What it is started with: the repository's code, and a home of its own for what it leaves there."""
        home = self.build_dir / "home"
        home.mkdir(exist_ok=True)
        quiet = {"PYTHONWARNINGS": "ignore", "GLOG_minloglevel": "2"}
        return {
            **os.environ,
            **quiet,
            **self.env,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}",
            "HOME": str(home),
        }

    def is_up(self, port: int) -> bool:
        """Whether it answers a request with one image: a grey one."""
        grey = cv2.imencode(".png", np.full((256, 256, 3), 128, np.uint8))[1].tobytes()
        [body] = self.make_bodies("file", [LabeledImage(grey, 0)])
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{self.path}", body.data, {"Content-Type": body.content_type}
        )
        try:
            with urllib.request.urlopen(request, timeout=_UP_TIMEOUT_S) as answer:  # noqa: S310
                return bool(answer.status == http.client.OK)
        except (OSError, http.client.HTTPException):
            return False


def paddlex_body(image: LabeledImage) -> Body:
    """The one form of PaddleX's basic serving."""
    fields = {"image": pybase64.b64encode(image.file).decode(), "visualize": False}
    return Body("application/json", msgspec.json.encode(fields), [image.class_id])


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
        Peer("mosec", "mosec", "/inference"),  # its default route
        Peer("litserve", "litserve", "/predict"),
        # It would report to its makers.
        Peer("ray", "ray", "/predict", env={"RAY_USAGE_STATS_ENABLED": "0"}),
        Peer(
            *("paddlex", "paddlex", "/image-classification", ("file",), _PADDLEX, paddlex_body),
            *(write_paddlex_model, True),
        ),
        Peer("onnxruntime", "onnxruntime", "/inference", convert=write_onnx_model, has_own_model=True),
    )
}


def prepare(peer: Peer) -> None:
    """Make a peer's environment, and what it needs besides; nothing to do if that has been done.

    Raises:
        FileNotFoundError: There is no model, or no Python 3.11.
        RuntimeError: A command failed; shows the end of what it printed.
    """
    venv, model = peer.build_dir / ".venv", [MODEL / file for file in _MODEL_FILES]
    if not all(path.is_file() for path in model):
        raise FileNotFoundError("there is no model in clas/inference: run `make model`")
    with _once(venv, [peer.requirements]) as is_needed:
        if is_needed:
            _install(venv, peer.requirements)
    if peer.convert:
        with _once(peer.build_dir / "model", [peer.requirements, Path(__file__), *model]) as is_needed:
            if is_needed:
                peer.convert(peer.build_dir)


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
