"""What the model files say of themselves: the input, for which a predictor has no call, and being whole."""

import json
import math
import os
import re
import struct
from typing import Any, Final

from ..errors import ModelLoadError
from .files import ModelFiles

_ITEM_BYTES: Final = {
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
"""Size of one value, by its name in Paddle's framework.proto; not every release has all of them."""


def read_input_shape(files: ModelFiles) -> tuple[int | None, ...]:
    """Read what the model takes from its program file.

    Returns:
        One entry per axis; None where the model leaves the size free.

    Raises:
        ModelLoadError: The program is damaged, or hasn't exactly one input of rank 4.
    """
    shapes = _json_input_shapes(files) if files.is_json else _pdmodel_input_shapes(files)
    if len(shapes) != 1 or len(shapes[0]) != 4:  # noqa: PLR2004  # [N, C, H, W]
        raise ModelLoadError(
            f"{files.program} is no image classifier: its inputs have the shapes {shapes}; "
            "one of rank 4 ([N, C, H, W]) was expected"
        )
    return tuple(size if size > 0 else None for size in shapes[0])


def _pdmodel_input_shapes(files: ModelFiles) -> list[list[int]]:
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from paddle.base.proto import framework_pb2  # noqa: PLC0415

    program = framework_pb2.ProgramDesc()
    try:
        program.ParseFromString(files.program.read_bytes())
        # Feed variables are not marked as such: they are what the feed operators write.
        block = program.blocks[0]
        fed = [name for op in block.ops if op.type == "feed" for out in op.outputs for name in out.arguments]
        types = {variable.name: variable.type for variable in block.vars}
        # The same protobuf field has another name since Paddle 3.
        known = framework_pb2.VarType.DESCRIPTOR.fields_by_name
        field = "dense_tensor" if "dense_tensor" in known else "lod_tensor"
        return [list(getattr(types[name], field).tensor.dims) for name in fed]
    except (OSError, DecodeError, ValueError, LookupError) as exc:
        raise ModelLoadError(f"{files.program} is damaged or no Paddle model: {exc}") from exc


def _json_input_shapes(files: ModelFiles) -> list[list[int]]:
    try:
        program: Any = json.loads(files.program.read_bytes())
        operators = program["program"]["regions"][0]["blocks"][0]["ops"]
        attributes = [op["A"] for op in operators if re.fullmatch(r"\d+\.data", op["#"])]
        return [
            [int(size) for size in attribute["AT"]["D"]]
            for data in attributes
            for attribute in data
            if attribute["N"] == "shape"
        ]
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as exc:
        raise ModelLoadError(f"{files.program} is damaged or no Paddle model: {exc}") from exc


def check_weights(files: ModelFiles) -> None:
    """Make sure that the file of weights ends where its last tensor does; Paddle itself doesn't notice.

    The file is a row of tensors: a version and the number of LoD levels (8 bytes of size and the content
    each), another version, the size of a description, the description, and the values.

    Raises:
        ModelLoadError: The file is cut off, or no file of weights.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415
    from paddle.base.proto.framework_pb2 import VarType  # noqa: PLC0415

    sizes = {getattr(VarType, name): size for name, size in _ITEM_BYTES.items() if hasattr(VarType, name)}
    try:
        with files.weights.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            while stream.tell() < end:
                _, lod_levels = struct.unpack("<IQ", stream.read(12))
                for _ in range(lod_levels):
                    stream.seek(struct.unpack("<Q", stream.read(8))[0], os.SEEK_CUR)
                _, described = struct.unpack("<Ii", stream.read(8))
                tensor = VarType.TensorDesc.FromString(stream.read(described))
                if tensor.data_type not in sizes:
                    return  # a type of a later Paddle, which has to judge for itself
                stream.seek(math.prod(tensor.dims) * sizes[tensor.data_type], os.SEEK_CUR)
            is_whole = stream.tell() == end
    except (OSError, OverflowError, ValueError, struct.error, DecodeError) as exc:
        raise ModelLoadError(f"{files.weights} is damaged or no file of weights: {exc}") from exc
    if not is_whole:
        raise ModelLoadError(f"{files.weights} is cut off: it has {end} bytes, and its tensors take more")
