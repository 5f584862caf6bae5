"""Reads a PyTorch checkpoint in the legacy format (before 1.6, not a zip), safely and without PyTorch.

Such a file has, in this order:

1. three pickles: the magic number, the protocol version, a dictionary with the byte order of the writer;
2. the pickled object, here a dictionary of tensors, which refers to a storage (the flat memory of a tensor)
   by the persistent id `("storage", type, key, location, numel, view_metadata)`;
3. a pickled list of the storages' keys;
4. for each of these keys the number of elements (int64) and the elements, both little-endian.

A pickle is a program that can call any function by name. This reader allows only the few names that a
dictionary of tensors needs, and checks all sizes before using them.
"""

import io
import math
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

MAGIC_NUMBER: Final = 0x1950A86A20F9469CFC6C
"""The value of the first pickle (source: MAGIC_NUMBER in torch/serialization.py)."""

PROTOCOL_VERSION: Final = 1001
"""The value of the second pickle (source: PROTOCOL_VERSION in torch/serialization.py)."""

STORAGE_DTYPES: Final[Mapping[str, np.dtype[np.generic]]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}
"""The allowed storage types by torch's name, with the dtype of their elements in the file."""

_NUMEL: Final = struct.Struct("<q")

# Raised by the unpickler for damaged input; the documentation of pickle doesn't have a complete list.
_UNPICKLING_ERRORS: Final = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


class CheckpointError(Exception):
    """Raised when the file isn't a legacy PyTorch checkpoint of plain tensors, or is damaged."""


class ForbiddenNameError(CheckpointError):
    """Raised when the pickle names a class or function that a dictionary of tensors doesn't need."""


class _Storage(NamedTuple):
    """A storage as the pickle refers to it; its elements come later in the file."""

    key: str
    type_name: str
    numel: int

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return STORAGE_DTYPES[self.type_name]


class _Tensor(NamedTuple):
    """A tensor as the pickle describes it: a strided view of a storage, counted in elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _CheckpointUnpickler(pickle.Unpickler):
    """Unpickles one part of a checkpoint, and collects the storages that it refers to in `storages`.

    A pickle can call and modify every object that it can look up. So the allowed names resolve to objects
    that can't be modified: a storage type to its name, the others to a built-in class and a bound method.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._rebuild_tensor
        if module == "torch" and name in STORAGE_DTYPES:
            return name
        msg = f"the pickle names {module}.{name}, which a dictionary of tensors doesn't need; nothing was run"
        raise ForbiddenNameError(msg)

    def persistent_load(self, pid: object) -> _Storage:
        match pid:
            case ("storage", str(type_name), str(key), str(), int(numel), None) if (
                type_name in STORAGE_DTYPES and numel >= 0
            ):
                storage = _Storage(key, type_name, numel)
            case _:
                raise CheckpointError(f"persistent id {pid!r:.200} doesn't describe a storage")
        if self.storages.setdefault(key, storage) != storage:
            raise CheckpointError(f"storage {key!r} is described in two ways")
        return storage

    def _rebuild_tensor(
        self, storage: object, offset: object, size: object, stride: object, *_autograd: object
    ) -> _Tensor:
        """Replace `torch._utils._rebuild_tensor_v2`; the arguments about gradients are ignored."""
        match storage, offset:
            case _Storage(), int() if offset >= 0:
                return _Tensor(storage, offset, _as_index(size), _as_index(stride))
        raise CheckpointError("a tensor is described without a storage or an offset within it")


def _as_index(value: object) -> tuple[int, ...]:
    """Return `value` if it is a tuple of non-negative integers; raises `CheckpointError` otherwise."""
    if isinstance(value, tuple) and all(isinstance(item, int) and item >= 0 for item in value):
        return value
    raise CheckpointError("a tensor's size or stride isn't a tuple of non-negative integers")


