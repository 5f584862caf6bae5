"""The wire: JSON fields with base64 in them <-> numpy; knows no HTTP library.

Tensor form: `images` is the base64 text of the C-order bytes of one batch, `revert_params` says its shape and
dtype, and `preprocess`, where it is there, what is left to do. Encoded-image form: `images` is a list of
base64 texts of whole image files.
"""

import json
import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from .errors import ImageError, RequestError

try:
    from pybase64 import b64decode, b64encode
except ImportError:  # the standard library's take some 50 times as long
    from base64 import b64decode, b64encode  # type: ignore[assignment]

VERSION: Final = "1.0.0"
FIELDS: Final = ("images", "revert_params", "preprocess", "top_k")
OPERATIONS: Final = ("normalize", "to_chw")
"""What `preprocess` may name, in the order of doing it: the classes Normalize and ToCHW of preprocess.py."""

_REVERT_PARAMS_FIELDS: Final = {"shape", "dtype"}
_SHOWN_NAMES: Final = 5
_MAX_AXES: Final = 8
_MAX_SIZE: Final = 2**31 - 1  # of one axis; with both bounded, their product is computed in no time
_MAX_ITEM_BYTES: Final = 8  # float64, int64; numpy's longdouble is another thing on every machine

Tensor = npt.NDArray[np.generic]


def tensor_body(batch: Tensor, operations: Sequence[str] = (), top_k: int | None = None) -> bytes:
    """Make the body of a request in tensor form.

    The JSON is put together around the base64 text, which a JSON writer would look through once more.

    Args:
        batch: Any shape, any plain number dtype; by convention [N, C, H, W] float32.
        operations: Those of OPERATIONS that are left to the server; the original server knows none.
        top_k: How many classes to answer; None leaves it to the server. The original refuses the field.
    """
    fields = {"revert_params": {"shape": list(batch.shape), "dtype": str(batch.dtype)}}
    optional: dict[str, object] = {"preprocess": list(operations)} if operations else {}
    if top_k is not None:
        optional["top_k"] = top_k
    rest = json.dumps({**fields, **optional}).encode("ascii")
    return b"".join((b'{"images": "', b64encode(np.ascontiguousarray(batch).data), b'", ', rest[1:]))


def files_body(files: Iterable[bytes], top_k: int | None = None) -> bytes:
    """Make the body of a request in encoded-image form.

    Args:
        files: Whole image files: JPEG, PNG, BMP or WebP.
        top_k: How many classes to answer; None leaves it to the server.
    """
    rest = b"}" if top_k is None else b', "top_k": %d}' % top_k
    return b'{"images": ["' + b'", "'.join(b64encode(file) for file in files) + b'"]' + rest


def refuse_unknown_fields(fields: Mapping[str, object]) -> None:
    """Raise RequestError that names the fields which a request has beyond FIELDS."""
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise RequestError(f"unknown field {_listed(unknown)}; a request has {', '.join(FIELDS)}")


def decode(images: object, revert_params: object) -> Tensor | list[object]:
    """Tell the two forms apart and decode the tensor form.

    Args:
        images: The request's field of this name, texts as str or as a memoryview of what is between the
            quotes; None if it has none.
        revert_params: The request's field of this name; None if it has none.

    Returns:
        For the tensor form a read-only array of the shape and dtype that were sent. For the encoded-image
        form the list of entries as they came, for `decode_entry`: a bad one is to fail alone.

    Raises:
        RequestError: A field is missing or unfit; the message names it.
    """
    if isinstance(images, str | memoryview):
        if revert_params is None:
            raise RequestError(
                "revert_params is missing: a tensor in images needs it; "
                "to send whole image files, make images a list of base64 texts"
            )
        return _decode_tensor(images, revert_params)
    if isinstance(images, list):
        if revert_params is not None:
            raise RequestError("revert_params goes with a tensor in images, not with a list of image files")
        if not images:
            raise RequestError("images is an empty list; it takes at least one image")
        return images
    raise RequestError(
        f"images is {_kind(images)}; it takes the base64 text of a tensor, "
        "or a list of base64 texts of image files"
    )


