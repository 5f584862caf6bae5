import io
import os
import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from torch_checkpoint import CheckpointError, ForbiddenNameError, read_checkpoint

MAGIC_NUMBER = 119547037146038801333356
PROTOCOL_VERSION = 1001
SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}

Array = npt.NDArray[Any]


# A writer of the format that shares nothing with the reader. PyTorch isn't there, so its names are these.


class FloatStorage:
    pass


class LongStorage:
    pass


class DoubleStorage:
    pass


def _rebuild_tensor_v2() -> None:
    pass


TORCH_TYPES: Mapping[str, type] = {"<f4": FloatStorage, "<i8": LongStorage, "<f8": DoubleStorage}


class Storage:
    def __init__(self, key: str, elements: Array, *, numel: int | None = None) -> None:
        self.key, self.elements = key, elements
        self.numel = elements.size if numel is None else numel

    def persistent_id(self) -> object:
        return ("storage", TORCH_TYPES[self.elements.dtype.str], self.key, "cpu", self.numel, None)


class Tensor:
    def __init__(self, storage: object, offset: object, size: object, stride: object) -> None:
        backward_hooks: OrderedDict[str, object] = OrderedDict()
        self.arguments = (storage, offset, size, stride, False, backward_hooks)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return _rebuild_tensor_v2, self.arguments


class PersistentId:
    def __init__(self, pid: object) -> None:
        self.pid = pid

    def persistent_id(self) -> object:
        return self.pid


class Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        return obj.persistent_id() if isinstance(obj, Storage | PersistentId) else None


def dump(value: object) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def checkpoint(
    content: object,
    storages: Sequence[Storage] = (),
    *,
    header: Sequence[object] = (MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM),
    keys: object = None,
) -> bytes:
    parts = [dump(value) for value in (*header, content)]
    parts.append(dump([storage.key for storage in storages] if keys is None else keys))
    parts += [struct.pack("<q", storage.numel) + storage.elements.tobytes() for storage in storages]
    return b"".join(parts)


def view_of(storage: Storage, view: Array) -> Tensor:
    itemsize = view.itemsize
    start = view.__array_interface__["data"][0] - storage.elements.__array_interface__["data"][0]
    return Tensor(storage, start // itemsize, view.shape, tuple(step // itemsize for step in view.strides))


@pytest.fixture(autouse=True)
def _torch_to_pickle_from(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = {"torch": (FloatStorage, LongStorage, DoubleStorage), "torch._utils": (_rebuild_tensor_v2,)}
    for module_name, members in modules.items():
        module = types.ModuleType(module_name)
        for member in members:
            monkeypatch.setattr(member, "__module__", module_name)
            setattr(module, member.__name__, member)
        monkeypatch.setitem(sys.modules, module_name, module)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Mapping[str, Array]]:
    def write_and_read(data: bytes) -> Mapping[str, Array]:
        path = tmp_path / "weights.pth"
        path.write_bytes(data)
        return read_checkpoint(path)

    return write_and_read


Read = Callable[[bytes], Mapping[str, Array]]

FLOATS = Storage("140", np.arange(24, dtype="<f4") / 7)
COUNTER = Storage("99", np.array([2**40], dtype="<i8"))
MATRIX = FLOATS.elements.reshape(4, 6)


def small_checkpoint() -> bytes:
    tensors = OrderedDict(weight=view_of(FLOATS, MATRIX), counter=view_of(COUNTER, COUNTER.elements[0:1]))
    return checkpoint(tensors, [COUNTER, FLOATS])


def test_tensors_of_both_types_come_back_under_their_names(read: Read) -> None:
    tensors = read(small_checkpoint())

    assert list(tensors) == ["weight", "counter"]
    np.testing.assert_array_equal(tensors["weight"], MATRIX)
    np.testing.assert_array_equal(tensors["counter"], [2**40])
    assert tensors["weight"].dtype == np.float32
    assert tensors["counter"].dtype == np.int64


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(MATRIX.T, id="transposed"),
        pytest.param(MATRIX[2:], id="offset"),
        pytest.param(MATRIX[1:, 2::3], id="offset and stride"),
        pytest.param(
            FLOATS.elements.reshape(2, 3, 2, 2).transpose(3, 2, 0, 1), id="4-D, as a TensorFlow kernel"
        ),
        pytest.param(MATRIX[3, 5, ...], id="scalar, the last element"),
        pytest.param(MATRIX[:0], id="empty"),
    ],
)
def test_a_view_of_a_storage_becomes_an_array_of_its_own(read: Read, view: Array) -> None:
    tensor = read(checkpoint({"view": view_of(FLOATS, view)}, [FLOATS]))["view"]

    assert tensor.shape == view.shape
    np.testing.assert_array_equal(tensor, view)
    assert tensor.flags.c_contiguous
    assert tensor.flags.writeable


