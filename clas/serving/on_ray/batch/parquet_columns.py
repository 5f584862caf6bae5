"""Finds the column of a parquet file that holds the images, or their names."""

from typing import Any, Final, NamedTuple

import pyarrow as pa

from ....commandline.evaluation.truth_columns import PATHS
from ....errors import SettingsError

_NAMES: Final = (*PATHS, "uri", "url", "key", "__key__", "id")
_FIELD: Final = "bytes"
"""The field of an image that is a struct (source: Hugging Face's datasets.Image)."""


class Columns(NamedTuple):
    """The columns of a parquet file that are read.

    Attributes:
        image: Holds whole image files, or names.
        has_bytes: Whether it holds files.
        name: Beside files, the column with their names; empty if there is none.
    """

    image: str
    has_bytes: bool
    name: str = ""

    @property
    def all(self) -> list[str]:
        """The columns to read."""
        return [self.image, *([self.name] if self.name else [])]


def find_columns(schema: pa.Schema, wanted: str, file: str) -> Columns:
    """Find the column of images, or of their names.

    Args:
        schema: That of the file.
        wanted: The name of the column; empty for the only one of bytes, or else the only one of texts.
        file: For messages.

    Raises:
        SettingsError: There is no such column, or there are several.
    """
    images = [field.name for field in schema if _has_bytes(field.type)]
    texts = [field.name for field in schema if _is_text(field.type)]
    if wanted:
        fitting = [wanted] if wanted in (*images, *texts) else []
    else:
        fitting = images or ([name for name in texts if name.lower() in _NAMES] or texts)
    if len(fitting) != 1:
        what = (
            f"no column {wanted!r} of bytes or texts" if wanted else "several columns that may be the images"
        )
        what = "no column of bytes or texts" if not (images or texts) else what
        raise SettingsError(f"{file} has {what}; --column takes one of {', '.join(schema.names)}")
    [image] = fitting
    if image not in images:
        return Columns(image, has_bytes=False)
    names = [name for name in texts if name.lower() in _NAMES]
    return Columns(
        image, has_bytes=True, name=min(names, key=lambda name: _NAMES.index(name.lower()), default="")
    )


def bytes_of(value: Any) -> bytes | None:  # noqa: ANN401  # a cell
    """Return the file in a cell; None if there is none."""
    return value.get(_FIELD) if isinstance(value, dict) else value


def _has_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == _FIELD and _has_bytes(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
