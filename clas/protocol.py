"""The wire format: converts between the JSON fields of a request and numpy arrays. Imports no HTTP library.

Tensor form: `images` is the base64 text of the C-order bytes of one batch, `revert_params` has its shape and
dtype, and `preprocess`, if present, lists the operations that are left to the server. Encoded-image form:
`images` is a list of base64 texts of whole image files.
"""

import json
import math
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from .errors import ImageError, RequestError

try:
    from pybase64 import b64decode, b64encode
except ImportError:  # the standard library's are some 50 times slower
    from base64 import b64decode, b64encode  # type: ignore[assignment]

MODULE_NAME: Final = "clas_system"
VERSION: Final = "1.0.0"
"""Version of the module. PaddleHub reads it as a literal, so module.py repeats it."""
PREDICTIONS_PATH: Final = "/predict"
"""The standalone server has each of its models below this path, under its name."""
PREDICT_PATH: Final = f"{PREDICTIONS_PATH}/{MODULE_NAME}"
OPEN_INFERENCE_PATH: Final = "/v2"
"""Where the addresses of the Open Inference Protocol begin."""
MODELS_PATH: Final = f"{OPEN_INFERENCE_PATH}/models"
REPOSITORY_PATH: Final = f"{OPEN_INFERENCE_PATH}/repository"
"""Where models are loaded and unloaded (source: Triton's model repository extension)."""
FIELDS: Final = ("images", "revert_params", "preprocess", "top_k")
OPERATIONS: Final = ("normalize", "to_chw")
"""Names allowed in `preprocess`, in the order of their application: clas.preprocess's Normalize and ToCHW."""

_DATA_URI: Final = re.compile(rb"\s*data:[\w.+/-]*(;[\w.+=/-]*)*;base64,", re.IGNORECASE)
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_WHITESPACE: Final = b" \t\r\n"
_DTYPE: Final = re.compile(
    r"[<>=|]?[A-Za-z_]+\d*"
)  # numpy would also parse records, and warn of old spellings
_REVERT_PARAMS_FIELDS: Final = {"shape", "dtype"}
_SHOWN_NAMES: Final = 5
_MAX_AXES: Final = 8
_MAX_SIZE: Final = 2**31 - 1  # of one axis; with both bounded, the product is cheap to compute
_MAX_ITEM_BYTES: Final = 8  # float64, int64; numpy's longdouble differs between machines

Tensor = npt.NDArray[np.generic]


def tensor_body(batch: Tensor, operations: Sequence[str] = (), top_k: int | None = None) -> bytes:
    """Build the body of a request in tensor form.

    The JSON is assembled around the base64 text, which a JSON encoder would scan once more.

    Args:
        batch: Any shape, any real number dtype; by convention [N, C, H, W] float32.
        operations: The OPERATIONS left to the server; the original server supports none.
        top_k: Classes to return for each image, or None for the server's default. The original server
            refuses the field.
    """
    fields = {"revert_params": {"shape": list(batch.shape), "dtype": str(batch.dtype)}}
    optional: dict[str, object] = {"preprocess": list(operations)} if operations else {}
    if top_k is not None:
        optional["top_k"] = top_k
    rest = json.dumps({**fields, **optional}).encode("ascii")
    return b"".join((b'{"images": "', b64encode(np.ascontiguousarray(batch).data), b'", ', rest[1:]))


def files_body(files: Iterable[bytes], top_k: int | None = None) -> bytes:
    """Build the body of a request in encoded-image form.

    Args:
        files: Whole image files: JPEG, PNG, BMP or WebP.
        top_k: Classes to return for each image, or None for the server's default.
    """
    rest = b"}" if top_k is None else b', "top_k": %d}' % top_k
    return b'{"images": ["' + b'", "'.join(b64encode(file) for file in files) + b'"]' + rest


def refuse_unknown_fields(fields: Mapping[str, object]) -> None:
    """Check that a request has no fields other than FIELDS.

    Raises:
        RequestError: It has; the message names them.
    """
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise RequestError(f"unknown field {_listed(unknown)}; a request has {', '.join(FIELDS)}")


def decode(images: object, revert_params: object) -> Tensor | list[object]:
    """Decode the images of a request in either form.

    Args:
        images: The request's field of this name, None if it is missing. Strings are str, or a memoryview of
            the bytes between the quotes.
        revert_params: The request's field of this name, None if it is missing.

    Returns:
        For the tensor form, a read-only array of the given shape and dtype. For the encoded-image form, the
        list of entries, unchanged: pass each one to `decode_entry`, so that an invalid one fails alone.

    Raises:
        RequestError: A field is missing or invalid; the message names it.
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
    """Parse the operations that a request leaves to the server.

    Args:
        preprocess: The request's field of this name, None if it is missing.
        images: The request's field of this name, which tells the form.

    Returns:
        A subset of OPERATIONS, in the same order.

    Raises:
        RequestError: `preprocess` is invalid, or not allowed in this form.
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
    """Decode one entry of the encoded-image form.

    Returns:
        The bytes of the image file.

    Raises:
        ImageError: The entry isn't base64.
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
    except ValueError:  # includes binascii.Error; also raised for non-ASCII text
        pass
    try:
        return b64decode(_standard_base64(text), validate=True)
    except ValueError as exc:
        raise error(f"{what} is not base64: {exc}") from exc


def _standard_base64(text: str | memoryview) -> bytes:
    """Rewrite base64 as other tools make it: with a data: prefix, line breaks, "-" and "_", or no padding."""
    data = text.encode("ascii") if isinstance(text, str) else bytes(text)
    prefix = _DATA_URI.match(data)
    data = data[prefix.end() if prefix else 0 :].translate(_STANDARD, _WHITESPACE)
    return data + b"=" * (-len(data) % 4)


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
    """Return the dtype of a real number type; objects, records, strings, times and the like are refused."""
    refusal = RequestError(f"revert_params.dtype is {_shown(name)}; it takes a number type such as 'float32'")
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise refusal
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError, OverflowError) as exc:
        raise refusal from exc
    if dtype.kind not in "fiu" or dtype.itemsize > _MAX_ITEM_BYTES:
        raise refusal
    return dtype


def _kind(value: object) -> str:
    """Return JSON's name for the type of a value."""
    kinds = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list"}
    return "missing" if value is None else kinds.get(type(value), "an object")


def _shown(value: object) -> str:
    """Return a value from a request, shortened for a message."""
    return reprlib.repr(value)


def _listed(names: Sequence[object]) -> str:
    """Return names from a request as a list, shortened for a message."""
    shown = ", ".join(_shown(name) for name in names[:_SHOWN_NAMES])
    return shown if len(names) <= _SHOWN_NAMES else f"{shown} and {len(names) - _SHOWN_NAMES} more"
