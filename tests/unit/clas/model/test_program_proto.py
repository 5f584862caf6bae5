from pathlib import Path
from typing import Any

import pytest
from paddle.base.proto import framework_pb2

from clas.model.program_proto import ITEM_BYTES, _message_classes, parse_program, parse_tensor

PADDLES = {
    "TensorDesc": framework_pb2.VarType.TensorDesc,
    "DenseTensorDesc": framework_pb2.VarType.DenseTensorDesc,
    "VarType": framework_pb2.VarType,
    "VarDesc": framework_pb2.VarDesc,
    "OpVar": framework_pb2.OpDesc.Var,
    "OpDesc": framework_pb2.OpDesc,
    "BlockDesc": framework_pb2.BlockDesc,
    "ProgramDesc": framework_pb2.ProgramDesc,
}
SIZES = {
    "BOOL": 1,
    "INT8": 1,
    "UINT8": 1,
    "INT16": 2,
    "FP16": 2,
    "BF16": 2,
    "INT32": 4,
    "FP32": 4,
    "INT64": 8,
    "FP64": 8,
}


def test_every_declared_field_is_one_of_paddles() -> None:
    ours: dict[str, Any] = {
        name.rpartition(".")[2]: found.DESCRIPTOR for name, found in _message_classes().items()
    }
    assert ours.keys() == PADDLES.keys()
    for name, declared in ours.items():
        for field in declared.fields:
            theirs = PADDLES[name].DESCRIPTOR.fields_by_name[field.name]
            assert (field.number, field.label) == (theirs.number, theirs.label), f"{name}.{field.name}"
            is_enum = theirs.type == theirs.TYPE_ENUM  # on the wire an int32
            assert field.type == (field.TYPE_INT32 if is_enum else theirs.type), f"{name}.{field.name}"


def test_the_sizes_of_values_are_those_of_paddles_types() -> None:
    assert {framework_pb2.VarType.Type.Value(name): size for name, size in SIZES.items()} == ITEM_BYTES


def test_a_program_is_parsed_as_paddle_parses_it(default_model_dir: Path) -> None:
    content = (default_model_dir / "inference.pdmodel").read_bytes()
    program: Any = parse_program(content)
    [ours], [theirs] = program.blocks, framework_pb2.ProgramDesc.FromString(content).blocks
    assert [op.type for op in ours.ops] == [op.type for op in theirs.ops]
    assert [list(variable.type.dense_tensor.tensor.dims) for variable in ours.vars] == [
        list(variable.type.dense_tensor.tensor.dims) for variable in theirs.vars
    ]


def test_a_type_of_a_later_paddle_keeps_its_number() -> None:
    tensor: Any = parse_tensor(b"\x08\xe7\x07\x10\x05")
    assert (tensor.data_type, list(tensor.dims)) == (999, [5])


@pytest.mark.parametrize(
    "data",
    [b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 100_000, b"\x00"],
    ids=["no length", "length beyond the end", "nested groups", "field 0"],
)
def test_malformed_bytes_are_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="malformed ProgramDesc"):
        parse_program(data)