def parse_preprocess(preprocess: object, images: object) -> tuple[str, ...]:
    """Read what a request leaves to the server.

    Args:
        preprocess: The request's field of this name; None if it has none.
        images: Its field of this name, to tell the form.

    Returns:
        Some of OPERATIONS, in that order.

    Raises:
        RequestError: It is something else, or doesn't go with this form.
    """
    if preprocess is None:
        return ()
    if isinstance(images, list):
        raise RequestError("preprocess goes with a tensor in images; image files get all operations")
    is_list = isinstance(preprocess, list) and all(isinstance(name, str) for name in preprocess)
    if not is_list or preprocess != [name for name in OPERATIONS if name in preprocess]:  # type: ignore[operator]
        raise RequestError(
            f"preprocess is {_shown(preprocess)}; it takes a list of "
            f"{' and '.join(OPERATIONS)}, in this order, each once at most"
        )
    return tuple(preprocess)


def decode_entry(entry: object) -> bytes:
    """Decode one entry of the encoded-image form to the bytes of an image file.

    Raises:
        ImageError: The entry isn't a base64 text.
    """
    if not isinstance(entry, str | memoryview):
        raise ImageError(f"the image is {_kind(entry)}; it takes the base64 text of an image file")
    return _decode_base64(entry, "the image", ImageError)


def _decode_tensor(images: str | memoryview, revert_params: object) -> Tensor:
    if not isinstance(revert_params, Mapping):
        raise RequestError(
            f"revert_params is {_kind(revert_params)}; it takes an object with shape and dtype"
        )
    if revert_params.keys() != _REVERT_PARAMS_FIELDS:
        came = _listed(list(revert_params)) or "nothing"
        raise RequestError(f"revert_params has {came}; it takes exactly 'shape' and 'dtype'")
    shape = _parse_shape(revert_params["shape"])
    dtype = _parse_dtype(revert_params["dtype"])
    data = _decode_base64(images, "images", RequestError)
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise RequestError(
            f"images holds {len(data)} bytes; revert_params.shape {list(shape)} of {dtype} takes {wanted}"
        )
    return np.frombuffer(data, dtype).reshape(shape)


def _decode_base64(text: str | memoryview, what: str, error: type[RequestError]) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError as exc:  # binascii.Error is one, and so is what text beyond ASCII raises
        raise error(f"{what} is not base64: {exc}") from exc


def _parse_shape(shape: object) -> tuple[int, ...]:
    is_list = isinstance(shape, list) and all(type(size) is int for size in shape)
    if not is_list:
        raise RequestError(f"revert_params.shape is {_shown(shape)}; it takes a list of whole numbers")
    sizes: tuple[int, ...] = tuple(shape)  # type: ignore[arg-type]
    if not 1 <= len(sizes) <= _MAX_AXES or min(sizes) < 1 or max(sizes) > _MAX_SIZE:
        raise RequestError(
            f"revert_params.shape is {_shown(shape)}; it takes 1 to {_MAX_AXES} numbers from 1 to {_MAX_SIZE}"
        )
    return sizes


def _parse_dtype(name: object) -> np.dtype[np.generic]:
    """Admit plain numbers only: no objects, records, texts, times, complex numbers or sub-arrays."""
    refusal = RequestError(f"revert_params.dtype is {_shown(name)}; it takes a number type such as 'float32'")
    if not isinstance(name, str):
        raise refusal
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError, OverflowError) as exc:
        raise refusal from exc
    if dtype.kind not in "fiu" or dtype.itemsize > _MAX_ITEM_BYTES:
        raise refusal
    return dtype


def _kind(value: object) -> str:
    """What JSON calls the type of a value."""
    kinds = {str: "a text", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return "missing" if value is None else kinds.get(type(value), "an object")


def _shown(value: object) -> str:
    """A value from a request, as short as a message can bear."""
    return reprlib.repr(value)


def _listed(names: Sequence[object]) -> str:
    """Names from a request, as many as a message can bear."""
    shown = ", ".join(_shown(name) for name in names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown} and {len(names) - _SHOWN_NAMES} more"
