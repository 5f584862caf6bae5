"""Inspects the weights file, which Paddle itself doesn't check."""

import math
import os
import struct
from typing import Any, BinaryIO

from ..errors import ModelLoadError
from .files import ModelFiles
from .program_proto import ITEM_BYTES, parse_tensor


def check_weights(files: ModelFiles) -> None:
    """Check that the weights file ends where its last tensor does, which no engine checks.

    The file is a sequence of tensors. Each has a version (uint32), the number of LoD levels (uint64), the
    levels (a uint64 size and that many bytes each), another version (uint32), the size of its description
    (int32), the description (a TensorDesc) and the values.

    Raises:
        ModelLoadError: The file is truncated, or not a weights file.
    """
    if files.weights == files.program or files.key_file:  # authenticated, and checked when it was encrypted
        return
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
