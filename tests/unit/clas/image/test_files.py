import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clas.errors import ImageError
from clas.image.files import find_images, read_file


def refuse(error: OSError) -> None:
    raise AssertionError(error)


def test_a_folder_is_walked_recursively_in_sorted_order_whatever_the_case(tmp_path: Path) -> None:
    wanted = ["a.JPG", "b/1.png", "b/2/x.jpeg", "c.bmp", "d.WebP", "e.tif", "f.TIFF"]
    for name in [*wanted, "b/notes.txt", "jpg", ".png", "g.gif.txt"]:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert [str(path.relative_to(tmp_path)) for path in find_images(tmp_path, refuse)] == wanted


def test_a_file_that_is_named_is_taken_whatever_its_ending(tmp_path: Path) -> None:
    assert list(find_images(tmp_path / "image", refuse)) == [tmp_path / "image"]


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert list(find_images(tmp_path, refuse)) == []


@pytest.fixture
def deep_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """More folders in each other than Python has calls; made and removed one by one."""
    monkeypatch.chdir(tmp_path)
    depth = sys.getrecursionlimit() + 100
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    yield tmp_path
    for _ in range(depth):
        os.chdir("..")
        Path("d").rmdir()


def test_folders_may_be_nested_very_deeply(deep_folder: Path) -> None:
    too_long: list[OSError] = []
    assert list(find_images(deep_folder, too_long.append)) == []
    assert all(error.errno == errno.ENAMETOOLONG for error in too_long)


def test_links_to_folders_do_not_lead_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert list(find_images(tmp_path, refuse)) == [tmp_path / "a.png"]


def test_a_folder_that_can_not_be_read_is_reported_and_the_walk_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "z.png").touch()
    scandir = os.scandir

    def scandir_as_a_user(path: Path) -> object:  # root may read everything
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_as_a_user)
    reported: list[OSError] = []
    assert list(find_images(tmp_path, reported.append)) == [tmp_path / "z.png"]
    assert [error.filename for error in reported] == [str(tmp_path / "locked")]


def test_a_file_that_can_not_be_read_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the file can't be read: No such file"):
        read_file(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="the file can't be read: embedded null byte"):
        read_file(Path("a\0b"))


def test_a_link_to_itself_is_reported_and_costs_no_neighbour(tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        (tmp_path / name).touch()
    (tmp_path / "b.png").symlink_to(tmp_path / "b.png")
    errors: list[OSError] = []
    assert [path.name for path in find_images(tmp_path, errors.append)] == ["a.png", "c.png"]
    assert [Path(str(error.filename)).name for error in errors] == ["b.png"]
