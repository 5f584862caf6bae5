"""Read a PyTorch checkpoint of the legacy format (before 1.6, not a zip) without PyTorch and without trust.

Such a file is, one after the other:

1. three pickles: the magic number, the protocol version, a dictionary with the byte order of the writer;
2. the pickled object, here a dictionary of tensors, in which a storage (the flat memory of a tensor) is only
   named, by the persistent id `("storage", type, key, location, numel, view_metadata)`;
3. a pickled list of the storages' keys;
4. for each of these keys the number of elements (int64) and the elements, both little-endian.

A pickle is a program that may name any function to call. This reader admits the few names that a dictionary
of tensors needs, and checks all sizes before it believes them.
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
"""What the first pickle holds (source: MAGIC_NUMBER in torch/serialization.py)."""

PROTOCOL_VERSION: Final = 1001
"""What the second pickle holds (source: PROTOCOL_VERSION in torch/serialization.py)."""

STORAGE_DTYPES: Final[Mapping[str, np.dtype[np.generic]]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}
"""The storage types admitted, by torch's name, and the elements they have in the file."""

_NUMEL: Final = struct.Struct("<q")

# What the unpickler is known to raise on damaged input; the pickle documentation leaves the list open.
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
    """The file isn't a legacy PyTorch checkpoint of plain tensors, or it is damaged."""


class ForbiddenNameError(CheckpointError):
    """The pickle names a class or function that a dictionary of tensors doesn't need."""


class _Storage(NamedTuple):
    """A storage as the pickle names it; its elements come later in the file."""

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
    """Unpickles one part of a checkpoint and collects the storages that it names in `storages`.

    Whatever a pickle can get hold of, it can call and change. So the names it may look up stand for things
    that can't be changed: storage types for their name, the others for a built-in class and a bound method.
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
        """Stand in for `torch._utils._rebuild_tensor_v2`; what concerns gradients is ignored."""
        match storage, offset:
            case _Storage(), int() if offset >= 0:
                return _Tensor(storage, offset, _as_index(size), _as_index(stride))
        raise CheckpointError("a tensor is described without a storage or an offset within it")


def _as_index(value: object) -> tuple[int, ...]:
    """Return `value` if it is a tuple of non-negative integers; raises `CheckpointError` if it isn't."""
    if isinstance(value, tuple) and all(isinstance(item, int) and item >= 0 for item in value):
        return value
    raise CheckpointError("a tensor's size or stride isn't a tuple of non-negative integers")


def read_checkpoint(path: Path) -> dict[str, Array]:
    """Read the tensors of a checkpoint.

    Args:
        path: The file, as `torch.save(model.state_dict(), path)` wrote it before PyTorch 1.6.

    Returns:
        Name -> C-contiguous float32 or int64 array with the shape of the tensor, in the order of the file.

    Raises:
        CheckpointError: The file is of another kind, truncated or damaged (`path` isn't in the message).
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
    """Unpickle the next part of the file; also returns the storages that it names, by their keys."""
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
        raise CheckpointError("not a checkpoint: it is a pickle, but not of PyTorch's magic number")
    version, _ = _unpickle(file, "protocol version")
    if version != PROTOCOL_VERSION:
        raise CheckpointError(f"protocol version {version!r:.50}; only {PROTOCOL_VERSION} is read")
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
    # Compared with what is left of the file first: `read` would reserve whatever memory the file asks for.
    n_bytes = storage.numel * storage.dtype.itemsize
    if _NUMEL.size + n_bytes > os.fstat(file.fileno()).st_size - file.tell():
        raise CheckpointError(
            f"truncated: storage {storage.key!r} of {storage.numel} elements isn't all there"
        )
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
    """Copy a tensor out of the elements of its storage."""
    size, stride = tensor.size, tensor.stride
    outside = CheckpointError(
        f"tensor {name!r} (offset {tensor.offset}, size {size}, stride {stride}) doesn't fit its storage of "
        f"{elements.size} elements"
    )
    # Checked with Python's unbounded integers: numpy's own check of strides can wrap around. An expanded
    # tensor (stride 0), which could claim any size, counts as too large: model weights have none.
    count = math.prod(size)
    last = tensor.offset + sum((n - 1) * step for n, step in zip(size, stride, strict=False))
    if count > elements.size or (count > 0 and last >= elements.size):
        raise outside
    itemsize = elements.itemsize
    try:
        view: Array = np.ndarray(
            size, elements.dtype, elements, tensor.offset * itemsize, [step * itemsize for step in stride]
        )
    except (OverflowError, ValueError) as exc:  # also: more dimensions than numpy has, or than strides
        raise outside from exc
    return view.astype(elements.dtype.newbyteorder("="), order="C")
