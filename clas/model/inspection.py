"""Inspects the model files: the input shape, which a predictor doesn't report, and truncated weights."""

import json
import math
import os
import re
import struct
from typing import Any, BinaryIO, Final

from ..errors import ModelLoadError
from .files import ModelFiles
from .program_proto import ITEM_BYTES, parse_program, parse_tensor

_INPUT_RANK: Final = 4  # [N, C, H, W]


def read_input_shape(files: ModelFiles) -> tuple[int | None, ...]:
    """Read the shape of the model's input from the program file.

    Returns:
        [N, C, H, W]; None where the model accepts any size.

    Raises:
        ModelLoadError: The program is damaged, or doesn't have exactly one input of rank 4.
    """
    try:
        content = files.program.read_bytes()
        shapes = _json_input_shapes(content) if files.is_json else _pdmodel_input_shapes(content)
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as exc:
        raise ModelLoadError(f"{files.program} is damaged or not a Paddle model: {exc}") from exc
    if len(shapes) != 1 or len(shapes[0]) != _INPUT_RANK:
        raise ModelLoadError(
            f"{files.program} is not an image classifier: its inputs have the shapes {shapes}; "
            "one of rank 4 ([N, C, H, W]) was expected"
        )
    return tuple(size if size > 0 else None for size in shapes[0])


def _pdmodel_input_shapes(content: bytes) -> list[list[int]]:
    program: Any = parse_program(content)
    block = program.blocks[0]
    # Nothing marks a variable as an input: the inputs are what the feed operators write.
    fed = [name for op in block.ops if op.type == "feed" for out in op.outputs for name in out.arguments]
    types = {variable.name: variable.type for variable in block.vars}
    return [list(types[name].dense_tensor.tensor.dims) for name in fed]


def _json_input_shapes(content: bytes) -> list[list[int]]:
    program: Any = json.loads(content)
    operators = program["program"]["regions"][0]["blocks"][0]["ops"]
    attributes = [op["A"] for op in operators if re.fullmatch(r"\d+\.data", op["#"])]
    return [
        [int(size) for size in attribute["AT"]["D"]]
        for data in attributes
        for attribute in data
        if attribute["N"] == "shape"
    ]


def check_weights(files: ModelFiles) -> None:
    """Check that the weights file ends where its last tensor does, which Paddle itself doesn't check.

    The file is a sequence of tensors. Each has a version (uint32), the number of LoD levels (uint64), the
    levels (a uint64 size and that many bytes each), another version (uint32), the size of its description
    (int32), the description (a TensorDesc) and the values.

    Raises:
        ModelLoadError: The file is truncated, or not a weights file.
    """
    try:
        with files.weights.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            while stream.tell() < end:
                if not _skip_tensor(stream):
                    return  # a type of a later Paddle, which has to check the file itself
            is_whole = stream.tell() == end
    except (OSError, OverflowError, ValueError, struct.error) as exc:
        raise ModelLoadError(f"{files.weights} is damaged or not a weights file: {exc}") from exc
    if not is_whole:
        raise ModelLoadError(f"{files.weights} is cut off: it has {end} bytes, and its tensors take more")


def _skip_tensor(stream: BinaryIO) -> bool:
    """Seek past one tensor; returns False if its type is unknown, and thus its size."""
    _, lod_levels = struct.unpack("<IQ", stream.read(12))
    for _ in range(lod_levels):
        stream.seek(struct.unpack("<Q", stream.read(8))[0], os.SEEK_CUR)
    _, description_bytes = struct.unpack("<Ii", stream.read(8))
    if description_bytes < 0:
        raise ValueError(f"a description of {description_bytes} bytes")
    tensor: Any = parse_tensor(stream.read(description_bytes))
    if tensor.data_type not in ITEM_BYTES:
        return False
    if min(tensor.dims, default=0) < 0:  # seeking backwards might never end
        raise ValueError(f"a tensor of shape {list(tensor.dims)}")
    stream.seek(math.prod(tensor.dims) * ITEM_BYTES[tensor.data_type], os.SEEK_CUR)
    return True