def read_checkpoint(path: Path) -> dict[str, Array]:
    """Read the tensors of a checkpoint.

    Args:
        path: A file written by `torch.save(model.state_dict(), path)` before PyTorch 1.6.

    Returns:
        Name -> C-contiguous float32 or int64 array with the shape of the tensor, in the order of the file.

    Raises:
        CheckpointError: The file is of another type, truncated or damaged (the message doesn't have `path`).
        ForbiddenNameError: Its pickle names something that a dictionary of tensors doesn't need.
        OSError: The file can't be opened or read.
    """
    with path.open("rb") as file:
        _check_header(file)
        content, declared = _unpickle(file, "pickled dictionary of tensors")
        listed, _ = _unpickle(file, "list of storages")
        storages = {key: _read_storage(file, declared[key]) for key in _storage_keys(listed, declared)}
        if file.read(1):
            raise CheckpointError("there are bytes after the last storage")
    tensors = _named_tensors(content)
    return {name: _to_array(name, tensor, storages[tensor.storage.key]) for name, tensor in tensors.items()}


def _unpickle(file: io.BufferedReader, part: str) -> tuple[object, dict[str, _Storage]]:
    """Unpickle the next part of the file; also returns the storages that it refers to, by key."""
    unpickler = _CheckpointUnpickler(file)
    try:
        return unpickler.load(), unpickler.storages
    except _UNPICKLING_ERRORS as exc:
        raise CheckpointError(f"damaged or truncated in the {part}: {exc}") from exc


def _check_header(file: io.BufferedReader) -> None:
    if not file.peek(1).startswith(pickle.PROTO):
        raise CheckpointError(
            "not a checkpoint of the legacy format (a zip file, as PyTorch writes since 1.6?)"
        )
    magic, _ = _unpickle(file, "magic number")
    if magic != MAGIC_NUMBER:
        raise CheckpointError("not a checkpoint: a pickle without PyTorch's magic number")
    version, _ = _unpickle(file, "protocol version")
    if version != PROTOCOL_VERSION:
        raise CheckpointError(f"protocol version {version!r:.50}; only {PROTOCOL_VERSION} is supported")
    system, _ = _unpickle(file, "description of the writing system")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError("not written on a little-endian system")


def _storage_keys(listed: object, declared: Mapping[str, _Storage]) -> list[str]:
    """Return the listed keys, which must be those of the declared storages, each once."""
    if not isinstance(listed, list) or not all(isinstance(key, str) for key in listed):
        raise CheckpointError("the list of storages isn't a list of keys")
    if sorted(listed) != sorted(declared):
        raise CheckpointError("the list of storages doesn't agree with the storages that the tensors use")
    return listed


def _read_storage(file: io.BufferedReader, storage: _Storage) -> Array:
    """Read the elements of one storage, shape [numel]."""
    # Checked against the rest of the file first: `read` would allocate any size that the file states.
    n_bytes = storage.numel * storage.dtype.itemsize
    if _NUMEL.size + n_bytes > os.fstat(file.fileno()).st_size - file.tell():
        raise CheckpointError(f"truncated: storage {storage.key!r} of {storage.numel} elements is incomplete")
    (numel,) = _NUMEL.unpack(file.read(_NUMEL.size))
    if numel != storage.numel:
        raise CheckpointError(
            f"storage {storage.key!r} has {numel} elements, its tensor says {storage.numel}"
        )
    return np.frombuffer(file.read(n_bytes), storage.dtype)


def _named_tensors(content: object) -> dict[str, _Tensor]:
    if not isinstance(content, dict):
        raise CheckpointError(f"holds a {type(content).__name__}, not a dictionary of tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise CheckpointError(f"entry {name!r:.100} isn't a tensor with a name")
    return content


def _to_array(name: str, tensor: _Tensor, elements: Array) -> Array:
    """Return a copy of a tensor from the elements of its storage."""
    size, stride = tensor.size, tensor.stride
    outside = CheckpointError(
        f"tensor {name!r} (offset {tensor.offset}, size {size}, stride {stride}) doesn't fit its storage of "
        f"{elements.size} elements"
    )
    # Checked with Python's unbounded integers, since numpy's own check of strides can overflow. An expanded
    # tensor (stride 0) could have any size; model weights have none, so it is refused as too large.
    count = math.prod(size)
    last = tensor.offset + sum((n - 1) * step for n, step in zip(size, stride, strict=False))
    if count > elements.size or (count > 0 and last >= elements.size):
        raise outside
    itemsize = elements.itemsize
    try:
        view: Array = np.ndarray(
            size, elements.dtype, elements, tensor.offset * itemsize, [step * itemsize for step in stride]
        )
    except (OverflowError, ValueError) as exc:  # also: more dimensions than numpy supports, or than strides
        raise outside from exc
    return view.astype(elements.dtype.newbyteorder("="), order="C")
