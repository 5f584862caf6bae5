from pathlib import Path
from typing import Any

import onnx
import pytest

from clas.engine.onnx_input import _model_class, with_input_shape
from clas.errors import ModelLoadError
from clas.model.program import Tensor
from onnx_models import write_onnx_model

THEIRS: dict[str, Any] = {
    "Dimension": onnx.TensorShapeProto.Dimension,
    "Shape": onnx.TensorShapeProto,
    "TensorType": onnx.TypeProto.Tensor,
    "Type": onnx.TypeProto,
    "ValueInfo": onnx.ValueInfoProto,
    "Graph": onnx.GraphProto,
    "Model": onnx.ModelProto,
}


def test_every_declared_field_is_one_of_onnxs() -> None:
    model: Any = _model_class()
    ours = model.DESCRIPTOR.file.message_types_by_name
    assert set(ours) == set(THEIRS)
    for name, declared in ours.items():
        for field in declared.fields:
            assert THEIRS[name].DESCRIPTOR.fields_by_name[field.name].number == field.number


def test_only_the_shape_of_the_input_changes(tmp_path: Path) -> None:
    program = write_onnx_model(tmp_path) / "inference.onnx"
    before = onnx.load(program)
    before.graph.value_info.add(name="pooled")
    onnx.save(before, program)
    after = onnx.load_from_string(with_input_shape(program, Tensor("inputs", (None, 3, 24, None), "float32")))
    [image] = after.graph.input
    assert [dim.dim_value or dim.dim_param for dim in image.type.tensor_type.shape.dim][1:] == [
        3,
        24,
        "any_3",
    ]
    assert image.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert not after.graph.value_info
    del before.graph.value_info[:]
    image.CopyFrom(before.graph.input[0])
    assert after == before


def test_what_is_no_onnx_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inference.onnx").write_bytes(b"\xff" * 9)
    with pytest.raises(ModelLoadError, match="can't be changed to another size of images"):
        with_input_shape(tmp_path / "inference.onnx", Tensor("inputs", (None, 3, 24, 24), "float32"))
