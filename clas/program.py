"""What a model file says of its own input; a loaded predictor has no call for it."""

import json
import re
from typing import Any

from .errors import ModelLoadError
from .model_files import ModelFiles


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
    except (OSError, DecodeError) as exc:
        raise ModelLoadError(f"{files.program} is damaged or no Paddle model: {exc}") from exc
    # Feed variables are not marked as such: they are what the feed operators write.
    block = program.blocks[0] if program.blocks else framework_pb2.BlockDesc()
    fed = [name for op in block.ops if op.type == "feed" for out in op.outputs for name in out.arguments]
    variables = {variable.name: variable for variable in block.vars}
    types = [variables[name].type for name in fed if name in variables]
    # The same protobuf field has another name since Paddle 3.
    tensors = [kind.dense_tensor if hasattr(kind, "dense_tensor") else kind.lod_tensor for kind in types]
    return [list(described.tensor.dims) for described in tensors]


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
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise ModelLoadError(f"{files.program} is damaged or no Paddle model: {exc}") from exc