def test_two_tensors_may_share_a_storage(read: Read) -> None:
    tensors = {"rows": view_of(FLOATS, MATRIX), "columns": view_of(FLOATS, MATRIX.T)}

    tensors_read = read(checkpoint(tensors, [FLOATS]))

    np.testing.assert_array_equal(tensors_read["rows"], tensors_read["columns"].T)


def test_the_attribute_that_pytorch_sets_on_its_dictionary_is_no_obstacle(read: Read) -> None:
    tensors = OrderedDict(weight=view_of(FLOATS, MATRIX))
    tensors._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]

    assert list(read(checkpoint(tensors, [FLOATS]))) == ["weight"]


class Command:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("part", range(5))
def test_a_command_in_any_pickle_is_refused_and_not_run(read: Read, tmp_path: Path, part: int) -> None:
    marker = tmp_path / "marker"
    values: list[object] = [MAGIC_NUMBER, PROTOCOL_VERSION, SYSTEM, {}, []]
    values[part] = Command(f"echo > {marker}")
    *header, content, keys = values

    with pytest.raises(ForbiddenNameError, match=r"\.system"):
        read(checkpoint(content, header=header, keys=keys))

    assert not marker.exists()
    # The same bytes do harm where nobody refuses them: this test can fail.
    pickle.loads(dump(values[part]))
    assert marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("collections", "deque"),
        ("collections", "OrderedDict.fromkeys"),
        ("torch", "load"),
        ("torch", "DoubleStorage"),
        ("torch._utils", "FloatStorage"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch_checkpoint", "read_checkpoint"),
    ],
)
def test_any_name_but_the_few_needed_is_refused(read: Read, module: str, name: str) -> None:
    texts = [pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode() for text in (module, name)]
    old = pickle.GLOBAL + f"{module}\n{name}\n".encode()
    new = texts[0] + texts[1] + pickle.STACK_GLOBAL
    for look_up in (old, new):
        with pytest.raises(ForbiddenNameError, match=f"{module}.{name}"):
            read(pickle.PROTO + b"\x04" + look_up + pickle.STOP)


def test_a_file_cut_off_anywhere_is_an_error(read: Read) -> None:
    data = small_checkpoint()

    for length in range(len(data)):
        with pytest.raises(CheckpointError) as caught:
            read(data[:length])
        assert caught.type is CheckpointError


def test_bytes_after_the_end_are_an_error(read: Read) -> None:
    with pytest.raises(CheckpointError, match="after the last storage"):
        read(small_checkpoint() + b"\0")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"PK\x03\x04" + bytes(60), "zip", id="newer format"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(60), "legacy", id="an image"),
        pytest.param(b"Not Found", "legacy", id="a text"),
        pytest.param(b"", "legacy", id="nothing"),
        pytest.param(dump(MAGIC_NUMBER + 1), "magic number", id="other magic number"),
        pytest.param(checkpoint({}, header=(MAGIC_NUMBER, 1002, SYSTEM)), "version 1002", id="version"),
        pytest.param(
            checkpoint({}, header=(MAGIC_NUMBER, PROTOCOL_VERSION, {"little_endian": False})),
            "little-endian",
            id="byte order",
        ),
        pytest.param(
            checkpoint({}, header=(MAGIC_NUMBER, PROTOCOL_VERSION, [])), "little-endian", id="system"
        ),
        pytest.param(checkpoint([1, 2]), "holds a list", id="not a dictionary"),
        pytest.param(checkpoint({"epoch": 3}), "'epoch' isn't a tensor", id="not a tensor"),
        pytest.param(checkpoint({5: 5}), "5 isn't a tensor", id="not a name"),
    ],
)
def test_a_file_of_another_kind_is_named_as_such(read: Read, data: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read(data)


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        pytest.param(1, (4, 6), (6, 1), id="offset one too far"),
        pytest.param(0, (5, 6), (6, 1), id="one row too many"),
        pytest.param(0, (4, 6), (7, 1), id="stride too wide"),
        pytest.param(24, (), (), id="scalar behind the end"),
        pytest.param(0, (2**40,), (0,), id="expanded to a terabyte"),
        pytest.param(0, (2,), (2**63,), id="stride beyond 64 bits"),
        pytest.param(0, (1,), (2**63,), id="stride beyond 64 bits, never taken"),
        pytest.param(0, (5,), (2**60,), id="stride whose reach in bytes wraps to 0"),
        pytest.param(0, (2**32, 2**32), (1, 1), id="size whose product wraps to 0"),
        pytest.param(0, (0, 2**70), (1, 1), id="empty, of a size beyond 64 bits"),
        pytest.param(0, (1,) * 100, (1,) * 100, id="more dimensions than numpy has"),
        pytest.param(0, (4, 6), (6,), id="fewer strides than dimensions"),
        pytest.param(-1, (4,), (1,), id="negative offset"),
        pytest.param(0, (-4,), (1,), id="negative size"),
        pytest.param(23, (4,), (-1,), id="negative stride"),
        pytest.param(0.0, (4,), (1,), id="offset of another type"),
        pytest.param(0, "4", "1", id="size of another type"),
        pytest.param(0, (4.0,), (1,), id="size of floats"),
    ],
)
def test_a_tensor_that_does_not_fit_its_storage_is_an_error(
    read: Read, offset: object, size: object, stride: object
) -> None:
    with pytest.raises(CheckpointError, match="tensor"):
        read(checkpoint({"weight": Tensor(FLOATS, offset, size, stride)}, [FLOATS]))


