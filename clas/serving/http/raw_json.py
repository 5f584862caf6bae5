"""Reads JSON whose values stay text until it is known what they may be, and how large."""

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from ...errors import RequestError

NULL: Final = msgspec.Raw(b"null")

_MAX_SMALL_BYTES: Final = 10_000
_NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises: the second one for names and texts that aren't UTF-8, the third for deep nesting."""
_SAMPLES: Final[dict[int, object]] = {
    ord("["): [],
    ord("{"): {},
    ord("t"): True,
    ord("f"): False,
    ord("n"): None,
}

_Object = TypeVar("_Object", bound=msgspec.Struct)

_read_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_object(
    decode: Callable[[bytes | msgspec.Raw], _Object],
    text: bytes | msgspec.Raw,
    where: str,
    wanted: str,
    refuse_unknown: Callable[[str], None],
) -> _Object:
    """Read a JSON object with known fields.

    Args:
        decode: Its decoder.
        text: The JSON.
        where: Its name, for messages.
        wanted: What it takes, for messages.
        refuse_unknown: Raises the error for a field that it doesn't know.

    Raises:
        RequestError: It isn't JSON or no object, or a field is unknown or missing.
    """
    try:
        return decode(text)
    except msgspec.ValidationError as exc:
        found = re.fullmatch("Object (contains unknown|missing required) field `(.*)`", str(exc), re.DOTALL)
        if found and found[1] == "contains unknown":
            refuse_unknown(found[2])
        if found:
            raise RequestError(f"{where} has no {found[2]}; it takes {wanted}") from exc
        raise RequestError(f"{where} is JSON, but not an object; it takes {wanted}") from exc
    except _NOT_JSON as exc:
        raise RequestError(f"{where} is not JSON: {exc}") from exc


def read_small(name: str, raw: msgspec.Raw) -> object:
    """Decode a value of a few kilobytes at most.

    Raises:
        RequestError: It is larger, or not JSON.
    """
    size = memoryview(raw).nbytes
    if size > _MAX_SMALL_BYTES:
        raise RequestError(f"{name} has {size} bytes; it takes up to {_MAX_SMALL_BYTES}")
    return _decode(name, raw)


def read_texts(name: str, raw: msgspec.Raw, *, has_escapes: bool) -> list[object]:
    """Read a list of texts that are as large as files; see `read_text`."""
    return [read_text(name, entry, has_escapes=has_escapes) for entry in _read_list(raw)]


def read_text(name: str, raw: msgspec.Raw, *, has_escapes: bool) -> object:
    """Read a text without a copy; anything else becomes a sample of its type, which suffices to refuse it.

    Args:
        name: For messages.
        raw: The JSON.
        has_escapes: Whether it may have any, such as the slash of base64 by some JSON writers.

    Raises:
        RequestError: It isn't JSON.
    """
    sign = memoryview(raw)[0]
    if sign != ord('"'):
        return _SAMPLES.get(sign, 0)
    return _decode(f"{name} holds a text that", raw) if has_escapes else memoryview(raw)[1:-1]


def _decode(what: str, raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except _NOT_JSON as exc:
        raise RequestError(f"{what} is not JSON: {exc}") from exc
