"""Reads what a program takes and returns, which a predictor reports in part and late."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..errors import ModelLoadError
from .files import ModelFiles
from .program_proto import DTYPES, parse_program

_Origins = Mapping[Any, tuple[str, Any]]
"""Value -> the operator that computes it, and the first value that this operator takes."""

_ALIKE: Final = frozenset(("assign", "cast", "scale", "share_data"))
"""Operators that leave the order of values as it is, among them those that Paddle adds to outputs itself."""
_JSON_DTYPES: Final = {
    "t_bool": "bool",
    "t_ui8": "uint8",
    "t_i8": "int8",
    "t_i16": "int16",
    "t_i32": "int32",
    "t_i64": "int64",
    "t_f16": "float16",
    "t_f32": "float32",
    "t_f64": "float64",
    "t_bf16": "bfloat16",
}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output of a program.

    Attributes:
        name: Its name, as Paddle's predictor calls it.
        shape: Its sizes; None where any size is accepted, or it isn't known.
        dtype: numpy's name of its type, or else Paddle's.
        operator: What computes it, if it is an output: the last operator that isn't one of `_ALIKE`.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    operator: str = ""

    def __str__(self) -> str:
        """Such as `'x' [N, 3, any, any] float32` or `'scores' [N, 1000] float32 by softmax`."""
        sizes = [str(size or "any") for size in self.shape]
        if self.shape and not self.shape[0]:
            sizes[0] = "N"
        origin = f" by {self.operator}" if self.operator else ""
        return f"{self.name!r} [{', '.join(sizes)}] {self.dtype}{origin}"


@dataclasses.dataclass(frozen=True)
class Program:
    """What a program takes and returns, each in the order of the predictor."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def read_program(files: ModelFiles) -> Program:
    """Read what the program takes and returns.

    Raises:
        ModelLoadError: The file is damaged, or no program of Paddle.
        EncryptedModelError: It is encrypted, and can't be decrypted.
    """
    try:
        content = files.read(files.program)
        return _of_json(content) if files.is_json else _of_pdmodel(content)
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as exc:
        raise ModelLoadError(f"{files.program} is damaged or not a Paddle model: {exc}") from exc


def _of_pdmodel(content: bytes) -> Program:
    program: Any = parse_program(content)
    block = program.blocks[0]
    types = {variable.name: variable.type.dense_tensor.tensor for variable in block.vars}
    origins: dict[str, tuple[str, str | None]] = {}
    fed: list[str] = []
    fetched: list[str] = []
    for op in block.ops:
        taken = [name for inp in op.inputs for name in inp.arguments]
        made = [name for out in op.outputs for name in out.arguments]
        # Nothing marks a variable as an input: the inputs are what the feed operators write.
        if op.type == "feed":
            fed += made
        elif op.type == "fetch":
            fetched += taken
        else:
            origins.update(dict.fromkeys(made, (op.type, next(iter(taken), None))))

    def tensor(name: str, operator: str = "") -> Tensor:
        found = types[name]
        return Tensor(name, _shape(found.dims), DTYPES.get(found.data_type, "unknown"), operator)

    return Program(
        tuple(tensor(name) for name in fed), tuple(tensor(name, _operator(name, origins)) for name in fetched)
    )


def _of_json(content: bytes) -> Program:
    program: Any = json.loads(content)
    operators = program["program"]["regions"][0]["blocks"][0]["ops"]
    origins: dict[int, tuple[str, int | None]] = {}
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    for op in operators:
        kind = re.sub(r"^\d+\.", "", op["#"])  # of the operator's dialect
        first = next((taken["%"] for taken in op.get("I", ())), None)
        if kind == "data":
            inputs.append(_json_tensor(op, ""))
        elif kind == "fetch":
            outputs.append(_json_tensor(op, _operator(first, origins)))
        else:
            origins.update({made["%"]: (kind, first) for made in _list(op.get("O", ()))})
    return Program(tuple(inputs), tuple(outputs))


def _list(made: Any) -> Sequence[Any]:  # noqa: ANN401  # as parsed
    """A parameter has its only value outside a list."""
    return made if isinstance(made, list | tuple) else [made]


def _json_tensor(op: Any, operator: str) -> Tensor:  # noqa: ANN401  # as parsed
    attributes = {attribute["N"]: attribute["AT"]["D"] for attribute in op["A"]}
    dtype, dims = op["O"][0]["TT"]["D"][:2]
    kind = str(dtype["#"]).partition(".")[2]
    return Tensor(str(attributes["name"]), _shape(dims), _JSON_DTYPES.get(kind, kind), operator)


def _shape(dims: Sequence[Any]) -> tuple[int | None, ...]:
    return tuple(int(size) if size > 0 else None for size in dims)


def _operator(value: Any, origins: _Origins) -> str:  # noqa: ANN401  # a name or a number
    """Return what computes a value, looking through the operators of `_ALIKE`."""
    for _ in range(len(origins)):  # a damaged program may go round in circles
        if value not in origins:
            return ""
        operator, value = origins[value]
        if operator.rstrip("_") not in _ALIKE:  # `scale_` works in place
            return operator
    return ""
