import contextlib
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paddle.base.proto import framework_pb2

from clas.errors import ModelLoadError
from clas.model.files import ModelFiles
from clas.model.inspection import check_weights


def files(directory: Path, suffix: str = "pdmodel") -> ModelFiles:
    return ModelFiles(directory / f"inference.{suffix}", directory / "inference.pdiparams")


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
