"""The Open Inference Protocol as Triton's own client speaks it, with a real server."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, aio
from tritonclient.utils import InferenceServerException

from clas.preprocess import DecodeImage, create_transforms
from documents import Block, blocks
from known_answers import PHOTOGRAPHS, TOP_5
from serving_process import Running, clas_serving

pytestmark = pytest.mark.xdist_group("open inference")
MODEL = "clas_system"


@pytest.fixture(scope="module")
def server(default_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The default model, in the default engine."""
    assert default_model_dir.is_dir()
    with clas_serving(tmp_path_factory.mktemp("server"), "-m", "clas_system") as running:
        yield running
        assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[Any]:
    with InferenceServerClient(f"127.0.0.1:{server.port}", concurrency=4) as open_client:
        yield open_client


@pytest.fixture(scope="module")
def input_name(client: Any) -> str:
    [image] = client.get_model_metadata(MODEL)["inputs"]
    return str(image["name"])


def arrays(folder: Path, names: Sequence[str], *left: str) -> npt.NDArray[Any]:
    """Photographs as the client would send them, with some operations left to the server."""
    decode = DecodeImage()
    transforms = create_transforms(normalize="normalize" not in left, to_chw="to_chw" not in left)
    return np.stack([np.asarray(transforms(decode((folder / name).read_bytes()))) for name in names])


def as_input(name: str, array: npt.NDArray[Any], datatype: str, *, is_binary: bool = True) -> Any:
    image = InferInput(name, list(array.shape), datatype)
    image.set_data_from_numpy(array, binary_data=is_binary)
    return image


def image_files(folder: Path, names: Sequence[str]) -> npt.NDArray[Any]:
    return np.array([(folder / name).read_bytes() for name in names], dtype=np.object_)


def assert_scores_right(scores: npt.NDArray[Any], names: Sequence[str]) -> None:
    assert scores.shape == (len(names), 1000)
    assert scores.dtype == np.float32
    for row, name in zip(scores, names, strict=True):
        class_ids, known = TOP_5[name]
        assert np.argsort(-row, kind="stable")[:5].tolist() == class_ids
        assert row[class_ids] == pytest.approx(known, abs=1e-3)
        assert row.sum() == pytest.approx(1, abs=1e-3)


