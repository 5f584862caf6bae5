import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clas.errors import ModelChangedError, ModelLoadError
from clas.model.fingerprint import Fingerprint, take_fingerprint


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, ...]:
    """Two files, and one that isn't there."""
    files = tuple(tmp_path / name for name in ("program", "weights", "config"))
    files[0].write_bytes(b"abc")
    files[1].write_bytes(bytes(3 * 2**20))
    return files


@pytest.fixture
def taken(paths: tuple[Path, ...]) -> Fingerprint:
    return take_fingerprint(paths)


def move_a_byte(paths: tuple[Path, ...]) -> None:
    """From the end of one file to the start of the next."""
    paths[0].write_bytes(b"ab")
    paths[1].write_bytes(b"c" + paths[1].read_bytes())


def change_the_last_byte(paths: tuple[Path, ...]) -> None:
    """But neither the size nor the time."""
    times = paths[1].stat()
    paths[1].write_bytes(bytes(3 * 2**20 - 1) + b"1")
    os.utime(paths[1], ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        change_the_last_byte,
        move_a_byte,
        lambda paths: paths[0].unlink(),
        lambda paths: paths[2].touch(),
        lambda paths: paths[0].write_bytes(b""),
    ],
    ids=["a byte", "between files", "removed", "added", "emptied"],
)
def test_other_bytes_are_another_fingerprint(
    paths: tuple[Path, ...], taken: Fingerprint, change: Callable[[tuple[Path, ...]], object]
) -> None:
    taken.check_untouched()
    change(paths)
    with pytest.raises(ModelChangedError, match="the model's files have changed since the start: restart"):
        taken.retake()
    with pytest.raises(ModelLoadError, match="were changed while they were loaded"):
        taken.check_untouched()


def test_the_same_bytes_in_new_files_have_the_same_fingerprint(
    paths: tuple[Path, ...], taken: Fingerprint
) -> None:
    copy = paths[0].with_name("copy")
    copy.write_bytes(b"abc")
    copy.replace(paths[0])
    again = taken.retake()
    assert again.digest == taken.digest
    again.check_untouched()
    with pytest.raises(ModelLoadError, match="were changed while they were loaded"):
        taken.check_untouched()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=f"{tmp_path} can't be read: Is a directory"):
        take_fingerprint((tmp_path,))
