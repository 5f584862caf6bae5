"""The input of a request: a tensor, pixels or image files, in JSON or behind it."""

import reprlib
from collections.abc import Sequence
from typing import Final

import msgspec

from ....errors import RequestError, TooLargeError
from ....fields import refuse_unknown
from ....image.layout import is_channels_last
from ....pipeline import Pipeline
from ....protocol import OPERATIONS, Tensor
from ..raw_json import NULL, read_object
from .parameters import read_parameters, read_value
from .tensors import BYTES, from_binary, from_json, items_from_binary, items_from_json

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
"""The header with the length of the JSON that binary data follow."""
INPUT: Final = "inputs[0]"

_TENSORS: Final = ("FP32", "FP16", "FP64")
_PIXELS: Final = "UINT8"
_MAX_AXIS: Final = 2**31 - 1

_decode_list: Final = msgspec.json.Decoder(tuple[msgspec.Raw]).decode


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: msgspec.Raw
    shape: msgspec.Raw
    datatype: msgspec.Raw
    parameters: msgspec.Raw = NULL
    data: msgspec.Raw = NULL


_decode_input: Final = msgspec.json.Decoder(_Input).decode


def read_input(
    raw: msgspec.Raw, binary: memoryview, pipeline: Pipeline, max_images: int
) -> tuple[Tensor | list[object], tuple[str, ...]]:
    """Read the inputs of a request.

    Args:
        raw: The JSON of all inputs.
        binary: What is behind the JSON of the request.
        pipeline: The model.
        max_images: The most image files.

    Returns:
        The images, as `Inputs` has them, and the operations that are left to do to them.

    Raises:
        RequestError: There isn't one input of the model's name, and of a datatype and shape that it takes.
    """
    wanted = pipeline.engine.input_name
    try:
        [raw_input] = _decode_list(raw)
    except msgspec.ValidationError as exc:
        raise RequestError(f"inputs isn't a list of one tensor; the model takes {wanted!r} alone") from exc
    fields = tuple(_Input.__struct_fields__)
    tensor = read_object(
        _decode_input,
        raw_input,
        INPUT,
        f"an object with {', '.join(fields)}",
        lambda name: refuse_unknown([name], fields, INPUT, RequestError),
    )
    name = read_value(f"{INPUT}.name", tensor.name, str, "a text")
    if name != wanted:
        raise RequestError(f"{INPUT}.name is {reprlib.repr(name)}; the model's input is {wanted!r}")
    datatype = read_value(f"{INPUT}.datatype", tensor.datatype, str, "a text")
    shape = _read_shape(tensor.shape)
    data = _choose_data(tensor, binary)
    if datatype == BYTES:
        return _read_files(data, shape, max_images), ()
    if datatype not in (*_TENSORS, _PIXELS):
        raise RequestError(
            f"{INPUT}.datatype is {reprlib.repr(datatype)}; it takes {', '.join(_TENSORS)} for the model's "
            f"tensor, {_PIXELS} for pixels, and {BYTES} for image files"
        )
    operations = _operations(datatype, shape, pipeline)
    pipeline.input.check(tuple(shape), f"{INPUT}.shape", operations)  # before anything is made of it
    if isinstance(data, memoryview):
        return from_binary(data, datatype, shape, INPUT), operations
    return from_json(data, datatype, shape, INPUT), operations


def _read_shape(raw: msgspec.Raw) -> Sequence[int]:
    shape: Sequence[int] = read_value(f"{INPUT}.shape", raw, list[int], "a list of whole numbers", [])
    if not shape or not all(0 < size <= _MAX_AXIS for size in shape):
        raise RequestError(
            f"{INPUT}.shape is {reprlib.repr(shape)}; it takes whole numbers from 1 to {_MAX_AXIS}"
        )
    return shape


def _choose_data(tensor: _Input, binary: memoryview) -> memoryview | msgspec.Raw:
    """Return where the data is: behind the JSON, or in it."""
    where = f"{INPUT}.parameters"
    parameters = read_parameters(where, tensor.parameters)
    refuse_unknown(parameters, ["binary_data_size"], where, RequestError)
    size = parameters.get("binary_data_size")
    has_data = tensor.data != NULL
    if size is None and has_data and not binary:
        return tensor.data
    if type(size) is int and size == binary.nbytes and not has_data:
        return binary
    raise RequestError(
        f"{INPUT} takes either data, or parameters.binary_data_size with as many bytes behind the JSON, "
        f"whose length is in {HEADER_LENGTH}; it has {'data' if has_data else 'no data'}, "
        f"{binary.nbytes} bytes are there, and binary_data_size is "
        f"{'missing' if size is None else reprlib.repr(size)}"
    )


def _read_files(data: memoryview | msgspec.Raw, shape: Sequence[int], max_images: int) -> list[object]:
    if len(shape) != 1:
        raise RequestError(f"{INPUT}.shape is {list(shape)}; with {BYTES} it takes [N], of N image files")
    [count] = shape
    if count > max_images:
        raise TooLargeError(f"{INPUT} has {count} images; it takes up to {max_images}: send smaller batches")
    if isinstance(data, memoryview):
        return list(items_from_binary(data, count, INPUT))
    return items_from_json(data, count, INPUT)


def _operations(datatype: str, shape: Sequence[int], pipeline: Pipeline) -> tuple[str, ...]:
    """Return what is left to do: pixels are normalized, and put into the model's order of axes.

    Pixels of the shape of a model that takes uint8 are its tensor.
    """
    engine = pipeline.engine
    sizes = zip(engine.input_shape[1:], shape[1:], strict=False)
    if datatype != _PIXELS or (
        engine.input_dtype == "uint8" and all(wanted in (None, size) for wanted, size in sizes)
    ):
        return ()
    return OPERATIONS[:1] if is_channels_last(engine.input_shape) else OPERATIONS
