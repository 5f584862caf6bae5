import contextlib
import json
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paddle.base.proto import framework_pb2

from clas.errors import ModelLoadError
from clas.model.files import ModelFiles
from clas.model.inspection import check_weights, read_input_shape
from tiny_models import write_model


def files(directory: Path, suffix: str = "pdmodel") -> ModelFiles:
    return ModelFiles(directory / f"inference.{suffix}", directory / "inference.pdiparams")


def test_the_default_models_input_is_read(default_model_dir: Path) -> None:
    assert read_input_shape(files(default_model_dir)) == (None, 3, 224, 224)


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
def test_free_sizes_are_none(tmp_path: Path, suffix: str) -> None:
    write_model(tmp_path, input_shape=(None, 3, None, 48), json=suffix == "json")
    assert read_input_shape(files(tmp_path, suffix)) == (None, 3, None, 48)


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
@pytest.mark.parametrize("keep", [0, 1, 10, 100, -1])
def test_a_truncated_program_is_refused(
    tiny_model: Path, tiny_json_model: Path, tmp_path: Path, suffix: str, keep: int
) -> None:
    whole = files(tiny_model if suffix == "pdmodel" else tiny_json_model, suffix).program.read_bytes()
    damaged = files(tmp_path, suffix)
    damaged.program.write_bytes(whole[:keep])
    with pytest.raises(ModelLoadError, match=r"is damaged or not a Paddle model|is not an image classifier"):
        read_input_shape(damaged)


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
            read_input_shape(other)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"program": 1e999}', "[]", "null"])
def test_json_that_is_no_program_is_refused(tmp_path: Path, text: str) -> None:
    other = files(tmp_path, "json")
    other.program.write_text(text)
    with pytest.raises(ModelLoadError, match="is damaged or not a Paddle model"):
        read_input_shape(other)


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
def test_another_kind_of_file_is_refused(tmp_path: Path, suffix: str) -> None:
    other = files(tmp_path, suffix)
    other.program.write_text(json.dumps({"program": {"regions": []}}))
    with pytest.raises(ModelLoadError, match="is damaged or not a Paddle model"):
        read_input_shape(other)


def test_a_missing_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="is damaged"):
        read_input_shape(files(tmp_path))


@pytest.mark.parametrize("suffix", ["pdmodel", "json"])
def test_an_input_that_is_no_image_is_refused(tmp_path: Path, suffix: str) -> None:
    write_model(tmp_path, lambda x: x, input_shape=(None, 7), json=suffix == "json")
    with pytest.raises(
        ModelLoadError, match=r"is not an image classifier: its inputs have the shapes \[\[-1, 7\]\]"
    ):
        read_input_shape(files(tmp_path, suffix))


@pytest.mark.parametrize("model", ["default_model_dir", "tiny_model"])
def test_whole_weights_pass(request: pytest.FixtureRequest, model: str) -> None:
    check_weights(files(request.getfixturevalue(model)))


def test_whole_weights_of_a_json_model_pass(tiny_json_model: Path) -> None:
    check_weights(files(tiny_json_model, "json"))


def test_weights_cut_off_within_the_last_values_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    damaged = files(tmp_path)
    damaged.weights.write_bytes(files(tiny_model).weights.read_bytes()[:-1])
    with pytest.raises(ModelLoadError, match="is cut off: it has 27 bytes"):
        check_weights(damaged)


@given(st.binary(min_size=1, max_size=200))
def test_any_other_bytes_end_in_our_error_or_in_none(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        other = files(Path(directory))
        other.weights.write_bytes(data)
        with contextlib.suppress(ModelLoadError):
            check_weights(other)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="No such file"):
        check_weights(files(tmp_path))


def test_values_of_a_type_unknown_here_are_left_to_paddle(tmp_path: Path) -> None:
    complex64 = framework_pb2.VarType.TensorDesc(data_type=framework_pb2.VarType.COMPLEX64, dims=[5])
    described = complex64.SerializeToString()
    later = files(tmp_path)
    later.weights.write_bytes(struct.pack("<IQIi", 0, 0, 0, len(described)) + described)
    check_weights(later)


def test_a_negative_size_is_refused_instead_of_followed(tmp_path: Path) -> None:
    damaged = files(tmp_path)
    damaged.weights.write_bytes(struct.pack("<IQIi", 0, 0, 0, -1))
    with pytest.raises(ModelLoadError, match="not a weights file: a description of -1 bytes"):
        check_weights(damaged)
    tensor = framework_pb2.VarType.TensorDesc(data_type=framework_pb2.VarType.INT8, dims=[-33])
    described = tensor.SerializeToString()
    assert len(described) == 13
    damaged.weights.write_bytes(struct.pack("<IQIi", 0, 0, 0, len(described)) + described)
    with pytest.raises(ModelLoadError, match=r"not a weights file: a tensor of shape \[-33\]"):
        check_weights(damaged)