def test_the_server_lives_and_tells_what_it_has(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert not client.is_model_ready("another")
    assert {"binary_tensor_data", "classification"} <= set(client.get_server_metadata()["extensions"])
    metadata = client.get_model_metadata(MODEL)
    assert metadata["platform"] == "openvino_pdmodel"
    [image] = metadata["inputs"]
    assert (image["datatype"], image["shape"]) == ("FP32", [-1, 3, 224, 224])
    assert [output["name"] for output in metadata["outputs"]] == ["scores", "class_ids", "labels"]
    assert client.get_model_config(MODEL)["max_batch_size"] == 512


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_a_tensor_in_either_encoding_gets_the_known_scores_in_either(
    client: Any, input_name: str, photographs: Path, *, binary_in: bool, binary_out: bool
) -> None:
    image = as_input(input_name, arrays(photographs, PHOTOGRAPHS), "FP32", is_binary=binary_in)
    answer = client.infer(MODEL, [image], outputs=[InferRequestedOutput("scores", binary_data=binary_out)])
    assert_scores_right(answer.as_numpy("scores"), PHOTOGRAPHS)


def test_pixels_and_image_files_get_them_too(client: Any, input_name: str, photographs: Path) -> None:
    pixels = arrays(photographs, PHOTOGRAPHS, "normalize", "to_chw")
    for array, datatype in ((pixels, "UINT8"), (image_files(photographs, PHOTOGRAPHS), "BYTES")):
        answer = client.infer(MODEL, [as_input(input_name, array, datatype)])
        assert_scores_right(answer.as_numpy("scores"), PHOTOGRAPHS)


def test_classes_labels_and_the_classification_are_the_known_ones(
    client: Any, input_name: str, photographs: Path
) -> None:
    image = as_input(input_name, image_files(photographs, PHOTOGRAPHS), "BYTES")
    names = ("class_ids", "labels")
    answer = client.infer(
        MODEL,
        [image],
        outputs=[InferRequestedOutput(name) for name in names],
        request_id="7",
        parameters={"top_k": 2, "mine": "kept"},
    )
    known = [TOP_5[name][0][:2] for name in PHOTOGRAPHS]
    assert answer.as_numpy("class_ids").tolist() == known
    assert answer.as_numpy("labels")[2].tolist() == [b"missile", b"projectile, missile"]
    response = answer.get_response()
    assert (response["model_name"], response["id"]) == (MODEL, "7")
    assert response["parameters"] == {"top_k": 2, "mine": "kept"}
    for is_binary in (True, False):
        output = InferRequestedOutput("scores", binary_data=is_binary, class_count=5)
        found = client.infer(MODEL, [image], outputs=[output]).as_numpy("scores")
        assert found.shape == (3, 5)
        for row, name in zip(found, PHOTOGRAPHS, strict=True):
            texts = [text.decode() if isinstance(text, bytes) else text for text in row]
            scores, class_ids, labels = zip(*(text.split(":", 2) for text in texts), strict=True)
            assert [int(class_id) for class_id in class_ids] == TOP_5[name][0]
            assert [float(score) for score in scores] == pytest.approx(TOP_5[name][1], abs=1e-3)
            assert all(labels)


def test_many_requests_at_once_get_their_own_answers(client: Any, input_name: str, photographs: Path) -> None:
    names = [PHOTOGRAPHS[number % 3] for number in range(12)]
    inputs = [as_input(input_name, arrays(photographs, [name]), "FP32") for name in names]
    running = [client.async_infer(MODEL, [image]) for image in inputs]
    for name, request in zip(names, running, strict=True):
        assert_scores_right(request.get_result().as_numpy("scores"), [name])


def test_so_do_those_of_the_asyncio_client(server: Running, input_name: str, photographs: Path) -> None:
    names = [PHOTOGRAPHS[number % 3] for number in range(9)]

    async def ask() -> list[Any]:
        async with aio.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
            assert await client.is_model_ready(MODEL)
            inputs = [
                as_input(input_name, arrays(photographs, [name]), "FP32", is_binary=number % 2 == 0)
                for number, name in enumerate(names)
            ]
            return await asyncio.gather(*(client.infer(MODEL, [image]) for image in inputs))

    for name, answer in zip(names, asyncio.run(ask()), strict=True):
        assert_scores_right(answer.as_numpy("scores"), [name])


def test_the_statistics_count_images(client: Any, input_name: str, photographs: Path) -> None:
    [before] = client.get_inference_statistics(MODEL)["model_stats"]
    client.infer(MODEL, [as_input(input_name, image_files(photographs, PHOTOGRAPHS), "BYTES")])
    [after] = client.get_inference_statistics()["model_stats"]
    assert after["inference_count"] - before["inference_count"] == 3
    success = [stats["inference_stats"]["success"] for stats in (before, after)]
    assert success[1]["count"] - success[0]["count"] == 1
    assert success[1]["ns"] > success[0]["ns"]


def test_the_client_is_told_what_is_wrong(client: Any, input_name: str, photographs: Path) -> None:
    image = as_input(input_name, arrays(photographs, PHOTOGRAPHS[:1]), "FP32")
    small = as_input(input_name, np.zeros((1, 3, 32, 32), np.float32), "FP32")
    shared = InferInput(input_name, [1, 3, 224, 224], "FP32")
    shared.set_shared_memory("region", 602_112)
    cases: list[tuple[Any, str, str]] = [
        (lambda: client.infer("another", [image]), "404", "there is no model 'another'"),
        (lambda: client.infer(MODEL, [small]), "400", "the model takes [N, 3, 224, 224]"),
        (lambda: client.infer(MODEL, [image], sequence_id=1), "400", "sequences are not supported"),
        (lambda: client.infer(MODEL, [image], priority=1), "400", "priorities are not supported"),
        (lambda: client.infer(MODEL, [shared]), "400", "shared memory regions are not supported"),
        (client.get_system_shared_memory_status, "404", "shared memory is not supported"),
        (lambda: client.get_model_metadata(MODEL, "1"), "404", "models have no versions here"),
        (
            lambda: client.infer(MODEL, [image], request_compression_algorithm="gzip"),
            "415",
            "Content-Encoding is gzip",
        ),
    ]
    for ask, status, message in cases:
        with pytest.raises(InferenceServerException) as caught:
            ask()
        assert caught.value.status() == status
        assert message in caught.value.message()


@pytest.fixture
def examples(repository: Path, server: Running, photographs: Path, tmp_path: Path) -> list[Block]:
    """The blocks of the manual's section, with this server's address; `tmp_path` has the image they name."""
    folder = tmp_path / "build" / "demo" / "images"
    folder.mkdir(parents=True)
    shutil.copy(photographs / "rocket.jpg", folder)
    text = (repository / "docs" / "en" / "api.md").read_text(encoding="utf-8")
    section = text.partition("\n## Open Inference Protocol\n")[2].partition("\n## ")[0]
    address = f"127.0.0.1:{server.port}"
    return [block._replace(text=block.text.replace("127.0.0.1:8866", address)) for block in blocks(section)]


def output_of(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_of_the_manual_answer_what_it_shows(examples: list[Block], tmp_path: Path) -> None:
    answers = [
        output_of(["bash", "-c", block.text], tmp_path) for block in examples if block.language == "bash"
    ]
    metadata, image, tensor, pixels = map(json.loads, answers)
    shown_metadata, shown_image = (json.loads(block.text) for block in examples if block.language == "text")
    assert image == shown_image
    assert metadata == {**shown_metadata, "platform": "openvino_pdmodel"}
    for answer in (tensor, pixels):
        [output] = answer["outputs"]
        assert (output["datatype"], output["shape"], len(output["data"])) == ("BYTES", [1, 2], 2)
    [example] = [block.text for block in examples if block.language == "python"]
    named = output_of([sys.executable, "-c", example], tmp_path)
    assert re.fullmatch(r"\[\[b'0\.326\d+:657:missile' b'0\.18\d+:744:projectile, missile'\]\]\n", named)
