import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import paddle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clas.errors import ModelLoadError
from clas.model.files import ModelFiles
from clas.model.program import Tensor, read_program
from tiny_models import features_and_scores, three_best, write_model


def files(directory: Path, suffix: str = "pdmodel") -> ModelFiles:
    return ModelFiles(directory / f"inference.{suffix}", directory / "inference.pdiparams")


def test_the_default_models_input_and_output_are_read(default_model_dir: Path) -> None:
    program = read_program(files(default_model_dir))
    assert program.inputs == (Tensor("inputs", (None, 3, 224, 224), "float32"),)
    assert program.outputs == (Tensor("softmax_0.tmp_0", (None, 1000), "float32", "softmax"),)
    assert str(program.outputs[0]) == "'softmax_0.tmp_0' [N, 1000] float32 by softmax"


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
def test_free_sizes_are_none(tmp_path: Path, suffix: str) -> None:
    write_model(tmp_path, input_shape=(None, 3, None, 48), json=suffix == "json")
    [image] = read_program(files(tmp_path, suffix)).inputs
    assert image.shape == (None, 3, None, 48)
    assert str(image) == "'inputs' [N, 3, any, 48] float32"


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
@pytest.mark.parametrize("dtype", ["uint8", "float64", "float16", "int64"])
def test_the_type_of_the_input_is_read(tmp_path: Path, dtype: str, suffix: str) -> None:
    write_model(tmp_path, dtype=dtype, json=suffix == "json")
    assert [image.dtype for image in read_program(files(tmp_path, suffix)).inputs] == [dtype]


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
def test_the_names_and_the_order_of_outputs_are_those_of_the_predictor(tmp_path: Path, suffix: str) -> None:
    write_model(tmp_path, features_and_scores, json=suffix == "json")
    found = files(tmp_path, suffix)
    config = paddle.inference.Config(str(found.program), str(found.weights))
    config.disable_glog_info()
    outputs = read_program(found).outputs
    assert [output.name for output in outputs] == paddle.inference.create_predictor(config).get_output_names()
    assert [(output.shape, output.dtype) for output in outputs] == [
        ((None, 128), "float32"),
        ((None, 6), "float32"),
    ]
    assert outputs[1].operator == "softmax"


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
def test_the_operator_behind_an_output_is_seen_through_those_that_keep_the_order(
    tmp_path: Path, suffix: str
) -> None:
    def network(image: Any) -> Any:
        return (three_best(image)[1] * 2).astype("float64")

    write_model(tmp_path, network, json=suffix == "json")
    [output] = read_program(files(tmp_path, suffix)).outputs
    assert output.dtype == "float64"
    assert output.operator in ("topk", "top_k_v2")


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
@pytest.mark.parametrize("keep", [0, 1, 10, 100, -1])
def test_a_truncated_program_is_refused(
    tiny_model: Path, tiny_json_model: Path, tmp_path: Path, suffix: str, keep: int
) -> None:
    whole = files(tiny_model if suffix == "pdmodel" else tiny_json_model, suffix).program.read_bytes()
    damaged = files(tmp_path, suffix)
    damaged.program.write_bytes(whole[:keep])
    with pytest.raises(ModelLoadError, match=r"is damaged or not a Paddle model|is not an image classifier"):
        read_program(damaged)


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
def test_any_changed_byte_ends_in_our_error_or_in_none(
    tiny_model: Path, tiny_json_model: Path, suffix: str, changes: list[tuple[int, int]]
) -> None:
    damaged = bytearray(
        files(tiny_model if suffix == "pdmodel" else tiny_json_model, suffix).program.read_bytes()
    )
    for position, value in changes:
        damaged[position % len(damaged)] = value
    with tempfile.TemporaryDirectory() as directory:
        other = files(Path(directory), suffix)
        other.program.write_bytes(damaged)
        with contextlib.suppress(ModelLoadError):
            read_program(other)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"program": 1e999}', "[]", "null"])
def test_json_that_is_no_program_is_refused(tmp_path: Path, text: str) -> None:
    other = files(tmp_path, "json")
    other.program.write_text(text)
    with pytest.raises(ModelLoadError, match="is damaged or not a Paddle model"):
        read_program(other)


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
def test_another_kind_of_file_is_refused(tmp_path: Path, suffix: str) -> None:
    other = files(tmp_path, suffix)
    other.program.write_text(json.dumps({"program": {"regions": []}}))
    with pytest.raises(ModelLoadError, match="is damaged or not a Paddle model"):
        read_program(other)


def test_a_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="is damaged"):
        read_program(files(tmp_path))