def test_a_tensor_of_no_storage_is_an_error(read: Read) -> None:
    with pytest.raises(CheckpointError, match="tensor"):
        read(checkpoint({"weight": Tensor("140", 0, (4,), (1,))}, [FLOATS]))


@pytest.mark.parametrize(
    "pid",
    [
        "140",
        ("module", FloatStorage, "140", "cpu", 24, None),
        ("storage", FloatStorage, "140", "cpu", 24),
        ("storage", FloatStorage, "140", "cpu", -1, None),
        ("storage", "DoubleStorage", "140", "cpu", 24, None),
        ("storage", OrderedDict, "140", "cpu", 24, None),
        ("storage", FloatStorage, "140", "cpu", 24, ("141", 0, 12)),
    ],
)
def test_a_persistent_id_that_is_no_storage_is_an_error(read: Read, pid: object) -> None:
    with pytest.raises(CheckpointError, match="persistent id"):
        read(checkpoint({"weight": PersistentId(pid)}, [FLOATS]))


@pytest.mark.parametrize("keys", [[], ["140", "140"], ["141"], ["140", "141"], [["140"]], "140", [140]])
def test_a_list_of_other_storages_is_an_error(read: Read, keys: object) -> None:
    with pytest.raises(CheckpointError, match="list of storages"):
        read(checkpoint({"weight": view_of(FLOATS, MATRIX)}, [FLOATS], keys=keys))


def test_a_storage_described_in_two_ways_is_an_error(read: Read) -> None:
    shorter = Storage(FLOATS.key, FLOATS.elements[:6])
    tensors = {"weight": view_of(FLOATS, MATRIX), "bias": view_of(shorter, shorter.elements)}

    with pytest.raises(CheckpointError, match="two ways"):
        read(checkpoint(tensors, [FLOATS]))


def test_a_storage_of_another_length_than_announced_is_an_error(read: Read) -> None:
    announced = Storage(FLOATS.key, FLOATS.elements, numel=23)

    with pytest.raises(CheckpointError, match="has 24 elements, its tensor says 23"):
        read(checkpoint({"weight": Tensor(announced, 0, (6,), (1,))}, [FLOATS]))


@pytest.mark.parametrize("numel", [25, 2**40, 2**80])
def test_a_storage_longer_than_the_file_is_an_error_before_memory_is_reserved(read: Read, numel: int) -> None:
    announced = Storage(FLOATS.key, FLOATS.elements, numel=numel)
    data = checkpoint({"weight": Tensor(announced, 0, (6,), (1,))}, keys=[FLOATS.key])

    with pytest.raises(CheckpointError, match="truncated"):
        read(data + struct.pack("<q", min(numel, 2**62)) + FLOATS.elements.tobytes())


def test_a_pickle_that_asks_for_more_memory_than_there_is_is_an_error(read: Read) -> None:
    data = pickle.PROTO + b"\x04" + pickle.BINBYTES8 + struct.pack("<Q", 2**62)

    with pytest.raises(CheckpointError, match="damaged"):
        read(data)


def test_a_missing_file_stays_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "none.pth")
